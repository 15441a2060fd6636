"""Blocks of runs: what lists show without looking at the runs themselves."""

from __future__ import annotations

from sqlalchemy import func, or_, select

from app.db.models import Run, RunBlock
from app.db.repositories.block_store import OF_BLOCK
from app.upkeep.invariants.check import IS_UNDER_WAY, Check

_BLOCK = (RunBlock.dag_name, RunBlock.newest)
_stored = select(func.count()).select_from(Run).where(OF_BLOCK).scalar_subquery()
_under_way = select(func.count()).select_from(Run).where(OF_BLOCK, IS_UNDER_WAY).scalar_subquery()

CHECKS = (
    Check(
        name="block-has-its-runs",
        holds="A block with text has all runs of its DAG from its time, and all of them are over.",
        broken=select(*_BLOCK, RunBlock.runs, _stored.label("stored"), _under_way.label("under_way")).where(
            RunBlock.items.is_not(None), or_(RunBlock.runs != _stored, _under_way > 0)
        ),
    ),
)
