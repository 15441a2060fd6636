"""Use cases of batches: make one, pause, resume and cancel it, and try again what has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NoReturn
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.batches.plan import STATUSES, Plan, PlannedItem, end_of, plan_runs, plan_slots, text_of
from dagbook.batches.requests import MOST_ITEMS, NewBatch, RunsFilter, read_selection, selectors_of
from dagbook.batches.slots import Bound, Due, DueSlot, find_due, find_slots, read_bound
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.repositories import audit, revisions
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.batches import batches, items, starts
from dagbook.db.repositories.batches import selection as selection_rows
from dagbook.db.repositories.batches.batches import ORIGINAL, BatchRow, ItemCounts
from dagbook.db.repositories.dags import DagRow
from dagbook.engine.status import RunStatus
from dagbook.errors import AlreadyExistsError, BadRequestError, NotFoundError, NotRunningError, OutdatedError
from dagbook.identifiers import shorten
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.model import StartOptions
from dagbook.runs.service.run_service import RunService
from dagbook.spec.model import Pair
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.time.schedule import ParsedSchedule, read_schedule

_GOING_ON: dict[str, object] = {"paused_at": None, "paused_by": None, "paused_why": None}
_MOST_EARLIER = 1000  # batches whose filters are compared
_LIVE = timedelta(minutes=2)  # so long a scheduled time is left to the schedulers


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that was made, or would be, and how it was planned; without items there is none.

    ``revision`` is the one that runs, if it is one alone; ``schedule`` and ``zone`` are those of scheduled times.
    """

    batch: int | None
    plan: Plan
    schedule: Sequence[str] = ()
    zone: ZoneInfo | None = None
    revision: int | None = None


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that a caller may have meant: of one DAG name if that is given, of those that it sees.

    ``permitted`` returns those of the names for which it may do what the batch does.
    """

    name: str | None
    visibility: Visibility
    permitted: Callable[[ReadConnection, Collection[str]], Collection[str]]


class Batches:
    """The batches of a database; ``batch`` is one that the caller may use."""

    def __init__(
        self,
        database: Database,
        run_service: RunService,
        active_runs: ActiveRuns,
        now: Clock,
        zone: ZoneInfo,
        *,
        queues_enabled: bool,
    ) -> None:
        self._database = database
        self._run_service = run_service
        self._active_runs = active_runs
        self._now = now
        self._zone = zone
        self._queues_enabled = queues_enabled

    # -- scheduled times -----------------------------------------------------------------------------------------

    async def find_slots(self, dag: DagRow, first: Bound, last: Bound) -> list[DueSlot]:
        """Return the scheduled times of a DAG between two bounds, and what became of each; raises BadRequestError."""
        timing = await asyncio.to_thread(read_schedule, dag.spec or "")
        due = await self._find_due(timing, first, last) if timing.start else []
        return await self._database.read(lambda connection: _read_slots(connection, dag.id, due, self._now()))

    async def _find_due(self, timing: ParsedSchedule, first: Bound, last: Bound) -> list[Due]:
        until = self._now() - _LIVE
        return await asyncio.to_thread(find_due, timing.start, first, last, until, self._zone, MOST_ITEMS)

    # -- new batches ---------------------------------------------------------------------------------------------

    async def create(self, wanted: NewBatch, dag: DagRow, actor: Actor) -> Created:
        """Make a batch of scheduled times, or plan it for a dry run. Raises AppError.

        The items are found and stored in one transaction. Times that another open batch holds are left out.
        """
        self._require_queues()
        timing = await asyncio.to_thread(read_schedule, dag.spec or "")
        if not timing.start:
            raise BadRequestError(f"dag: {shorten(dag.file_name)} has no start times in its schedule")
        due = await self._find_due(timing, read_bound(wanted.from_ or "", "from"), read_bound(wanted.to or "", "to"))
        target = await self._database.read_inline(read_text, dag, text_of(wanted.text, dag.revision))
        if due:
            start = StartOptions(params=format_params(wanted.params, due[0]), actor=actor)
            await self._run_service.plan_stored(target, start)

        def make(connection: ReadConnection) -> Plan:
            return plan_slots(_read_slots(connection, dag.id, due, self._now()), wanted, dag.revision)

        plan, batch = await self._carry_out(wanted, dag, actor, make)
        expressions = [entry.expression for entry in timing.start]
        zone = timing.start[0].cron.zone or self._zone
        return Created(batch=batch, plan=plan, schedule=expressions, zone=zone, revision=target.revision)

    async def create_of_runs(self, wanted: NewBatch, dag: DagRow | None, affected: Affected, actor: Actor) -> Created:
        """Make a batch of the runs that its filter selects, or plan it for a dry run. Raises AppError.

        The filter is evaluated in the transaction that stores the items, so that what begins to match later is not
        among them. Runs that another open batch has are left out; those that were replaced, and those that a batch with
        the same filter has made, are not done again.
        """
        if wanted.action not in (batches.STOP, batches.DELETE):
            self._require_queues()
        given = RunsFilter() if wanted.filter is UNSET else wanted.filter
        selection = read_selection(given, affected.name, affected.visibility)
        target = dag and await self._database.read_inline(read_text, dag, text_of(wanted.text, dag.revision))
        selectors = selectors_of(wanted.asked)

        def make(connection: ReadConnection) -> Plan:
            made_by: list[int] | None = [] if wanted.action in (batches.AGAIN, batches.RETRY) else None
            if wanted.action == batches.AGAIN:
                earlier = batches.find_filters(connection, batches.AGAIN, _MOST_EARLIER)
                made_by = [batch for batch, asked in earlier.items() if selectors_of(asked) == selectors]
            found = selection_rows.find(connection, selection, STATUSES[wanted.action], MOST_ITEMS + 1, made_by)
            if len(found) > MOST_ITEMS:
                raise BadRequestError(f"filter: more than {MOST_ITEMS:,} runs match; narrow it down")
            names = affected.permitted(connection, {run.dag_name for run in found})
            plan = plan_runs([run for run in found if run.dag_name in names], wanted)
            warnings = [*plan.warnings, *_warn_of_process(connection, selection.worker, self._now())]
            return msgspec.structs.replace(plan, warnings=warnings)

        plan, batch = await self._carry_out(wanted, dag, actor, make)
        revision = None if target is None or wanted.text == ORIGINAL else target.revision
        return Created(batch=batch, plan=plan, revision=revision)

    def _require_queues(self) -> None:
        if not self._queues_enabled:
            raise BadRequestError("queues are switched off here; set queues_enabled, since runs of batches are queued")

    async def _carry_out(
        self, wanted: NewBatch, dag: DagRow | None, actor: Actor, make: Callable[[ReadConnection], Plan]
    ) -> tuple[Plan, int | None]:
        """Store a batch with the items of a plan, which is made in the same transaction; a dry run makes that alone."""

        def check(connection: ReadConnection) -> Plan:
            plan = make(connection)
            if wanted.expect is not UNSET and wanted.expect != len(plan.items):
                raise OutdatedError(f"expect: there are {len(plan.items)} items now, not {wanted.expect}; look again")
            return plan

        def store(connection: WriteConnection) -> tuple[Plan, int | None]:
            plan = check(connection)
            return plan, self._store(connection, wanted, dag, plan, actor) if plan.items else None

        if wanted.dry_run:
            return await self._database.read(check), None
        try:
            return await self._database.write(store)
        except Conflict as error:
            raise AlreadyExistsError("another batch has just taken some of these times; try again") from error

    def _store(
        self, connection: WriteConnection, wanted: NewBatch, dag: DagRow | None, plan: Plan, actor: Actor
    ) -> int:
        at, asked = self._now(), wanted.asked
        new = batches.NewBatch(
            action=wanted.action,
            dag_id=None if dag is None else dag.id,
            filter=asked,
            params=wanted.params,
            revision=str(wanted.text),
            parallel=wanted.parallel,
            item_order=wanted.order,
            on_failure=wanted.on_failure,
            reason=wanted.reason or None,
            actor={name: value for name, value in msgspec.structs.asdict(actor).items() if value},
            created_at=at,
            created_by=actor.label,
            created_by_id=actor.user_id,
        )
        batch = batches.add(connection, new)
        rows = [
            planned.item(batch, place, self._zone.key)
            if isinstance(planned, PlannedItem)
            else planned.item(batch, place, dag.id if dag else 0)
            for place, planned in enumerate(plan.items, 1)
        ]
        items.add(connection, rows)
        after = {**asked, "action": wanted.action, "items": len(rows), "text": wanted.text, "reason": wanted.reason}
        audit.add(connection, actor.entry(_action(Action.BATCH_CREATE, batch, after), at))
        return batch

    # -- changes -------------------------------------------------------------------------------------------------

    async def require(self, batch: int, visibility: Visibility = EVERYTHING, user: str | None = None) -> BatchRow:
        """Return a batch that is visible; raises NotFoundError."""
        return await self._database.read_inline(batches.get, batch, visibility, user) or missing(batch)

    async def pause(self, batch: int, actor: Actor) -> None:
        """Let no further item begin, until it is resumed; raises AppError."""

        def pause(_connection: WriteConnection, _row: BatchRow) -> dict[str, object]:
            return {"paused_at": self._now(), "paused_by": actor.label, "paused_why": None}

        await self._change(batch, Action.BATCH_PAUSE, actor, pause)

    async def resume(self, batch: int, actor: Actor) -> None:
        """Go on with the next planned item, also after one has failed; raises AppError."""
        await self._change(batch, Action.BATCH_RESUME, actor, lambda _connection, _row: _GOING_ON)

    async def cancel(self, batch: int, actor: Actor, *, stops_runs: bool) -> None:
        """Let no further item begin, and stop the active runs if that is asked; raises AppError."""

        def cancel(connection: WriteConnection, row: BatchRow) -> dict[str, object]:
            items.change_all(connection, row.id, items.PLANNED, items.LEFT_OUT, "the batch was cancelled")
            ended = {} if items.has_open(connection, row.id) else {"ended_at": self._now()}
            return {"cancelled_at": self._now(), "cancelled_by": actor.label, **ended}

        await self._change(batch, Action.BATCH_CANCEL, actor, cancel)
        if stops_runs:
            await self._stop_runs(batch, actor)

    async def _stop_runs(self, batch: int, actor: Actor) -> None:
        for key, dag_name, run_id, status in await self._database.read(items.find_active_runs, batch):
            if status is RunStatus.QUEUED:
                await self._active_runs.cancel_queued(key)
            with suppress(NotRunningError, NotFoundError):  # it was queued, or has finished meanwhile
                await self._run_service.stop(dag_name, run_id, actor)

    async def retry(self, batch: int, actor: Actor) -> None:
        """Plan the failed items again, and go on; raises AppError."""

        def plan_again(connection: WriteConnection, row: BatchRow) -> dict[str, object]:
            if not items.change_all(connection, row.id, items.FAILED, items.PLANNED, None):
                raise NotRunningError(f"batch {row.id} has no failed items")
            return {**_GOING_ON, "cancelled_at": None, "cancelled_by": None, "ended_at": None}

        try:
            await self._change(batch, Action.BATCH_RETRY, actor, plan_again, is_open=False)
        except Conflict as error:
            raise AlreadyExistsError("another open batch has some of the scheduled times that failed") from error

    async def _change(
        self,
        batch: int,
        action: Action,
        actor: Actor,
        change: Callable[[WriteConnection, BatchRow], dict[str, object]],
        *,
        is_open: bool = True,
    ) -> None:
        def work(connection: WriteConnection) -> None:
            row = batches.lock(connection, batch) or missing(batch)
            if is_open and (row.ended_at is not None or row.cancelled_at is not None):
                state = "was cancelled" if row.cancelled_at is not None else "has ended"
                raise NotRunningError(f"batch {batch} {state}; retry plans its failed items again")
            batches.change(connection, batch, **change(connection, row))
            audit.add(connection, actor.entry(_action(action, batch), self._now()))

        await self._database.write(work)

    async def count(self, found: Sequence[BatchRow]) -> dict[int, ItemCounts]:
        """Count the items of batches by their states."""
        return await self._database.read(batches.count_items, [row.id for row in found])


def settle(connection: WriteConnection, batch: int, at: datetime) -> None:
    """Store what became of the begun items of a batch, and end it after the last, or pause it after a failure."""
    row = batches.lock(connection, batch)
    if row is None or row.ended_at is not None:
        return
    ends = {item.place: (item, *end_of(item)) for item in items.find_ended(connection, batch)}
    items.settle(connection, batch, {place: (state, why) for place, (_, state, why) in ends.items()})
    failed = [item.name for item, state, _ in ends.values() if state == items.FAILED]
    finish_round(connection, row, at, failed[0] if failed else "")


def finish_round(connection: WriteConnection, row: BatchRow, at: datetime, failed: str) -> None:
    """End a locked batch without open items, else pause it if an item has failed and it stops then."""
    if not items.has_open(connection, row.id):
        batches.change(connection, row.id, ended_at=at)
    elif failed and row.on_failure == "stop" and row.paused_at is None and row.cancelled_at is None:
        batches.change(connection, row.id, paused_at=at, paused_why=f"{failed} has failed")


def _read_slots(connection: ReadConnection, dag: int, due: Sequence[Due], now: datetime) -> list[DueSlot]:
    if not due:
        return []
    first, last = due[0].minute, due[-1].minute
    found = starts.find_starts(connection, dag, first, last)
    return find_slots(due, found, items.find_holders(connection, dag, first, last), now)


def read_text(connection: ReadConnection, dag: DagRow, revision: int | None) -> DagRow:
    """Return a DAG with the text of a revision, if one is given; raises NotFoundError."""
    if revision in (None, dag.revision):
        return dag
    found = revisions.find(connection, dag.id, [revision]).get(revision)
    if found is None or found.spec is None:
        reason = "was redacted" if found else "is not there"
        raise NotFoundError(f"text: the revision {revision} of DAG {shorten(dag.file_name)} {reason}")
    return msgspec.structs.replace(dag, revision=found.number, definition_hash=found.definition_hash, spec=found.spec)


def format_params(formats: Mapping[str, str], due: Due) -> GivenParams:
    """Return params with formats of a scheduled time, in the zone of its schedule."""
    return GivenParams.of_pairs(tuple(Pair(name, due.local.strftime(text)) for name, text in formats.items()))


def _warn_of_process(connection: ReadConnection, name: str | None, now: datetime) -> list[str]:
    """Return a warning if a process that is named still lives; raises NotFoundError if there was none."""
    if name is None:
        return []
    found = selection_rows.find_processes(connection, name)
    if not found:
        raise NotFoundError(f"filter.worker: there is no server or worker {shorten(name)}")
    living = [each.id for each in found if each.stopped_at is None and each.lease_until >= now]
    return [f"{each} still lives, and may get some of the new runs; stop it first" for each in living]


def _action(action: Action, batch: int, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="batch", name=str(batch), after=after)


def missing(batch: int) -> NoReturn:
    """Raise the error for a batch that is not there, or not seen."""
    raise NotFoundError(f"there is no batch {batch}")
