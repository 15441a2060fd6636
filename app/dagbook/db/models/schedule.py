"""Schedule slots and their outcomes, and settings of DAGs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, CatchUp, SlotResult, UtcDateTime, report_index
from dagbook.spec.time.schedule import Kind

_IS_RESTARTING = text("outcome = 'restarting'")
_IS_PENDING = text("outcome = 'suspended' AND made_up")


class ScheduleSlot(Base):
    """A minute at which a start, stop or restart of a DAG was due; the server that inserts the row handles it.

    The row outlives its DAG, whose ``file_name`` it stores. ``run_id`` is the started run, ``restarts`` the run that is
    stopped for it; both may be deleted. ``made_up`` is true for a slot caught up because no server was running then, or
    because everything was paused; while it is, the slot is ``suspended``.
    """

    __tablename__ = "schedule_slots"
    __table_args__ = (
        CheckConstraint("kind IN ('start', 'stop', 'restart')", name="kind_known"),
        CheckConstraint(
            "outcome IN ('started', 'queued', 'stopped', 'restarting', 'restarted', "
            "'skipped', 'suspended', 'missed', 'failed')",
            name="outcome_known",
        ),
        CheckConstraint("run_id IS NULL OR outcome IN ('started', 'queued', 'restarted')", name="run_only_when_begun"),
        Index("ix_schedule_slots_minute", "minute"),
        Index("ix_schedule_slots_restarting", "minute", sqlite_where=_IS_RESTARTING, postgresql_where=_IS_RESTARTING),
        Index("ix_schedule_slots_pending", "minute", sqlite_where=_IS_PENDING, postgresql_where=_IS_PENDING),
        Index("ix_schedule_slots_file_name", "file_name", "minute"),
        report_index("schedule_slots", "minute"),
    )

    dag_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    kind: Mapped[Kind] = mapped_column(Text, primary_key=True)
    minute: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    file_name: Mapped[str] = mapped_column(Text)
    outcome: Mapped[SlotResult] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"), unique=True)
    restarts: Mapped[int | None] = mapped_column(BigKey)
    made_up: Mapped[bool]
    settled_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ScheduleMark(Base):
    """The last minute that any server has handled; one row."""

    __tablename__ = "schedule_marks"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    minute: Mapped[datetime] = mapped_column(UtcDateTime)


class DagSetting(Base):
    """Settings of a DAG outside its definition: which missed starts are caught up, and how old they may be."""

    __tablename__ = "dag_settings"
    __table_args__ = (
        CheckConstraint("catchup IN ('none', 'latest', 'all')", name="catchup_known"),
        CheckConstraint("catchup_window_seconds > 0", name="window_above_zero"),
    )

    dag_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("dags.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    catchup: Mapped[CatchUp] = mapped_column(Text)
    catchup_window_seconds: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_by: Mapped[str | None] = mapped_column(Text)
