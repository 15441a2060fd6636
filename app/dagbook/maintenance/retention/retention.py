"""Keeps runs within their limits: in the background, and on request.

It works in slices of a few seconds, on PostgreSQL one server at a time; each slice selects the runs to delete again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.alerts import upkeep
from dagbook.db.repositories.batches import batches
from dagbook.db.repositories.runs.run_history import LastSuccess
from dagbook.db.repositories.triggers import upkeep as trigger_upkeep
from dagbook.errors import UnavailableError
from dagbook.maintenance.retention.deletion import DeletionResult, RunDeleter
from dagbook.maintenance.retention.limits import Limits, TotalLimits
from dagbook.maintenance.retention.planning import Deadline, DeletionPlanner, Reason, RunToDelete
from dagbook.maintenance.retention.policies import Policies, Policy

_log = logging.getLogger(__name__)
_PURPOSE = "dagbook retention"
_SLICE_SECONDS = 5.0
_MAX_PER_SLICE = 2_000
_MAX_PREVIEW = 100_000
_MAX_ROWS = 200  # of alerts, events of triggers, and items of batches, in a transaction
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECONDS = 600.0  # a starting server has other work
_MIN_AGE = timedelta(minutes=1)  # mails are still written, and users may look at the run


class CleanupRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to delete on request: runs of one DAG or all, by explicit limits or by the policies."""

    name: str | None = None
    limits: Limits | None = None


class PlannedDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a DAG to delete, and the reasons."""

    policy: Policy
    runs: int
    log_bytes: int
    reasons: Mapping[Reason, int]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be deleted now; ``more`` if there are further runs that were not selected.

    ``left_out`` are those beyond their limits from which the next run of their DAG begins.
    """

    planned: Sequence[PlannedDeletion]
    more: bool
    left_out: Sequence[LastSuccess]


class CleanupResult(msgspec.Struct, frozen=True):
    """What was deleted in one slice, whether there is more to delete, and what was left out as in a preview."""

    deleted: DeletionResult
    more: bool
    left_out: Sequence[LastSuccess]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """For how long past alerts, settled events of triggers and ended batches are kept; zero for ever."""

    alerts: timedelta = timedelta()
    trigger_bodies: timedelta = timedelta()
    trigger_events: timedelta = timedelta()
    batches: timedelta = timedelta()


