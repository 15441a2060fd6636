"""Stops, dequeues and deletes the runs of batches: some in each commit, which settles their items.

So no server does to a run what another one has done, and nothing is done after the answer to a pause or a cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.batches.plan import DELETED, STATUSES
from dagbook.batches.service import finish_round
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.accounts import principals
from dagbook.db.repositories.batches import batches, items
from dagbook.db.repositories.batches.batches import DELETE, DEQUEUE, STOP, BatchRow
from dagbook.db.repositories.batches.items import DONE, FAILED, LEFT_OUT, ItemRow
from dagbook.db.repositories.batches.turns import ItemKey, Turns
from dagbook.db.repositories.runs import run_history, runs
from dagbook.db.repositories.runs.runs import RunRow, StopRequest
from dagbook.maintenance.retention.deletion import RunDeleter
from dagbook.runs.model import StopOrder, principal_of
from dagbook.runs.recovery.supervisor import Supervisor

ACTIONS = frozenset({STOP, DEQUEUE, DELETE})
AT_A_TIME = 100  # items
_KEPT = "it could not be deleted: a sub-run of it is active, or mails of it wait"
_Ends = dict[int, tuple[str, str | None]]  # states and reasons of items, by their places
Dequeue = Callable[[WriteConnection, Sequence[RunRow], Actor, datetime], int]


class PauseError(Exception):
    """The one who has made a batch may not do this any more."""


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    """The next items of a batch: the runs of those that are there still, and why others are left out."""

    batch: BatchRow
    actor: Actor
    found: Mapping[int, RunRow]  # by places
    ends: _Ends


class BulkActions:
    """Does to runs of batches what makes no new run."""

    def __init__(self, database: Database, supervisor: Supervisor, dequeue: Dequeue, now: Clock) -> None:
        self._database = database
        self._supervisor = supervisor
        self._dequeue = dequeue
        self._now = now
        self.changed = supervisor.active_runs.changed

    async def take(self, batch: BatchRow, next_items: Sequence[ItemRow], may_continue: Callable[[], bool]) -> None:
        """Do the action of a batch to the runs of its next items, and settle them; raises PauseError."""
        actor = msgspec.convert(batch.actor, Actor)
        group = await self._database.read(_read_group, batch, actor, next_items)
        if batch.action == STOP:
            await self._stop(group)
        elif batch.action == DELETE:
            await self._delete(group, may_continue)
        else:
            await self._database.write(self._settle, group, self._dequeue_runs)
            self.changed.notify()

    async def _stop(self, group: _Group) -> None:
        requests: list[StopRequest] = []
        for place, run in group.found.items():
            if await self._supervisor.stop_orphaned(run.id, self._order(group, run)):
                group.ends[place] = (DONE, None)

        def stop(connection: WriteConnection, group: _Group, places: Sequence[int]) -> _Ends:
            orders = {place: self._order(group, group.found[place]) for place in places if place not in group.ends}
            for place, order in orders.items():
                key = group.found[place].id
                requests.append(runs.add_stop_request(connection, key, group.actor.label, order.entry.at))
            audit.add(connection, *(order.entry for order in orders.values()))
            ends: _Ends = dict.fromkeys(orders, (DONE, None))
            return ends

        await self._database.write(self._settle, group, stop)
        for request in requests:
            self._supervisor.active_runs.notify_stop(request)

    def _order(self, group: _Group, run: RunRow) -> StopOrder:
        entry = run_action(Action.RUN_STOP, run, before={"status": run.status.label})
        return StopOrder(group.actor.label, group.actor.entry(entry, self._now()))

    def _dequeue_runs(self, connection: WriteConnection, group: _Group, places: Sequence[int]) -> _Ends:
        ends: _Ends = {}
        for place in places:
            run = group.found[place]
            is_done = self._dequeue(connection, [run], group.actor, self._now())
            ends[place] = (
                (DONE, None if run.attempt > 1 else _deleted(run)) if is_done else (LEFT_OUT, "it has started")
            )
        return ends

    async def _delete(self, group: _Group, may_continue: Callable[[], bool]) -> None:
        places = {run.id: place for place, run in group.found.items()}

        def remove(connection: WriteConnection, keys: Sequence[int]) -> None:
            """Settle the items of runs that are removed in this transaction; ends it if one of them may not begin."""
            removed = [places[key] for key in keys]
            allowed = _allowed(connection, group.batch.id, removed)
            if allowed != removed:
                raise _StoppedError
            found = [group.found[place] for place in removed]
            before = [run_action(Action.RUN_DELETE, run, before={"status": run.status.label}) for run in found]
            audit.add(connection, *(group.actor.entry(each, self._now()) for each in before))
            ends = {place: (DONE, _deleted(group.found[place])) for place in removed}
            items.settle(connection, group.batch.id, ends)

        deleter = RunDeleter(self._database, may_continue, removing=remove)
        try:
            await deleter.delete(list(places), self._now(), self._now())
        except _StoppedError:
            return

        def settle_rest(connection: WriteConnection, group: _Group, rest: Sequence[int]) -> _Ends:
            is_there = runs.find_finished(connection, [group.found[place].id for place in rest])
            return {
                place: (FAILED, _KEPT) if group.found[place].id in is_there else (DONE, _deleted(group.found[place]))
                for place in rest
            }

        if not deleter.was_interrupted:
            await self._database.write(self._settle, group, settle_rest)

    def _settle(
        self,
        connection: WriteConnection,
        group: _Group,
        work: Callable[[WriteConnection, _Group, Sequence[int]], _Ends],
    ) -> None:
        """Do something to the runs of those items that may begin now, and settle these."""
        key = group.batch.id
        allowed = _allowed(connection, key, sorted(group.ends.keys() | group.found.keys()))
        ends = {place: end for place, end in group.ends.items() if place in allowed}
        ends |= work(connection, group, [place for place in allowed if place in group.found])
        items.settle(connection, key, ends)
        row = batches.get(connection, key)
        if row is not None and row.ended_at is None:
            failed = next((f"item {place}" for place, (state, _) in sorted(ends.items()) if state == FAILED), "")
            finish_round(connection, row, self._now(), failed)


class _StoppedError(Exception):
    """A batch was paused or cancelled, or another server was faster."""


def _allowed(connection: WriteConnection, batch: int, places: Sequence[int]) -> list[int]:
    """Return the places of those items that may begin in this commit, which locks their batch."""
    turns = Turns(connection, [ItemKey(batch, place) for place in places])
    return [place for place in places if turns.may_begin(ItemKey(batch, place))]


def _read_group(connection: ReadConnection, batch: BatchRow, actor: Actor, next_items: Sequence[ItemRow]) -> _Group:
    found: dict[int, RunRow] = {}
    ends: _Ends = {}
    permitted: dict[str, bool] = {}
    deletes = batch.action == DELETE
    known = run_history.find_summaries(connection, {item.source_run for item in next_items if item.source_run})
    for item in next_items:
        run = known.get(item.source_run or 0)
        if run is None:
            ends[item.place] = (LEFT_OUT, DELETED)
            continue
        if run.dag_name not in permitted:
            permitted[run.dag_name] = principals.may_change(
                connection, principal_of(actor), run.dag_name, deletes=deletes
            )
        if not permitted[run.dag_name]:
            what = "delete" if deletes else batch.action
            raise PauseError(f"{batch.created_by or 'its creator'} may not {what} runs of {run.dag_name} any more")
        if run.status in STATUSES[batch.action]:
            found[item.place] = run
        else:
            ends[item.place] = (LEFT_OUT, f"its run is {run.status.label}")
    return _Group(batch=batch, actor=actor, found=found, ends=ends)


def _deleted(run: RunRow) -> str:
    return f"run {run.run_id} of {run.dag_name} was deleted"
