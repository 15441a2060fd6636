"""Search tables of runs: tags, params and errors."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, UtcDateTime


class RunTag(Base):
    """A tag that the DAG had when the run was created; ``created_at`` is the run's.

    Tags, and names and values of params, are stored as keys (``dagbook.db.search_keys.index_key``).
    """

    __tablename__ = "run_tags"
    __table_args__ = (
        Index("ix_run_tags_tag", "tag", "created_at", "run_id"),
        {"sqlite_with_rowid": False},
    )

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    tag: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunParam(Base):
    """A parameter of a run, as in ``runs.params`` (secrets masked)."""

    __tablename__ = "run_params"
    __table_args__ = (
        Index("ix_run_params_name", "name", "value", "created_at", "run_id"),
        {"sqlite_with_rowid": False},
    )

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunError(Base):
    """Errors of the last finished attempt of a run and its nodes, one per line.

    The row of an attempt stays until the next attempt is finished.
    """

    __tablename__ = "run_errors"
    __table_args__ = (Index("ix_run_errors_created_at", "created_at", "run_id"),)

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    text: Mapped[str] = mapped_column(Text)
