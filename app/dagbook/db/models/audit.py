"""Audit log: entries, and seals that make changes of them detectable. Changes of the live feed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime, report_index
from dagbook.json_values import Json


class AuditEntry(Base):
    """One action, done or refused; stored in the transaction of the change, and never changed.

    ``via`` is how the actor was authenticated. ``kind`` and ``name`` identify the object, ``before`` and ``after`` are
    its changed fields. Ids are never reused; on PostgreSQL they have gaps where a transaction failed.
    """

    __tablename__ = "audit"
    __table_args__ = (
        CheckConstraint("outcome IN ('done', 'refused', 'failed')", name="outcome_known"),
        Index("ix_audit_actor", "actor", "at"),
        Index("ix_audit_action", "action", "at"),
        Index("ix_audit_name", "name", "at"),
        Index("ix_audit_at", "at"),
        Index("ix_audit_request_id", "request_id", "at"),
        report_index("audit", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str | None] = mapped_column(Text)
    via: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    token_id: Mapped[str | None] = mapped_column(Text)
    token_name: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    before: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    after: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    outcome: Mapped[str] = mapped_column(Text)


class AuditSeal(Base):
    """Seal over the entries after the previous seal, up to ``last_id``.

    ``digest`` covers the entries, ``hash`` the fields of the seal and the previous hash, and ``signature`` signs the
    hash with the installation's key. ``marks`` has 16 bytes per entry, its id and the start of its hash, to identify a
    changed entry; they are deleted when the entries are pruned. ``pruned_up_to`` is the last entry that the pruning
    deletes whose entry this seal covers, else 0; it is NULL in seals of version 0.1.0, whose hash does not cover it.
    """

    __tablename__ = "audit_seals"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number_counts_from_one"),
        CheckConstraint("first_id <= last_id", name="range_in_order"),
        CheckConstraint("entries >= 1", name="entries_not_empty"),
        CheckConstraint("length(digest) = 64 AND length(hash) = 64", name="hash_length"),
        CheckConstraint("(marks IS NULL) = (pruned_at IS NOT NULL)", name="marks_until_pruned"),
    )

    number: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    first_id: Mapped[int] = mapped_column(BigKey)
    last_id: Mapped[int] = mapped_column(BigKey, unique=True)
    entries: Mapped[int]
    digest: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    pruned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    marks: Mapped[bytes | None] = mapped_column(LargeBinary)
    pruned_up_to: Mapped[int | None] = mapped_column(BigKey)


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
    data: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
