"""Checks of schedule slots."""

from __future__ import annotations

from sqlalchemy import func, select

from dagbook.db.models import Run, ScheduleSlot
from dagbook.maintenance.doctor.check import RUN, Check

_SCHEDULE = "schedule"
_OLDEST_KEPT = select(func.min(ScheduleSlot.minute)).scalar_subquery()  # slots are deleted before their runs

CHECKS = (
    Check(
        name="scheduled-run-has-its-slot",
        holds="A run that a schedule started belongs to a firing of that schedule.",
        broken=select(*RUN)
        .outerjoin(ScheduleSlot, ScheduleSlot.run_id == Run.id)
        .where(Run.trigger == _SCHEDULE, ScheduleSlot.run_id.is_(None), Run.created_at >= _OLDEST_KEPT),
    ),
)
