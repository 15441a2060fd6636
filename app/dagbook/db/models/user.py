"""Users, their API tokens and addresses, and counts of failed logins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, UtcDateTime

_LIVE = text("revoked_at IS NULL")
_ROLES = "role IN ('viewer', 'operator', 'manager', 'admin')"


class User(Base):
    """A user who can log in.

    A login token contains the ``generation`` it was issued in and is valid only for that one, except the token with the
    hash ``kept_token``, which made the change that started the current generation.
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
    """A personal API token: its effective role is the lower of its own and its user's. Only its hash is stored."""

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


class LoginAddress(Base):
    """A network that a user has logged in from."""

    __tablename__ = "login_addresses"
    __table_args__ = (CheckConstraint("length(network) BETWEEN 1 AND 64", name="network_length"),)

    user_id: Mapped[str] = mapped_column(Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    network: Mapped[str] = mapped_column(Text, primary_key=True, index=True)
    last_login_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginFailure(Base):
    """Failed logins of one key: a name, an address, or both; ``key`` is a hash, since a name may be a password.

    The count is void from ``expires_at``.
    """

    __tablename__ = "login_failures"
    __table_args__ = (
        CheckConstraint("length(key) = 64", name="key_length"),
        CheckConstraint("count >= 0", name="count_positive"),
    )

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
