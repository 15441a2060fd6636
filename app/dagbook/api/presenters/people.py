"""Presenter of users, sessions and tokens. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType

from dagbook.api.presenters.fields import instant_text, or_unset
from dagbook.api.schemas.people import Grant, Group, Session, Token, User
from dagbook.auth.roles import Role, Scope, UserScope
from dagbook.db.repositories.accounts.groups import GrantRow, GroupRow
from dagbook.db.repositories.accounts.sessions import SessionRow
from dagbook.db.repositories.accounts.tokens import TokenRow
from dagbook.db.repositories.accounts.users import UserRow


def user_body(row: UserRow) -> User:
    """Convert a user; the password hash is never included."""
    return User(
        id=row.id,
        username=row.username,
        role=Role(row.role),
        created_at=instant_text(row.created_at),
        updated_at=instant_text(row.updated_at),
        disabled=UNSET if row.disabled_at is None else True,
        issuer=UNSET if row.issuer is None else row.issuer,
        scope=UNSET if row.scope == UserScope.ALL else UserScope(row.scope),
    )


def session_body(row: SessionRow, current: str | None) -> Session:
    """Convert a session; ``current`` is the id of the one that asks."""
    return Session(
        id=row.id,
        user_id=row.user_id,
        username=row.username,
        browser=row.is_browser,
        address=row.address,
        agent=row.agent,
        created_at=instant_text(row.created_at),
        last_used_at=instant_text(row.last_used_at),
        expires_at=instant_text(row.expires_at),
        current=row.id == current,
    )


def token_body(row: TokenRow) -> Token:
    """Convert a personal token; its hash is never included."""
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        user_id=row.user_id,
        username=row.username,
        created_at=instant_text(row.created_at),
        expires_at=_instant(row.expires_at),
        revoked_at=_instant(row.revoked_at),
        last_used_at=_instant(row.last_used_at),
        scopes=UNSET if row.scopes is None else [Scope(scope) for scope in row.scopes.split()],
        addresses=UNSET if row.addresses is None else row.addresses.split(),
        dags=UNSET if row.patterns is None else sorted(row.patterns.split()),
    )


def group_body(row: GroupRow) -> Group:
    """Convert a group."""
    return Group(
        id=row.id,
        name=row.name,
        claim=row.claim or "",
        members=row.members,
        created_at=instant_text(row.created_at),
    )


def grant_body(row: GrantRow) -> Grant:
    """Convert a grant of a user or group."""
    return Grant(
        id=row.id,
        role=Role(row.role),
        user_id=or_unset(row.user_id),
        username=or_unset(row.username),
        group_id=or_unset(row.group_id),
        group_name=or_unset(row.group_name),
        pattern=or_unset(row.pattern),
        tag=or_unset(row.tag),
        created_at=instant_text(row.created_at),
        created_by=or_unset(row.created_by),
    )


def _instant(instant: datetime | None) -> str | UnsetType:
    return UNSET if instant is None else instant_text(instant)
