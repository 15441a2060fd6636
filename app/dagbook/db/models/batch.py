"""Batches: lists of scheduled times to start, or of runs to do again, that servers work off."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime
from dagbook.json_values import Json

# The words of the columns with the same names; a CHECK holds each.
BATCH_ACTIONS = ("start", "retry", "again", "stop", "dequeue", "delete")
ITEM_STATES = ("planned", "begun", "done", "failed", "left_out")
# Literals, as in the conditions of the partial indexes.
IS_OPEN = text("batches.ended_at IS NULL")
IS_PLANNED, IS_BEGUN = text("batch_items.state = 'planned'"), text("batch_items.state = 'begun'")
HOLDS_DATE = text("batch_items.minute IS NOT NULL AND batch_items.state IN ('planned', 'begun')")
_IS_OPEN, _HOLDS_DATE = text("ended_at IS NULL"), text("minute IS NOT NULL AND state IN ('planned', 'begun')")
_IS_PLANNED, _IS_BEGUN = text("state = 'planned'"), text("state = 'begun'")
_HAS_SOURCE = text("source_run IS NOT NULL")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


class Batch(Base):
    """What was asked for many runs at once, and how they are done: at most ``parallel`` at a time.

    ``filter`` is what was asked, from which the items were made once. ``params`` are formats of the scheduled time.
    ``revision`` is the text that runs: ``current``, ``original`` or a number. ``actor`` is who has asked, whose rights
    count for each item. ``ended_at`` is set while no item is planned or begun.
    """

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint(_one_of("action", BATCH_ACTIONS), name="action_known"),
        CheckConstraint("parallel BETWEEN 1 AND 100", name="parallel_known"),
        CheckConstraint("item_order IN ('oldest', 'newest')", name="order_known"),
        CheckConstraint("on_failure IN ('continue', 'stop')", name="on_failure_known"),
        CheckConstraint("paused_at IS NOT NULL OR paused_by IS NULL AND paused_why IS NULL", name="paused_at_a_time"),
        CheckConstraint("cancelled_at IS NOT NULL OR cancelled_by IS NULL", name="cancelled_at_a_time"),
        Index("ix_batches_open", "id", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    action: Mapped[str] = mapped_column(Text)
    dag_id: Mapped[int | None] = mapped_column(BigKey)
    filter: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    params: Mapped[dict[str, str]] = mapped_column(OrderedJson)
    revision: Mapped[str] = mapped_column(Text)
    parallel: Mapped[int]
    item_order: Mapped[str] = mapped_column(Text)
    on_failure: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_by_id: Mapped[str | None] = mapped_column(Text)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(Text)
    paused_why: Mapped[str | None] = mapped_column(Text)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_by: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class BatchItem(Base):
    """A scheduled time of a DAG, in ``zone``, or a run to do again: ``source_run``.

    It is ``begun`` in the commit that accepts its run, or the ``attempt`` of the source that it is, and settled when
    that has finished. Two open batches never hold one scheduled time.
    """

    __tablename__ = "batch_items"
    __table_args__ = (
        CheckConstraint(_one_of("state", ITEM_STATES), name="state_known"),
        CheckConstraint("place >= 1", name="place_from_one"),
        CheckConstraint("(minute IS NULL) = (zone IS NULL)", name="zone_of_minute"),
        Index("uq_batch_items_minute", "batch_id", "dag_id", "minute", unique=True),
        Index("uq_batch_items_source", "batch_id", "source_run", unique=True),
        Index(
            "uq_batch_items_held",
            *("dag_id", "minute"),
            unique=True,
            sqlite_where=_HOLDS_DATE,
            postgresql_where=_HOLDS_DATE,
        ),
        Index("ix_batch_items_planned", "batch_id", "place", sqlite_where=_IS_PLANNED, postgresql_where=_IS_PLANNED),
        Index("ix_batch_items_begun", "batch_id", "place", sqlite_where=_IS_BEGUN, postgresql_where=_IS_BEGUN),
        Index("ix_batch_items_source_run", "source_run", sqlite_where=_HAS_SOURCE, postgresql_where=_HAS_SOURCE),
        Index("ix_batch_items_run_id", "run_id"),
    )

    batch_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    dag_id: Mapped[int | None] = mapped_column(BigKey)
    minute: Mapped[datetime | None] = mapped_column(UtcDateTime)
    zone: Mapped[str | None] = mapped_column(Text)
    source_run: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"))
    run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"))
    attempt: Mapped[int | None]
    state: Mapped[str] = mapped_column(Text)
    why: Mapped[str | None] = mapped_column(Text)
