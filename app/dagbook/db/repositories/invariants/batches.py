"""Checks of batches: one that has not ended goes on."""

from __future__ import annotations

from sqlalchemy import exists, or_, select

from dagbook.db.models import Batch, BatchItem, Run
from dagbook.db.models.batch import IS_BEGUN, IS_OPEN, IS_PLANNED
from dagbook.db.models.run import IS_ACTIVE
from dagbook.db.repositories.invariants.check import Check, a_server_works, ago

_BATCH = (Batch.id.label("batch"), Batch.created_by)
_has_open_item = exists().where(BatchItem.batch_id == Batch.id, or_(IS_PLANNED, IS_BEGUN))
_had_a_run = exists().where(
    BatchItem.batch_id == Batch.id, BatchItem.run_id == Run.id, or_(IS_ACTIVE, Run.finished_at > ago("hour_ago"))
)

CHECKS = (
    Check(
        name="open-batch-has-open-items",
        holds="A batch that has not ended has an item that is planned or begun.",
        broken=select(*_BATCH).where(IS_OPEN, ~_has_open_item),
    ),
    Check(
        name="open-batch-has-runs",
        holds="While a server works, a batch that is not paused has a run in each hour, unless queues are off.",
        broken=select(*_BATCH).where(
            IS_OPEN,
            Batch.paused_at.is_(None),
            Batch.created_at < ago("hour_ago"),
            ~_had_a_run,
            a_server_works(),
        ),
    ),
)
