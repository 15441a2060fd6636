"""Why runs wait in queues: computed on request for every queued run, stored for the head of each queue.

The rows of other entries have no reason: they wait for those before them, which changes with each start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import queue
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.queue import PauseRow
from dagbook.engine.admission import (
    ANOTHER_RUN,
    ActiveRun,
    Labels,
    Pause,
    QueueConfig,
    QueuedRun,
    QueueSnapshot,
    WaitReason,
    queued_behind,
    ready,
    wait_reason,
)
from dagbook.runs.store.queue_head import HolderRow, WaitingRow, holder_of, pause_of, read_total_pause, workers_for


class QueuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """The queue position of a run: entry id, priority, position from 1, and wait reason."""

    item: int
    priority: int
    position: int
    wait: WaitReason


class Pauses(msgspec.Struct, frozen=True):
    """The pauses of queues by name, and that of everything."""

    queues: Mapping[str, PauseRow]
    everything: Pause | None = None


def queue_positions(
    connection: ReadConnection, queues: QueueConfig, runs: Collection[int], visibility: Visibility = EVERYTHING
) -> dict[int, QueuePosition]:
    """Return the queue position and wait reason of each queued run, by run key; of the others only what is visible."""
    names = queue.find_queues_of(connection, runs)
    if not names:
        return {}
    places = queue.find_positions(connection, names, runs)
    first = [row for row in places if row.position == 1]
    heads = head_reasons(queues, first, read_states(connection, names, first, visibility))
    return {
        row.run_id: queue_position(row.id, row.priority, row.position, heads[row.queue])
        for row in places
        if row.run_id in runs
    }


def queue_position(item: int, priority: int, position: int, head: WaitReason) -> QueuePosition:
    """Make the queue position of an entry; ``head`` is the wait reason of the first one."""
    return QueuePosition(item=item, priority=priority, position=position, wait=queued_behind(head, position - 1))


def head_reasons(
    queues: QueueConfig, rows: Iterable[WaitingRow], states: Mapping[str, QueueSnapshot]
) -> dict[str, WaitReason]:
    """Return the wait reason of the first entry of each queue; ``rows`` has these entries."""
    reasons = {}
    for row in rows:
        # The run's key does not matter here.
        selector, is_sub_run = row.selector or {}, row.root_id is not None
        entry = QueuedRun(0, row.queue, row.max_active_runs, selector, row.dag_name, is_sub_run)
        reason = wait_reason(entry, states.get(row.queue, QueueSnapshot()), queues)
        reasons[row.queue] = reason or ready(entry.queue)
    return reasons


def read_states(
    connection: ReadConnection, names: Collection[str], rows: Iterable[WaitingRow], visibility: Visibility = EVERYTHING
) -> dict[str, QueueSnapshot]:
    """Read the state of queues; ``rows`` has their first entries."""
    active, pauses = queue.find_active_runs(connection, names), read_pauses(connection)
    visible = find_visible_names(connection, active, visibility)
    return make_states(names, active, pauses, workers_for(connection, rows), visible)


def read_pauses(connection: ReadConnection) -> Pauses:
    """Read the pauses of queues, and that of everything."""
    return Pauses(queue.find_pauses(connection), read_total_pause(connection))


def find_visible_names(
    connection: ReadConnection, runs: Iterable[HolderRow], visibility: Visibility
) -> Collection[str] | None:
    """Return the DAG names of runs that are visible; None if all are."""
    return dag_access.find_visible(connection, {run.dag_name for run in runs}, visibility) if visibility else None


def make_states(
    names: Iterable[str],
    active: Sequence[HolderRow],
    pauses: Pauses,
    workers: Sequence[Labels] | None,
    visible: Collection[str] | None = None,
) -> dict[str, QueueSnapshot]:
    """Make the state of each queue from active runs, pauses and the labels of workers.

    Runs whose DAG names are not ``visible`` count, but are not named.
    """
    holders: dict[str, list[ActiveRun]] = {}
    own: dict[str, list[ActiveRun]] = {}
    for run in active:
        is_visible = visible is None or run.dag_name in visible
        holder = holder_of(run) if is_visible else ActiveRun(ANOTHER_RUN, "")
        for found in (holders, own) if run.dag_name == run.queue else (holders,):
            found.setdefault(run.queue, []).append(holder)
    return {
        name: QueueSnapshot(
            active=len(holders.get(name, ())),
            active_runs=holders.get(name, ()),
            own=len(own.get(name, ())),
            own_runs=own.get(name, ()),
            pause=pause_of(pauses.queues.get(name)),
            total_pause=pauses.everything,
            workers=workers,
        )
        for name in names
    }


async def store_reasons(database: Database, queues: QueueConfig, names: Collection[str]) -> None:
    """Store the wait reason of the first entry of each queue if it has changed."""

    def find_changed(connection: ReadConnection) -> dict[int, str]:
        rows = [row for name in sorted(names) for row in queue.find_next(connection, name, 1)]
        waits = head_reasons(queues, rows, read_states(connection, names, rows))
        return {row.id: waits[row.queue].text for row in rows if row.reason != waits[row.queue].text}

    changed = await database.read(find_changed)
    if changed:
        await database.write(queue.store_reasons, changed, durable=False)
