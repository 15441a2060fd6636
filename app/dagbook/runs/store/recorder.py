"""Group commits of run state: all writes that are pending when the writer is free share one commit.

Writes of runs that have lost their fence fail with FenceLostError. If a group fails, its members are written one by
one, so that one bad run does not fail the others. While the database is unavailable, pending transitions are kept and
retried; only new runs, attempts and claims fail, because their callers are waiting for a response.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict, DatabaseUnavailable
from dagbook.db.repositories import audit, changes, queue, schedules
from dagbook.db.repositories.batches.starts import find_runs
from dagbook.db.repositories.batches.turns import Turns, begin
from dagbook.db.repositories.runs import run_ends, run_writes
from dagbook.db.repositories.runs.run_writes import (
    Activity,
    Claim,
    LockedFences,
    NewAttempt,
    NewRun,
    StartingRun,
    Transition,
)
from dagbook.db.repositories.triggers import events as trigger_events
from dagbook.db.repositories.triggers import upstream_ends
from dagbook.db.types import SlotResult
from dagbook.engine.admission import Admission, Pause, QueueConfig
from dagbook.runs.store import new_run
from dagbook.runs.store.new_run import Refusal
from dagbook.runs.store.queue_head import MAX_RELEASED, ActiveRunCounts, read_queue_head, read_total_pause

_log = logging.getLogger(__name__)
_GROUP_LOG_BYTES = 1024 * 1024
_GROUP_ITEMS = 500
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0


class FenceLostError(Exception):
    """Another server owns the run now; nothing may be written under the old token any more."""


class RunRefusedError(Exception):
    """A start, retry or claim was refused; ``refusal`` has the reason."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


Guard = Callable[[NewRun, bool, Activity], Refusal | None]
_Work = StartingRun | Claim | Transition
T = TypeVar("T", bound=StartingRun)
_Refuse = Callable[[T, Activity], Refusal | None]


class _Item(msgspec.Struct):
    work: _Work
    done: asyncio.Future[bool]
    queued: bool = False
    retried: bool = False

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def succeed(self) -> None:
        if not self.done.done():
            self.done.set_result(self.queued)


_Group = Sequence[_Item]
_Failed = dict[int, Exception]  # by the identity of their items


