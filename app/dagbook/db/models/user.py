"""Users, their sessions, API tokens and addresses, counts of failed logins; groups, and grants of DAGs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, UtcDateTime

_LIVE = text("revoked_at IS NULL")
_ROLES = "role IN ('viewer', 'operator', 'manager', 'admin')"


class User(Base):
    """A user who can log in.

    ``generation`` and ``kept_token`` ended the logins of servers before 0.2.0, which may run beside this one. They are
    not read any more. ``issuer`` and ``subject`` name the account at a provider; such a user has no password hash.
    With ``scope`` "granted" only grants count, and the role is only shown.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("length(username) BETWEEN 1 AND 64", name="username_length"),
        CheckConstraint(_ROLES, name="role_known"),
        CheckConstraint("generation > 0", name="generation_counts"),
        Index("uq_users_issuer_subject", "issuer", "subject", unique=True),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    username: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    generation: Mapped[int]
    kept_token: Mapped[str | None] = mapped_column(Text)
    issuer: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    scope: Mapped[str] = mapped_column(
        Text, CheckConstraint("scope IN ('all', 'granted')", name="scope_known"), server_default="all"
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Session(Base):
    """A login, which the ``jti`` of its token names; the token itself is not stored.

    That of a browser came with a cookie, and is valid as a cookie only. ``last_used_at`` is written once a minute.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("length(id) BETWEEN 1 AND 64", name="id_length"),
        CheckConstraint("length(agent) <= 200", name="agent_length"),
        CheckConstraint("expires_at >= created_at", name="expires_later"),
        CheckConstraint("(ended_at IS NULL) = (ended_as IS NULL)", name="end_complete"),
        Index("ix_sessions_user_id_created_at", "user_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, ForeignKey("users.id", ondelete="CASCADE"))
    is_browser: Mapped[bool]
    address: Mapped[str] = mapped_column(Text)
    agent: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_as: Mapped[str | None] = mapped_column(Text)


class Token(Base):
    """A personal API token: its effective role is the lower of its own and its user's. Only its hash is stored.

    ``scopes`` and ``addresses`` limit it further; they are words with a blank between two, NULL is no limit.
    """

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
    scopes: Mapped[str | None] = mapped_column(Text)
    addresses: Mapped[str | None] = mapped_column(Text)


class LoginAddress(Base):
    """A network that a user has logged in from: not used since 0.2.0, and dropped by the release after it."""

    __tablename__ = "login_addresses"
    __table_args__ = (CheckConstraint("length(network) BETWEEN 1 AND 64", name="network_length"),)

    user_id: Mapped[str] = mapped_column(Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    network: Mapped[str] = mapped_column(Text, primary_key=True, index=True)
    last_login_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginFailure(Base):
    """Failed logins of a name, an address, or both: not used since 0.2.0, and dropped by the release after it."""

    __tablename__ = "login_failures"
    __table_args__ = (
        CheckConstraint("length(key) = 64", name="key_length"),
        CheckConstraint("count >= 0", name="count_positive"),
    )

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Group(Base):
    """A group of users. Members by ``claim``, written CLAIM=VALUE, are read at each login at the provider."""

    __tablename__ = "user_groups"
    __table_args__ = (CheckConstraint("length(name) BETWEEN 1 AND 64", name="name_length"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    claim: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class GroupMember(Base):
    """A member of a group, by hand or by the group's claim."""

    __tablename__ = "user_group_members"

    group_id: Mapped[str] = mapped_column(Text, ForeignKey("user_groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    by_claim: Mapped[bool]


class Grant(Base):
    """A role for the DAGs with a name that ``pattern`` matches, or with ``tag``.

    ``subject`` is user, group or token: its kind, a colon and its id. That of a token limits it.
    """

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint(
            "(CASE WHEN user_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN group_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN token_id IS NULL THEN 0 ELSE 1 END) = 1",
            name="one_subject",
        ),
        CheckConstraint("role IN ('viewer', 'operator', 'manager')", name="role_known"),
        CheckConstraint("(pattern IS NULL) <> (tag IS NULL)", name="pattern_or_tag"),
        UniqueConstraint("subject", "pattern"),
        UniqueConstraint("subject", "tag"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    group_id: Mapped[str | None] = mapped_column(Text, ForeignKey("user_groups.id", ondelete="CASCADE"), index=True)
    token_id: Mapped[str | None] = mapped_column(Text, ForeignKey("tokens.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(Text)
    pattern: Mapped[str | None] = mapped_column(Text)
    tag: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str | None] = mapped_column(Text)


class DagAccess(Base):
    """The highest role that grants give a subject for a DAG name, as a rank: 0 viewer, 1 operator, 2 manager.

    It follows from the grants, and is kept in the transactions that change them, or the names or tags of DAGs.
    """

    __tablename__ = "dag_access"
    __table_args__ = (
        CheckConstraint("rank BETWEEN 0 AND 2", name="rank_known"),
        Index("ix_dag_access_subject", "subject", "dag_name"),
        {"sqlite_with_rowid": False},
    )

    dag_name: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    rank: Mapped[int] = mapped_column(SmallInteger)
