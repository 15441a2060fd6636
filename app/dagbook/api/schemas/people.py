"""Schemas of users, logins, sessions and personal tokens (tags auth, users; the last two are extensions)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.auth.roles import Role, Scope

# Documented here but checked by the use cases, because in the contract other checks come first.
_NOT_EMPTY = {"extra": {"minLength": 1}}
_NAME = {"extra": {"minLength": 1, "maxLength": 64}}
_PASSWORD = {"extra": {"minLength": 8}}

Name = Annotated[str, Meta(extra_json_schema=_NAME)]
NewPassword = Annotated[str, Meta(extra_json_schema=_PASSWORD)]
NotEmpty = Annotated[str, Meta(extra_json_schema=_NOT_EMPTY)]
Instant = Annotated[str, Meta(extra_json_schema={"extra": {"format": "date-time"}})]


class LoginRequest(Schema, kw_only=True):
    """Username and password."""

    username: NotEmpty
    password: NotEmpty


class StartSessionRequest(Schema, kw_only=True):
    """Username and password or, where there are no users, the token of the settings."""

    username: str = ""
    password: str = ""
    token: str = ""


class User(Schema, kw_only=True):
    """A user account; ``disabled`` and the ``issuer`` of an account at a provider are there only if they apply."""

    id: str
    username: str
    role: Role
    created_at: Instant
    updated_at: Instant
    disabled: bool | UnsetType = UNSET
    issuer: str | UnsetType = UNSET


class LoginResponse(Schema, kw_only=True):
    """The token of a login."""

    token: str
    expires_at: Instant
    user: User


class Session(Schema, kw_only=True):
    """A login of a user; ``agent`` is what the program says of itself, ``current`` marks the session that asks."""

    id: str
    user_id: str
    username: str
    browser: bool
    address: str
    agent: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    current: bool


class Sessions(Schema, kw_only=True):
    """Open sessions, the last used first."""

    sessions: list[Session]


class BrowserSession(Schema, kw_only=True):
    """The session of a browser; ``csrf_token`` goes into the header ``X-CSRF-Token`` of every change."""

    csrf_token: str
    expires_at: Instant | UnsetType = UNSET
    user: User | UnsetType = UNSET


class EndedSessions(Schema, kw_only=True):
    """How many sessions were ended."""

    ended: int


class UserResponse(Schema, kw_only=True):
    """One user."""

    user: User


class UsersListResponse(Schema, kw_only=True):
    """All users."""

    users: list[User]


class ChangePasswordRequest(Schema, kw_only=True):
    """The caller's current password and the new one."""

    current_password: NotEmpty
    new_password: NewPassword


class ResetPasswordRequest(Schema, kw_only=True):
    """The new password of a user."""

    new_password: NewPassword


class CreateUserRequest(Schema, kw_only=True):
    """A new user."""

    username: Name
    password: NewPassword
    role: Role


class UpdateUserRequest(Schema, kw_only=True):
    """Changes of a user; an omitted field is not changed."""

    username: Name | None = None
    role: Role | None = None
    disabled: bool | None = None


class SuccessResponse(Schema, kw_only=True):
    """A message about a successful operation."""

    message: str


class CreateTokenRequest(Schema, kw_only=True):
    """A new personal token; by default for the caller, with the user's own role and without expiry or other limits.

    ``addresses`` are the IP addresses and networks from which it is accepted.
    """

    name: Name
    role: Role | None = None
    expires_at: datetime | None = None
    username: str | None = None
    scopes: list[Scope] | None = None
    addresses: list[str] | None = None


class Token(Schema, kw_only=True):
    """A personal token without its secret. Its permissions are those of ``role``, at most those of its user's role."""

    id: str
    name: str
    role: Role
    user_id: str
    username: str
    created_at: Instant
    expires_at: Instant | UnsetType = UNSET
    revoked_at: Instant | UnsetType = UNSET
    last_used_at: Instant | UnsetType = UNSET
    scopes: list[Scope] | UnsetType = UNSET
    addresses: list[str] | UnsetType = UNSET


class CreatedToken(Schema, kw_only=True):
    """A new personal token; ``token`` is returned only once."""

    token: str
    details: Token


class Tokens(Schema, kw_only=True):
    """Personal tokens, oldest first."""

    tokens: list[Token]
