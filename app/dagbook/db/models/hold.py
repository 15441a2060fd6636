"""The hold of a restored database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, UtcDateTime


class Hold(Base):
    """While there is a row, no process takes over, starts, queues from or schedules a run; one row at most.

    ``origin`` is the name of the file that was restored.
    """

    __tablename__ = "holds"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    held_at: Mapped[datetime] = mapped_column(UtcDateTime)
    held_by: Mapped[str | None] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text)
