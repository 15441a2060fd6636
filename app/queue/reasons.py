"""Why runs wait: found out when somebody asks, for every one of them; noted in its row of the one that is next.

Rows of those behind it say nothing: what holds them up is where they stand, which changes with each run that goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from app.db.database import Database, ReadConnection
from app.db.repositories import queue
from app.db.repositories.reading import Row
from app.engine.admission import (
    ActiveRun,
    Labels,
    QueueConfig,
    QueuedRun,
    QueueSnapshot,
    WaitReason,
    queued_behind,
    ready,
    wait_reason,
)
from app.runs.turns import holder_of, pause_of, workers_for


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands in its queue: the number of its entry, its priority, its position from 1, and why it waits."""

    item: int
    priority: int
    position: int
    wait: WaitReason


def explain(connection: ReadConnection, queues: QueueConfig, runs: Collection[int]) -> dict[int, Standing]:
    """Tell of those of the runs that wait, by their keys, how they stand."""
    names = queue.find_queues_of(connection, runs)
    if not names:
        return {}
    places = queue.find_places(connection, names, runs)
    first = [row for row in places if row["position"] == 1]
    heads = heads_of(queues, first, read_scenes(connection, names, first))
    return {
        row["run_id"]: standing(row["id"], row["priority"], row["position"], heads[row["queue"]])
        for row in places
        if row["run_id"] in runs
    }


def standing(item: int, priority: int, position: int, head: WaitReason) -> Standing:
    """Say how an entry stands in a queue whose first one waits as ``head`` says."""
    return Standing(item=item, priority=priority, position=position, wait=queued_behind(head, position - 1))


def heads_of(queues: QueueConfig, rows: Iterable[Row], scenes: Mapping[str, QueueSnapshot]) -> dict[str, WaitReason]:
    """Say why the first one of each queue waits; ``rows`` has their entries."""
    return {row["queue"]: _head_of(queues, row, scenes.get(row["queue"], QueueSnapshot())) for row in rows}


def _head_of(queues: QueueConfig, row: Row, scene: QueueSnapshot) -> WaitReason:
    # Whose entry it is makes no difference.
    entry = QueuedRun(0, row["queue"], row["max_active_runs"], row["selector"] or {})
    return wait_reason(entry, scene, queues) or ready(entry.queue)


def read_scenes(connection: ReadConnection, names: Collection[str], rows: Iterable[Row]) -> dict[str, QueueSnapshot]:
    """Read what goes on in queues, of which ``rows`` has the first entries."""
    live, pauses = queue.find_holders(connection, names), queue.find_pauses(connection)
    return make_scenes(names, live, pauses, workers_for(connection, rows))


def make_scenes(
    names: Iterable[str], live: Sequence[Row], pauses: Mapping[str, Row], workers: Sequence[Labels] | None
) -> dict[str, QueueSnapshot]:
    """Make of runs under way, pauses and the labels of workers what goes on in and around each queue."""
    holders: dict[str, list[ActiveRun]] = {}
    for run in live:
        holders.setdefault(run["queue"], []).append(holder_of(run))
    return {
        name: QueueSnapshot(
            active=len(holders.get(name, ())),
            active_runs=holders.get(name, ()),
            pause=pause_of(pauses.get(name)),
            workers=workers,
        )
        for name in names
    }


async def note_reasons(database: Database, queues: QueueConfig, names: Collection[str]) -> None:
    """Note in the rows of those that are next in these queues why they wait, as far as it has changed."""

    def find_changed(connection: ReadConnection) -> dict[int, str]:
        rows = [row for name in sorted(names) for row in queue.find_next(connection, name, 1)]
        waits = heads_of(queues, rows, read_scenes(connection, names, rows))
        return {row["id"]: waits[row["queue"]].text for row in rows if row["reason"] != waits[row["queue"]].text}

    changed = await database.read(find_changed)
    if changed:
        await database.write(lambda connection: queue.note_reasons(connection, changed), durable=False)
