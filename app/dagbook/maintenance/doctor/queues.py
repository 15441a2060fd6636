"""Checks of queues."""

from __future__ import annotations

from sqlalchemy import select

from dagbook.db.models import QueueEntry, Run
from dagbook.maintenance.doctor.check import QUEUED, RUN, Check

_entries = select(*RUN, QueueEntry.queue).join(QueueEntry, QueueEntry.run_id == Run.id)

CHECKS = (
    Check(
        name="queued-run-has-a-place",
        holds="A queued run has an entry in a queue.",
        broken=select(*RUN, Run.queue)
        .outerjoin(QueueEntry, QueueEntry.run_id == Run.id)
        .where(Run.status == QUEUED, QueueEntry.id.is_(None)),
    ),
    Check(
        name="place-of-a-queued-run",
        holds="Only queued runs have an entry in a queue.",
        broken=_entries.add_columns(Run.status).where(Run.status != QUEUED),
    ),
    Check(
        name="place-in-the-runs-queue",
        holds="A run waits in the queue that it names.",
        broken=_entries.add_columns(Run.queue.label("run_queue")).where(QueueEntry.queue != Run.queue),
    ),
    Check(
        name="no-sub-run-waits",
        holds="No sub-run waits in a queue: its root run counts.",
        broken=_entries.where(Run.root_id.is_not(None)),
    ),
)