class Retention:
    """Deletes runs; nothing else does."""

    def __init__(
        self,
        database: Database,
        policies: Policies,
        now: Clock,
        interval_seconds: float,
        remove_copies: Callable[[], Sequence[object]] = tuple,
        kept: Kept = Kept(),  # noqa: B008 - it is frozen
    ) -> None:
        self._database = database
        self._remove_copies = remove_copies  # copies from before upgrades that have expired
        self._kept = kept
        self._now = now
        self._loop = BackgroundLoop(
            "retention",
            self.run_once,
            every_seconds=interval_seconds,
            failure="old runs are not deleted for now",
            expected=(DatabaseUnavailable, OSError),
        )
        self._first = min(interval_seconds, _FIRST_SECONDS)
        self._lock = asyncio.Lock()
        self.policies = policies
        self.total = DeletionResult()  # since the start of this process

    # -- life cycle ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start deleting periodically; starting twice is harmless."""
        self._loop.start(self._first)

    async def stop(self) -> None:
        """Stop after the active transaction; stopping without a start is harmless."""
        await self._loop.stop()

    async def run_once(self) -> DeletionResult:
        """Delete everything that exceeds its limits and return it; nothing while another server does so."""
        deleted, more = DeletionResult(), True
        policies = await self.policies.find()
        while more and not self._loop.is_stopping:
            cleaned = await self._clean(policies, self.policies.defaults.totals, _MIN_AGE)
            if cleaned is None:
                break
            deleted, more = deleted + cleaned.deleted, cleaned.more
        while not self._loop.is_stopping and (token := await self._database.read(dag_access.find_token)):
            await self._database.write(partial(dag_access.remove_subject, subject=token))
        if await self._database.read(dag_access.has_unused):
            await self._database.write(dag_access.remove_unused)
        await self._remove_alerts()
        await self._remove_trigger_events()
        await self._remove_batches()
        if deleted != DeletionResult():
            _log.info(
                "deleted %d runs with %d bytes of logs and %d unused definitions, and freed %d pages",
                *(deleted.runs, deleted.log_bytes, deleted.definitions, deleted.pages),
            )
        if copies := await asyncio.to_thread(self._remove_copies):
            _log.info("removed %d copies of the database from before upgrades", len(copies))
        return deleted

    async def _remove_alerts(self) -> None:
        before, most = self._before(self._kept.alerts), _MAX_ROWS
        while self._kept.alerts and not self._loop.is_stopping:
            if not await self._database.write(upkeep.remove_past, before, most, durable=False):
                break

    async def _remove_trigger_events(self) -> None:
        bodies, events = self._before(self._kept.trigger_bodies), self._before(self._kept.trigger_events)
        for trigger in await self._database.read(trigger_upkeep.find_past, bodies, events):
            for remove, before in ((trigger_upkeep.drop_bodies, bodies), (trigger_upkeep.remove_past, events)):
                while not self._loop.is_stopping:
                    if not await self._database.write(remove, trigger, before, _MAX_ROWS, durable=False):
                        break

    async def _remove_batches(self) -> None:
        """After the runs of this round: one stays while any of its runs does, which name it."""
        for batch in await self._database.read(batches.find_past, self._before(self._kept.batches)):
            while not self._loop.is_stopping:
                if not await self._database.write(batches.remove_past, batch, _MAX_ROWS, durable=False):
                    break

    def _before(self, kept: timedelta) -> datetime:
        return self._now() - kept if kept else _BEFORE_ALL

    # -- on request ------------------------------------------------------------------------------------------

    async def preview(self, request: CleanupRequest) -> Preview:
        planner = DeletionPlanner(self._database, self._deadline(request), _MAX_PREVIEW)
        policies = await self._find_policies(request)
        await planner.of_dags(policies)
        if request == CleanupRequest():
            await planner.of_all(self.policies.defaults.totals)
        to_delete: dict[str, list[RunToDelete]] = {policy.name: [] for policy in policies}
        for one in planner.to_delete.values():
            to_delete.setdefault(one.name, []).append(one)
        shown = [policy for policy in policies if to_delete[policy.name] or policy.name == request.name]
        planned = []
        for policy in shown:
            chosen = to_delete[policy.name]
            log_bytes = await planner.count_log_bytes([one.key for one in chosen])
            reasons = Counter(one.reason for one in chosen)
            planned.append(PlannedDeletion(policy=policy, runs=len(chosen), log_bytes=log_bytes, reasons=reasons))
        return Preview(planned=planned, more=planner.is_full, left_out=list(planner.left_out.values()))

    async def clean(self, request: CleanupRequest, actor: Actor) -> CleanupResult:
        """Delete what is requested, for a few seconds. Raises UnavailableError while another server deletes.

        The deletion is many commits, so the request is audited before the first.
        """
        policies = await self._find_policies(request)
        limits = None if request.limits is None else msgspec.structs.asdict(request.limits)
        audit_action = AuditAction(action=Action.RUN_CLEANUP, kind="runs", name=request.name or "all", after=limits)
        entry = actor.entry(audit_action, self._now())
        await self._database.write(lambda connection: audit.add(connection, entry))
        totals = self.policies.defaults.totals if request == CleanupRequest() else TotalLimits()
        cleaned = await self._clean(policies, totals, self._deadline(request).min_age)
        if cleaned is None:
            raise UnavailableError("another server is deleting runs of this database; try again when it is done")
        return cleaned

    async def _find_policies(self, request: CleanupRequest) -> list[Policy]:
        found = [await self.policies.get(request.name)] if request.name else await self.policies.find()
        if request.limits is None:
            return found
        return [msgspec.structs.replace(policy, limits=request.limits) for policy in found]

    def _deadline(self, request: CleanupRequest) -> Deadline:
        """Return the deadline of a request; explicit limits have no minimum age."""
        return Deadline(at=self._now(), min_age=timedelta() if request.limits else _MIN_AGE)

    # -- one slice of work -----------------------------------------------------------------------------------

    async def _clean(self, policies: Sequence[Policy], totals: TotalLimits, min_age: timedelta) -> CleanupResult | None:
        async with self._lock, self._database.try_lock(_PURPOSE) as is_locked:
            if not is_locked:
                return None
            cleaned = await self._slice(policies, totals, Deadline(at=self._now(), min_age=min_age))
        self.total += cleaned.deleted
        return cleaned

    async def _slice(self, policies: Sequence[Policy], totals: TotalLimits, deadline: Deadline) -> CleanupResult:
        planner = DeletionPlanner(self._database, deadline, _MAX_PER_SLICE)
        await planner.of_dags(policies)
        await planner.of_all(totals)
        end = time.monotonic() + _SLICE_SECONDS

        def may_continue() -> bool:
            """Delete something in each slice, however slow the machine is: else the rounds would have no effect."""
            return not self._loop.is_stopping and (time.monotonic() < end or deleter.deleted == DeletionResult())

        deleter = RunDeleter(self._database, may_continue)
        await deleter.finish(deadline.at)
        await deleter.delete(list(planner.to_delete), deadline.at, deadline.until)
        if not planner.is_full:
            await deleter.delete_unused_definitions()
            await deleter.free_pages()
        # What could not be deleted is selected again in the next round, not at once.
        more = (planner.is_full or deleter.was_interrupted) and deleter.deleted != DeletionResult()
        return CleanupResult(deleter.deleted, more, list(planner.left_out.values()))