class Recorder:
    """The only writer of run states in this process.

    Its loop is no ``BackgroundLoop``: it has no pauses, writes groups until nothing is pending, repeats each until it
    is stored, and a stop lets it write the rest.
    """

    def __init__(self, database: Database, owner: str, guard: Guard, queues: QueueConfig | None = None) -> None:
        self._database = database
        self._owner = owner
        self._guard = guard
        self._queues = queues or QueueConfig()
        self._pending: deque[_Item] = deque()
        self._logs: deque[_Item] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Start writing; does nothing if it is started already."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Write what is pending, then stop; does nothing without a start."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def accept(self, run: StartingRun) -> bool:
        """Store a new run, or the next attempt of one; returns whether it was queued.

        Raises RunRefusedError, and DatabaseUnavailable without a retry.
        """
        return await self._put(self._pending, run)

    async def claim(self, claim: Claim) -> None:
        """Dequeue a run and store its first transition; raises as ``accept``."""
        await self._put(self._pending, claim)

    async def record(self, transition: Transition) -> None:
        """Store a transition; raises FenceLostError. Returns after the commit."""
        await self._put(self._pending, transition)

    async def store_log(self, transition: Transition) -> None:
        """Store output after all pending transitions; raises FenceLostError. Returns after the commit."""
        await self._put(self._logs, transition)

    async def _put(self, pending: deque[_Item], work: _Work) -> bool:
        item = _Item(work, asyncio.get_running_loop().create_future())
        pending.append(item)
        self._wake.set()
        return await item.done

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while group := self._next_group():
                await self._write_until_stored(group)
            if self._stopping:
                return

    def _next_group(self) -> list[_Item]:
        group = [self._pending.popleft() for _ in range(min(len(self._pending), _GROUP_ITEMS))]
        bytes_left = _GROUP_LOG_BYTES
        while self._logs and bytes_left > 0:
            item = self._logs.popleft()
            group.append(item)
            if isinstance(item.work, Transition):
                bytes_left -= sum(chunk.byte_count for chunk in item.work.chunks)
        return group

    async def _write_until_stored(self, group: list[_Item]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while group:
            try:
                await self._write(group)
            except DatabaseUnavailable as error:
                group = self._requeue_after_outage(group, error)
                if self._stopping and pause >= _LONGEST_PAUSE_SECONDS:
                    for item in group:
                        item.fail(error)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                return

    def _requeue_after_outage(self, group: list[_Item], error: DatabaseUnavailable) -> list[_Item]:
        _log.warning("the database is unavailable, trying again: %s", error)
        for item in group:
            item.retried = True
        for item in (*group, *self._pending):
            if not isinstance(item.work, Transition):
                item.fail(error)
        self._pending = deque(item for item in self._pending if not item.done.done())
        return [item for item in group if not item.done.done()]

    async def _write(self, group: Sequence[_Item]) -> None:
        try:
            failed = await self._database.write(
                lambda connection: self._apply(connection, group),
                durable=not all(_is_output(item.work) for item in group),
                by_keys=True,
            )
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a bad member must not fail the others
            if len(group) > 1:
                for item in group:
                    await self._write([item])
                return
            item = group[0]
            if isinstance(error, Conflict) and not item.retried:
                # Another server has just stored the same id: the guard refuses the run now. Or it has removed a trigger
                # that follows the DAG of a run: its end is stored without that event now.
                item.retried = True
                await self._write([item])
            else:
                _log.error("a write of run states failed", exc_info=error)
                item.fail(error)
            return
        for item in group:
            if id(item) in failed:
                item.fail(failed[id(item)])
            else:
                item.succeed()

    def _apply(self, connection: WriteConnection, group: _Group) -> _Failed:
        failed: _Failed = {}
        starts = any(isinstance(item.work, StartingRun) and item.work.is_root for item in group)
        names = {name for item in group for name in _lock_names(item.work)}
        stops_for_pause = starts or any(isinstance(item.work, Claim) for item in group)
        run_writes.lock_names(connection, names, {run_writes.PAUSE} if stops_for_pause else ())
        # Under the lock: no run starts after the answer to who pauses. Claims read the pause with the heads of queues.
        pause = read_total_pause(connection) if starts else None
        turns = Turns(connection, [item.work.item for item in group if isinstance(item.work, StartingRun)])
        accepted: list[StartingRun] = [
            *self._apply_new(connection, group, failed, pause, turns),
            *self._apply_attempts(connection, group, failed, pause, turns),
        ]
        begin(connection, {work.item: (work.key, work.attempt.number) for work in accepted if work.item is not None})
        entries = [entry for work in accepted for entry in (work.audit, work.secret_audit)]
        audit.add(connection, *(entry for entry in entries if entry is not None))
        claimed = self._apply_claims(connection, group, failed)
        stored, fences = self._lock_transitions(connection, group, failed)
        begun: list[StartingRun | Claim] = [*accepted, *claimed]
        first_steps = [work.first_steps for work in begun if work.first_steps is not None]
        run_writes.apply(connection, [*first_steps, *stored], [event for work in accepted for event in work.events])
        # A start that fails has no fence yet, whose statement says whether there are rules or triggers that follow a
        # DAG: the few of them do without.
        run_ends.add(connection, [*first_steps, *(stored if fences.has_rules else ())])
        upstream_ends.add(connection, run_ends.find([*first_steps, *(stored if fences.has_followers else ())]))
        _publish_changes(connection, [item for item in group if id(item) not in failed])
        return failed

    def _apply_new(
        self, connection: WriteConnection, group: _Group, failed: _Failed, pause: Pause | None, turns: Turns
    ) -> list[NewRun]:
        new = [(item, item.work) for item in group if isinstance(item.work, NewRun)]
        roots = [(item, run) for item, run in new if not run.is_child]
        named = {(run.dag_name, run.run_id) for item, run in roots if run.is_named or item.retried}
        used = run_writes.find_used(connection, named)
        outcomes = schedules.find_outcomes(connection, [run.slot.key for _, run in roots if run.slot is not None])
        taken = find_runs(connection, [run.slot.key for _, run in roots if run.slot and run.slot.of_batch])
        waiting = trigger_events.lock_waiting(connection, {run.trigger_event for _, run in roots if run.trigger_event})

        def refuse(run: NewRun, activity: Activity) -> Refusal | None:
            slot, run_id = run.slot, (run.dag_name, run.run_id)
            refusal = new_run.check_item(run.item, turns) if run.item is not None else None
            if slot is not None:
                refusal = refusal or new_run.check_slot(slot, outcomes.get(slot.key), taken.get(slot.key))
            if run.trigger_event is not None:
                refusal = new_run.check_event(run.trigger_event, waiting)
            refusal = refusal or self._guard(run, run_id in used, activity)
            if refusal is None:
                used.add(run_id)
                if slot is not None:
                    outcomes[slot.key], taken[slot.key] = schedules.STARTED, run.key
                if run.item is not None:
                    turns.take(run.item)
                waiting.discard(run.trigger_event or "")
            return refusal

        accepted = [new_run.as_begun(run) for _, run in new if run.is_child]
        accepted += self._admit(connection, roots, failed, refuse, pause)
        if accepted:
            run_writes.add_runs(connection, accepted)
            _complete_slots(connection, accepted)
            for run in accepted:
                if run.trigger_event is not None:
                    trigger_events.set_started(connection, run.trigger_event, run.key, run.run.created_at)
        return accepted

    def _apply_attempts(
        self, connection: WriteConnection, group: _Group, failed: _Failed, pause: Pause | None, turns: Turns
    ) -> list[NewAttempt]:
        attempts = [(item, item.work) for item in group if isinstance(item.work, NewAttempt)]
        finished = run_writes.lock_finished(connection, {attempt.key for _, attempt in attempts})

        def refuse(attempt: NewAttempt, activity: Activity) -> Refusal | None:
            refusal = new_run.check_item(attempt.item, turns) if attempt.item is not None else None
            refusal = refusal or new_run.check_retry(attempt, finished.get(attempt.key), activity)
            if refusal is None:
                if attempt.item is not None:
                    turns.take(attempt.item)
                del finished[attempt.key]  # a second retry in this group has to be refused
            return refusal

        accepted = self._admit(connection, attempts, failed, refuse, pause)
        run_writes.add_attempts(connection, accepted)
        return accepted

    def _admit(
        self,
        connection: WriteConnection,
        starting: Sequence[tuple[_Item, T]],
        failed: _Failed,
        refuse: _Refuse[T],
        pause: Pause | None,
    ) -> list[T]:
        """Check starts in order; returns the accepted ones, queued where their queue is full or everything paused."""
        counts = ActiveRunCounts(connection, [run for _, run in starting], self._queues, pause)
        accepted = []
        for item, run in starting:
            activity = counts.for_run(run)
            if (refusal := refuse(run, activity)) is not None:
                failed[id(item)] = RunRefusedError(refusal)
                continue
            waits = run.entry is None and new_run.must_wait(run, activity)
            admitted = new_run.as_queued(run) if waits else new_run.as_begun(run)
            item.queued = admitted.entry is not None
            counts.add(admitted)
            accepted.append(admitted)
        return accepted

    def _apply_claims(self, connection: WriteConnection, group: _Group, failed: _Failed) -> list[Claim]:
        """Apply the claims of runs that are still the next of their queues: other servers may have been faster."""
        claims = [(item, item.work) for item in group if isinstance(item.work, Claim)]
        if not claims:
            return []
        most = MAX_RELEASED if any(claim.by_worker for _, claim in claims) else len(claims)
        queues = sorted({claim.queue for _, claim in claims})
        heads = [read_queue_head(connection, name, self._queues, most) for name in queues]
        released = {run for head in heads for run in head.admission.released}
        sequences = run_writes.lock_queued(connection, released & {claim.fence.run for _, claim in claims})
        admitted = []
        for item, claim in claims:
            refusal = new_run.check_claim(claim, released, sequences.pop(claim.fence.run, None))
            if refusal is not None:
                failed[id(item)] = RunRefusedError(refusal)
            else:
                admitted.append((item, claim))
        dequeued = queue.remove_entries(connection, [claim.fence.run for _, claim in admitted]) if admitted else set()
        for item, claim in admitted:
            if claim.fence.run not in dequeued:
                failed[id(item)] = RunRefusedError(Refusal(new_run.NOT_NEXT, "the run was dequeued just now"))
        claimed = [claim for _, claim in admitted if claim.fence.run in dequeued]
        run_writes.claim(connection, claimed)
        return claimed

    def _lock_transitions(
        self, connection: WriteConnection, group: _Group, failed: _Failed
    ) -> tuple[list[Transition], LockedFences]:
        """Return the transitions to store, and the fences that this server has."""
        transitions = [(item, item.work) for item in group if isinstance(item.work, Transition)]
        transitions = _without_duplicates(connection, transitions)
        fences = run_writes.lock_fences(connection, self._owner, {work.fence for _, work in transitions})
        for item, work in transitions:
            if work.fence not in fences.held:
                failed[id(item)] = FenceLostError(f"run {work.fence.run} has another owner")
        return [work for _, work in transitions if work.fence in fences.held], fences


def _without_duplicates(
    connection: WriteConnection, transitions: list[tuple[_Item, Transition]]
) -> list[tuple[_Item, Transition]]:
    """Leave out transitions that an earlier try committed although its confirmation was lost."""
    retried = {work.fence.run for item, work in transitions if item.retried}
    if not retried:
        return transitions
    sequences = run_writes.last_sequences(connection, retried)
    missing = []
    for item, work in transitions:
        is_stored = False
        if item.retried and work.events:
            is_stored = sequences.get(work.fence.run, 0) >= work.events[-1].seq
        elif item.retried and work.chunks:
            chunk = work.chunks[-1]
            last = run_writes.last_chunk(connection, work.fence, chunk.position, chunk.stream)
            is_stored = last >= chunk.seq
        elif item.retried and work.approvals:
            is_stored = run_writes.has_approval(connection, work.fence, work.approvals[-1].position)
        if not is_stored:
            missing.append((item, work))
    return missing


def _complete_slots(connection: WriteConnection, accepted: Sequence[NewRun]) -> None:
    """Store the outcomes of the schedule slots that accepted runs are started for."""
    outcomes = []
    for run in accepted:
        if run.slot is not None:
            outcome: SlotResult = schedules.QUEUED if run.entry is not None else schedules.STARTED
            if run.slot.awaiting_restart:
                outcome = schedules.RESTARTED
            outcomes.append(schedules.SlotOutcome(run.slot, outcome, run.run.created_at, run=run.key))
    schedules.complete(connection, outcomes)


def _lock_names(work: _Work) -> tuple[str, ...]:
    """Return the names to lock for the counts that decide: of the runs of a DAG, and of the runs in a queue."""
    match work:
        case NewAttempt(admission=Admission.UNLIMITED, entry=None):
            return ()
        case StartingRun():
            # Under the lock, entries get their ids in commit order: no reader sees a later entry before an earlier one.
            in_queue = work.queue_limit or work.entry is not None
            return (work.dag_name, f"queue {work.queue}") if in_queue else (work.dag_name,)
        case Claim():
            return (f"queue {work.queue}",)
    return ()


def _publish_changes(connection: WriteConnection, stored: Sequence[_Item]) -> None:
    """Publish the stored changes to the live feed: each run once; growing output only within this process."""
    changed_runs, changed_queues, has_output = set(), set(), False
    for item in stored:
        work = item.work
        if not _is_output(work):
            changed_runs.add(work.key if isinstance(work, StartingRun) else work.fence.run)
        if isinstance(work, Transition):
            has_output = has_output or bool(work.chunks)
        elif work.queue and (item.queued or isinstance(work, Claim)):
            changed_queues.add(work.queue)
    changes.add_run_changes(connection, changed_runs)
    changes.add_queue_changes(connection, changed_queues)
    if has_output:
        changes.add_output_change(connection)


def _is_output(work: _Work) -> bool:
    """Whether it is only output of a running step, which needs no durable commit: its files keep it until the end."""
    return isinstance(work, Transition) and work == Transition(fence=work.fence, chunks=work.chunks)
