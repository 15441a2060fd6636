"""What waits."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigKey, UtcDateTime


class QueueEntry(Base):
    """A run that waits for its turn; ``reason`` says why, of the one that is next in its queue.

    A queue is served by ``priority`` (0 before 1), then by ``id``, which grows in the order of enqueuing.
    """

    __tablename__ = "queue_entries"
    __table_args__ = (
        CheckConstraint("priority IN (0, 1)", name="priority_known"),
        Index("ix_queue_entries_queue", "queue", "priority", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"), unique=True)
    queue: Mapped[str] = mapped_column(Text)
    priority: Mapped[int]
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str | None] = mapped_column(Text)
