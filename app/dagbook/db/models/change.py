"""Changes of the live feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime


class Change(Base):
    """A change, stored in the same transaction; rows are deleted after a day.

    ``xact`` is the transaction id on PostgreSQL, by which changes are ordered before ``number``, because a lower number
    may be committed later. On SQLite, where numbers are in the order of commits, it is 0. There are no foreign keys,
    because the changed object may be deleted. ``event`` is the number of the run's last event at that time.
    """

    __tablename__ = "changes"
    __table_args__ = (
        # On SQLite the primary key is enough; the condition keeps the index empty and free there.
        Index("ix_changes_xact", "xact", "number", sqlite_where=text("xact > 0")),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(BigKey, primary_key=True)
    xact: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(Text)
    dag_name: Mapped[str | None] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(Text)
    root_name: Mapped[str | None] = mapped_column(Text)
    root_run_id: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int | None]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    event: Mapped[int | None]
    data: Mapped[Any] = mapped_column(OrderedJson, nullable=True)
