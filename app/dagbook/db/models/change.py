"""What people can see to have changed: the live feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime


class Change(Base):
    """A committed change, stored in the commit that makes it; rows go after a day.

    ``xact`` is the number of the transaction on PostgreSQL, by which changes are ordered before ``number``: who took
    a lower number may commit later. On SQLite, where numbers are in the order of commits, it is 0. A change refers to
    nothing, for what it tells of may be gone. ``event`` is the last number in the run's history by then.
    """

    __tablename__ = "changes"
    __table_args__ = (
        # On SQLite the key does; a partial index that holds nothing costs nothing there.
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
