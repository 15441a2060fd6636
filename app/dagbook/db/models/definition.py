"""Definitions by content hash, stored DAGs, their revisions and retention settings; runs that are being deleted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, and_
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import Label

from dagbook.db.statements import is_current
from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime


class Definition(Base):
    """A YAML text with its base text; the key is the SHA-256 of both. Never changed; may be redacted once."""

    __tablename__ = "definitions"
    __table_args__ = (
        CheckConstraint("(redacted_at IS NULL) = (redacted_by IS NULL)", name="redacted_by_somebody"),
        CheckConstraint("spec IS NOT NULL OR redacted_at IS NOT NULL", name="text_or_redacted"),
    )

    hash: Mapped[str] = mapped_column(Text, primary_key=True)
    spec: Mapped[str | None] = mapped_column(Text)
    base: Mapped[str | None] = mapped_column(Text)
    redacted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    redacted_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Dag(Base):
    """A stored DAG: its file name and its current definition.

    It is suspended while ``suspended`` is true and ``suspended_until`` has not passed by the database's clock.
    """

    __tablename__ = "dags"
    __table_args__ = (
        Index("ix_dags_dag_name", "dag_name"),
        Index("ix_dags_definition_hash", "definition_hash"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    file_name: Mapped[str] = mapped_column(Text, unique=True)
    dag_name: Mapped[str] = mapped_column(Text)
    definition_hash: Mapped[str] = mapped_column(Text, ForeignKey("definitions.hash"))
    revision: Mapped[int]
    suspended: Mapped[bool]
    suspend_reason: Mapped[str | None] = mapped_column(Text)
    suspended_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    suspended_by: Mapped[str | None] = mapped_column(Text)
    source_directory: Mapped[str | None] = mapped_column(Text)
    run_as: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(OrderedJson)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


def is_suspended() -> Label[bool]:
    """Return the column ``suspended`` of DAGs whose suspension has not ended."""
    return and_(Dag.suspended, is_current(Dag.suspended_until)).label("suspended")


class DagRevision(Base):
    """A saved revision of a DAG.

    ``author_id`` is the user whose rights count for the calls of runs without a person, ``author_token_id`` the token
    that limited them. NULL is no limit: a source, an import, a server without users. They refer to no row, because a
    deleted user has no rights.
    """

    __tablename__ = "dag_revisions"
    __table_args__ = (Index("ix_dag_revisions_definition_hash", "definition_hash"),)

    dag_id: Mapped[int] = mapped_column(BigKey, ForeignKey("dags.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    definition_hash: Mapped[str] = mapped_column(Text, ForeignKey("definitions.hash"))
    author: Mapped[str | None] = mapped_column(Text)
    author_id: Mapped[str | None] = mapped_column(Text)
    author_token_id: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    source_commit: Mapped[str | None] = mapped_column(Text)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)


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
