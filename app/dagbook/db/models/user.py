"""People, and the tokens they made for their programs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, UtcDateTime

_LIVE = text("revoked_at IS NULL")
_ROLES = "role IN ('viewer', 'operator', 'manager', 'admin')"


class User(Base):
    """Somebody who can log in.

    A login's token holds the ``generation`` it was made in and counts in no other, but for the one whose hash is
    ``kept_token``: it made the change that began this generation.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("length(username) BETWEEN 1 AND 64", name="username_length"),
        CheckConstraint(_ROLES, name="role_known"),
        CheckConstraint("generation > 0", name="generation_counts"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    username: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    generation: Mapped[int]
    kept_token: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(Base):
    """A personal API token: what it may do is the lesser of its role and its user's. Only its hash is stored."""

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 64", name="name_length"),
        CheckConstraint(_ROLES, name="role_known"),
        CheckConstraint("length(hash) = 64", name="hash_length"),
        CheckConstraint("expires_at > created_at", name="expires_later"),
        Index("uq_tokens_live_name", "user_id", "name", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
