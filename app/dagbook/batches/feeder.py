"""The loop that works off batches: it settles what has finished, and begins what there is room for.

Any number of servers do so at once. What an item begins with is accepted by the commit that marks it, so a server that
loses the race, or is killed, changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from dagbook.auth.audit_context import Action, Actor
from dagbook.background import BackgroundLoop
from dagbook.batches import bulk
from dagbook.batches.bulk import BulkActions
from dagbook.batches.plan import BatchStep, next_step, text_of
from dagbook.batches.service import finish_round, format_params, read_text, settle
from dagbook.batches.slots import Due
from dagbook.clock import Clock
from dagbook.db.database import BATCHES, Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import dags, schedules
from dagbook.db.repositories.accounts import principals
from dagbook.db.repositories.batches import batches, items, starts, turns
from dagbook.db.repositories.batches.batches import AGAIN, ORIGINAL, START, BatchRow
from dagbook.db.repositories.batches.items import FAILED, LEFT_OUT, ItemRow
from dagbook.db.repositories.batches.turns import ItemKey
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.db.repositories.schedules import Slot, SlotKey
from dagbook.engine.admission import Admission
from dagbook.errors import AppError, MaxRunReachedError, UnavailableError
from dagbook.runs.model import BATCH_PRIORITY, StartOptions, principal_of
from dagbook.runs.service.retry import RerunService
from dagbook.runs.service.run_service import ItemTakenError, RunService, SlotTakenError
from dagbook.spec.params.param_text import GivenParams

_log = logging.getLogger(__name__)
_IDLE_SECONDS, _OPEN_SECONDS, _BACK_OFF_SECONDS = 30.0, 0.5, 1.0
_AT_A_TIME = 8  # batches
NOTIFICATION = "dagbook_batches"  # to the other servers of a database, of a batch that is new or goes on
_DAG_GONE = "the DAG was deleted"
_TRIGGERS = {START: starts.BACKFILL, AGAIN: starts.RECALL}  # a run that is retried has the trigger that it had


class _Subject(msgspec.Struct, frozen=True):
    """What an item is about: its DAG with the text to run, the run that it would do again, and the rights for it."""

    dag: DagRow | None
    run: RunRow | None
    name: str  # of the DAG whose rights count
    is_permitted: bool


class BatchFeeder:
    """Works off the batches of a database."""

    def __init__(
        self,
        database: Database,
        run_service: RunService,
        reruns: RerunService,
        bulk_actions: BulkActions,
        now: Clock,
        *,
        queues_enabled: bool,
    ) -> None:
        self._database = database
        self._run_service = run_service
        self._reruns = reruns
        self._bulk = bulk_actions
        self._now = now
        self._queues_enabled = queues_enabled
        self._has_open = False
        self._serving = asyncio.Semaphore(_AT_A_TIME)
        self._loop = BackgroundLoop(
            "batches",
            self.run_once,
            every_seconds=lambda: _OPEN_SECONDS if self._has_open else _IDLE_SECONDS,
            failure="batches could not go on; it is tried again",
            expected=(DatabaseUnavailable, UnavailableError),
            back_off_seconds=_BACK_OFF_SECONDS,
        )
        bulk_actions.changed.connect(lambda: self._loop.wake() if self._has_open else None)
        database.on_commit(self._follow)

    def start(self) -> None:
        """Start with a round at once: an earlier process may have left something."""
        self._loop.start(0.0)
        if self._database.notifications is not None:
            self._database.notifications.listen(NOTIFICATION, self._loop.wake)

    def _follow(self, changed: set[str]) -> None:
        if BATCHES in changed:
            if self._database.notifications is not None and not self._has_open:
                self._database.notifications.notify(NOTIFICATION)
            self._loop.wake()

    async def stop(self) -> None:
        """Stop after the active round; harmless without a start."""
        if self._database.notifications is not None:
            await self._database.notifications.unlisten(NOTIFICATION)
        await self._loop.stop()

    async def run_once(self) -> None:
        """Settle and begin what may be now, in all open batches."""
        found = await self._database.read_inline(batches.find_open)
        self._has_open = bool(found)
        done = await asyncio.gather(*(self._serve(batch) for batch in found), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def _serve(self, batch: BatchRow) -> None:
        async with self._serving:
            if await self._database.read_inline(items.find_ended, batch.id):
                await self._database.write(settle, batch.id, self._now())
            if batch.action in bulk.ACTIONS:
                await self._take_all(batch)
                return
            for item in await self._database.read_inline(self._find_next, batch.id):
                if self._loop.is_stopping or not await self._begin(batch, item):
                    return

    async def _take_all(self, batch: BatchRow) -> None:
        """Work off a batch that makes no runs, some items at a time."""
        while not self._loop.is_stopping:
            found = await self._database.read_inline(self._find_next, batch.id)
            if not found:  # it is paused, or was killed between its last item and its end
                if not await self._database.read_inline(items.has_open, batch.id):
                    await self._database.write(settle, batch.id, self._now())
                return
            try:
                await self._bulk.take(batch, found, lambda: not self._loop.is_stopping)
            except bulk.PauseError as error:
                await self._database.write(batches.pause_open, str(error), self._now(), batch.id)

    def _find_next(self, connection: ReadConnection, key: int) -> list[ItemRow]:
        batch = batches.get(connection, key)
        if batch is None or batch.paused_at or batch.cancelled_at or batch.ended_at:
            return []
        if batch.action in bulk.ACTIONS:
            return list(items.find_next(connection, key, bulk.AT_A_TIME))
        room = batch.parallel - turns.count_begun(connection, [key]).get(key, 0)
        return list(items.find_next(connection, key, room)) if room > 0 and self._queues_enabled else []

    async def _begin(self, batch: BatchRow, item: ItemRow) -> bool:
        """Begin an item, or settle it with the reason why not; returns whether the next one may begin."""
        try:
            return await self._take_step(batch, item)
        except (ItemTakenError, MaxRunReachedError):
            return False  # another server was faster, or a limit is reached: it stays planned
        except SlotTakenError:
            return await self._settle(batch, item, LEFT_OUT, "it has another run by now")
        except (DatabaseUnavailable, UnavailableError):
            raise
        except AppError as error:
            return await self._settle(batch, item, FAILED, error.message)
        except Exception as error:  # noqa: BLE001 - one item that fails must not block the others
            _log.exception("item %d of batch %d could not be started", item.place, batch.id)
            return await self._settle(batch, item, FAILED, f"the run could not be started: {error}")

    async def _take_step(self, batch: BatchRow, item: ItemRow) -> bool:
        subject = await self._database.read_inline(_read_subject, batch, item)
        dag, run = subject.dag, subject.run
        if dag is None and batch.dag_id is not None:
            await self._database.write(_leave_out_rest, batch.id, _DAG_GONE, self._now())
            return False
        if not subject.is_permitted:
            why = f"{batch.created_by or 'its creator'} may not start runs of {subject.name} any more"
            await self._database.write(batches.pause_open, why, self._now(), batch.id)
            return False
        text = None if dag is None else text_of(_text(batch), dag.revision)
        all_again = batch.filter.get("only") == "all"
        match next_step(item, run, text, all_again=all_again, action=batch.action):
            case BatchStep.RETRY if run is not None:
                await self._reruns.retry(run, None, _actor_of(batch), ItemKey(batch.id, item.place))
            case BatchStep() as step:
                return await self._start(batch, item, dag, run if step is BatchStep.AGAIN else None)
            case why:
                return await self._settle(batch, item, LEFT_OUT, why)
        return True

    async def _start(self, batch: BatchRow, item: ItemRow, dag: DagRow | None, source: RunRow | None) -> bool:
        """Enqueue a new run, with the text of the run that it replaces if that is asked; returns whether it goes on."""
        start = _start_options(batch, item, dag, source)
        if source is not None and batch.revision == ORIGINAL:
            await self._run_service.start_from_run(source, start, waits=True)
        elif dag is None:
            return await self._settle(batch, item, LEFT_OUT, _DAG_GONE)
        else:
            if source is not None:
                before = await self._run_service.options_of(source)
                params = start.params if batch.params else before.params
                at = before.scheduled_at or start.scheduled_at
                taken = {"variables": before.variables, "reads_sealed": before.reads_sealed and not batch.params}
                start = msgspec.structs.replace(start, params=params, scheduled_at=at, **taken)
            await self._run_service.enqueue_stored(dag, start)
        return True

    async def _settle(self, batch: BatchRow, item: ItemRow, state: str, why: str) -> bool:
        """Settle a planned item that begins nothing; returns whether the batch goes on."""

        def work(connection: WriteConnection) -> bool:
            row = batches.lock(connection, batch.id)
            if row is None or not items.settle_planned(connection, batch.id, item.place, state, why):
                return False
            finish_round(connection, row, self._now(), item.name if state == FAILED else "")
            return not (state == FAILED and row.on_failure == "stop")

        return await self._database.write(work)


def _read_subject(connection: ReadConnection, batch: BatchRow, item: ItemRow) -> _Subject:
    dag = None if item.dag_id is None else dags.get_by_key(connection, item.dag_id)
    run = None if item.subject is None else runs.get_complete(connection, item.subject)
    if dag is None and (run is None or batch.dag_id is not None):
        return _Subject(None, run, "", is_permitted=True)
    name = dag.dag_name if dag is not None else run.dag_name if run is not None else ""
    permitted = principals.may_change(connection, principal_of(_actor_of(batch)), name)
    text = _text(batch)
    target = dag and read_text(connection, dag, text if isinstance(text, int) else None)
    return _Subject(target, run, name, is_permitted=permitted)


def _text(batch: BatchRow) -> int | str:
    return int(batch.revision) if batch.revision.isdigit() else batch.revision


def _start_options(batch: BatchRow, item: ItemRow, dag: DagRow | None, source: RunRow | None) -> StartOptions:
    """Return how the run of an item is started: its params are those of the batch, if that has any."""
    params, slot, due = GivenParams(), None, None
    if item.minute is not None and item.zone is not None and item.dag_id is not None and dag is not None:
        due = Due(item.minute, ZoneInfo(item.zone))
        params = format_params(batch.params, due) if batch.params else params
        slot = Slot(
            key=SlotKey(item.dag_id, schedules.START, item.minute),
            file_name=dag.file_name,
            catch_up=True,
            of_batch=True,
            replaces=None if source is None else source.id,
        )
    trigger = _TRIGGERS.get(batch.action) or (source.trigger if source is not None else starts.RECALL)
    return StartOptions(
        params=params,
        admission=Admission.UNLIMITED,
        priority=BATCH_PRIORITY,
        trigger=trigger,
        actor=_actor_of(batch),
        action=Action.RUN_ENQUEUE,
        slot=slot,
        scheduled_at=None if due is None else due.local,
        item=ItemKey(batch.id, item.place),
    )


def _actor_of(batch: BatchRow) -> Actor:
    return msgspec.convert(batch.actor, Actor)


def _leave_out_rest(connection: WriteConnection, batch: int, why: str, at: datetime) -> None:
    row = batches.lock(connection, batch)
    if row is not None:
        items.change_all(connection, batch, items.PLANNED, LEFT_OUT, why)
        finish_round(connection, row, at, "")
