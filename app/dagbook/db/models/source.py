"""Sources of definitions, directories and Git repositories, and the files in them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime
from dagbook.json_values import Json


class Source(Base):
    """A directory or a Git repository whose files are definitions; ``problem`` is why its last sync failed."""

    __tablename__ = "sources"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 64", name="name_length"),
        CheckConstraint("kind IN ('directory', 'git')", name="kind_known"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    branch: Mapped[str | None] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    writable: Mapped[bool]
    adopt: Mapped[bool]
    credentials: Mapped[str | None] = mapped_column(Text)
    hook_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    configured: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str | None] = mapped_column(Text)
    synced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    source_commit: Mapped[str | None] = mapped_column(Text)
    problem: Mapped[str | None] = mapped_column(Text)
    problem_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SourceFile(Base):
    """A file of a source, by its path: the content that was read last, its DAG, and its problems.

    ``resumes`` says that the sync suspended the DAG because the file was removed, and resumes it when it is back.
    """

    __tablename__ = "source_files"

    source_id: Mapped[int] = mapped_column(BigKey, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    dag_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("dags.id", ondelete="SET NULL"), unique=True)
    content: Mapped[str] = mapped_column(Text)
    definition_hash: Mapped[str | None] = mapped_column(Text)
    source_commit: Mapped[str | None] = mapped_column(Text)
    problems: Mapped[list[Json] | None] = mapped_column(OrderedJson)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resumes: Mapped[bool]
