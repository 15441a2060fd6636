"""Retention settings of DAGs, and runs that are being deleted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, UtcDateTime


class DagRetention(Base):
    """Retention settings of one DAG: -1 is no limit, null is not set."""

    __tablename__ = "dag_retention"
    __table_args__ = (CheckConstraint("days >= -1 AND runs >= -1 AND log_bytes >= -1", name="limits_from_minus_one"),)

    dag_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("dags.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    days: Mapped[int | None]
    runs: Mapped[int | None]
    log_bytes: Mapped[int | None] = mapped_column(BigInteger)
    set_at: Mapped[datetime] = mapped_column(UtcDateTime)
    set_by: Mapped[str | None] = mapped_column(Text)


class Removal(Base):
    """A root run that is deleted in several transactions, because its logs are too large for one; no more retries."""

    __tablename__ = "removals"

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime)
