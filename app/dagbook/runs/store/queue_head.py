"""Whose turn it is in a queue, as the rows say: read by those who serve queues, and by the commit that begins a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import queue, services
from dagbook.db.repositories.rows import Row
from dagbook.engine.admission import (
    ActiveRun,
    AdmissionResult,
    Labels,
    Pause,
    QueueConfig,
    QueuedRun,
    QueueSnapshot,
    admit,
    wait_reason,
)

MAX_RELEASED = 64  # runs of one queue that are begun in one go
_NONE_ADMITTED = AdmissionResult((), {})


class QueueHead(msgspec.Struct, frozen=True):
    """The entries of a queue that had to be looked at, and who of them may go.

    ``carried`` are those of them that are for workers, with the labels that these must have.
    """

    rows: Sequence[Row] = ()
    admission: AdmissionResult = _NONE_ADMITTED
    for_workers: Mapping[int, Labels] = {}


def read_queue_head(connection: ReadConnection, name: str, queues: QueueConfig, most: int) -> QueueHead:
    """See who may go now, reading no more entries than there are free places, and no more than ``most``."""
    head = queue.find_next(connection, name, 1)
    if not head:  # as after most ends of runs
        return QueueHead()
    entry = entry_of(head[0])
    live = queue.count_active(connection, [name]).get(name, 0)
    scene = QueueSnapshot(active=live, pause=pause_of(head[0]), workers=workers_for(connection, head))
    limit = queues.limit(entry)
    room = most if limit is None else min(limit - scene.active, most)
    if room > 1 and wait_reason(entry, scene, queues) is None:
        head = queue.find_next(connection, name, room)
        scene = msgspec.structs.replace(scene, workers=workers_for(connection, head))
    admission = admit([entry_of(row) for row in head], {name: scene}, queues)
    return QueueHead(head, admission, {} if queues.ignore_selectors else _for_workers(head, admission))


def workers_for(connection: ReadConnection, rows: Iterable[Row]) -> Sequence[Labels] | None:
    """Give the labels of the workers that are alive, if any of the entries asks for one."""
    return services.find_worker_labels(connection) if any(row["selector"] for row in rows) else None


def _for_workers(rows: Sequence[Row], admission: AdmissionResult) -> dict[int, Labels]:
    wanted = {row["run_id"]: row["selector"] for row in rows if row["selector"]}
    return {run: wanted[run] for run in admission.released if run in wanted}


def entry_of(row: Row) -> QueuedRun:
    """Give an entry as the engine takes it."""
    return QueuedRun(row["run_id"], row["queue"], row["max_active_runs"], row["selector"] or {})


def pause_of(row: Row | None) -> Pause | None:
    """Give the pause that comes with a row, if there is one."""
    return None if row is None or row["paused_at"] is None else Pause(row["paused_at"], row["paused_by"])


def holder_of(run: Row) -> ActiveRun:
    """Give a run that is under way as the engine takes it."""
    return ActiveRun(run["dag_name"], run["run_id"], run["started_at"])
