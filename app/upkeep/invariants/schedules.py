"""What schedules have begun."""

from __future__ import annotations

from sqlalchemy import select

from app.db.models import Run, ScheduleSlot
from app.upkeep.invariants.check import RUN, Check

_SCHEDULE = "schedule"

CHECKS = (
    Check(
        name="scheduled-run-has-its-slot",
        holds="A run that a schedule began belongs to a time of that schedule.",
        broken=select(*RUN)
        .outerjoin(ScheduleSlot, ScheduleSlot.run_id == Run.id)
        .where(Run.trigger == _SCHEDULE, ScheduleSlot.run_id.is_(None)),
    ),
)
