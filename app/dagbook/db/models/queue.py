"""Queue entries, paused queues, and the pause of everything."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime


class QueueEntry(Base):
    """A queued run; ``reason`` is the wait reason of the next run in its queue once it has waited for a while.

    A queue is ordered by ``priority``, highest first, then by ``place``, which is below 0 after a move to the front,
    then by ``id``, the order of enqueuing. ``selector`` has the labels that a worker must have.
    """

    __tablename__ = "queue_entries"
    __table_args__ = (
        CheckConstraint("priority BETWEEN -1000 AND 1000", name="priority_known"),
        Index("ix_queue_entries_queue", "queue", text("priority DESC"), "place", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"), unique=True)
    queue: Mapped[str] = mapped_column(Text)
    priority: Mapped[int]
    place: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str | None] = mapped_column(Text)
    selector: Mapped[dict[str, str] | None] = mapped_column(OrderedJson)


class QueuePause(Base):
    """A paused queue: none of its runs is started until it is resumed.

    One whose ``until`` has passed, by the database's clock, counts as absent.
    """

    __tablename__ = "queue_pauses"

    queue: Mapped[str] = mapped_column(Text, primary_key=True)
    paused_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TotalPause(Base):
    """The pause of everything: no root run starts meanwhile, while active ones go on; one row at most.

    One whose ``until`` has passed counts as absent, and stays until the next one or its end by hand.
    """

    __tablename__ = "pauses"
    __table_args__ = (
        CheckConstraint("id = 1", name="only_one"),
        CheckConstraint("length(reason) >= 3", name="reason_length"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    paused_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)
