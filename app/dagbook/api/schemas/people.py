"""Users, logins and personal tokens (tags auth, users; tokens are an extension)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.auth.roles import Role

# Documented, and judged by the use cases: the contract's order of checks looks at other things first.
_NOT_EMPTY = {"extra": {"minLength": 1}}
_NAME = {"extra": {"minLength": 1, "maxLength": 64}}
_PASSWORD = {"extra": {"minLength": 8}}

Name = Annotated[str, Meta(extra_json_schema=_NAME)]
NewPassword = Annotated[str, Meta(extra_json_schema=_PASSWORD)]
NotEmpty = Annotated[str, Meta(extra_json_schema=_NOT_EMPTY)]
Instant = Annotated[str, Meta(extra_json_schema={"extra": {"format": "date-time"}})]


class LoginRequest(Schema, kw_only=True):
    """Name and password."""

    username: NotEmpty
    password: NotEmpty


class User(Schema, kw_only=True):
    """Somebody who can log in."""

    id: str
    username: str
    role: Role
    created_at: Instant
    updated_at: Instant


class LoginResponse(Schema, kw_only=True):
    """A login's token."""

    token: str
    expires_at: Instant
    user: User


class UserResponse(Schema, kw_only=True):
    """One user."""

    user: User


class UsersListResponse(Schema, kw_only=True):
    """All users."""

    users: list[User]


class ChangePasswordRequest(Schema, kw_only=True):
    """The own password, and what it is to be."""

    current_password: NotEmpty
    new_password: NewPassword


class ResetPasswordRequest(Schema, kw_only=True):
    """What a user's password is to be."""

    new_password: NewPassword


class CreateUserRequest(Schema, kw_only=True):
    """A user to be made."""

    username: Name
    password: NewPassword
    role: Role


class UpdateUserRequest(Schema, kw_only=True):
    """What of a user is to be changed."""

    username: Name | None = None
    role: Role | None = None


class SuccessResponse(Schema, kw_only=True):
    """That something was done."""

    message: str


class CreateTokenRequest(Schema, kw_only=True):
    """A personal token to be made: by default with the user's own role, for ever, and for the caller."""

    name: Name
    role: Role | None = None
    expires_at: datetime | None = None
    username: str | None = None


class Token(Schema, kw_only=True):
    """A personal token, without the token itself. ``role`` is what it may do at most; its user's role counts too."""

    id: str
    name: str
    role: Role
    user_id: str
    username: str
    created_at: Instant
    expires_at: Instant | UnsetType = UNSET
    revoked_at: Instant | UnsetType = UNSET
    last_used_at: Instant | UnsetType = UNSET


class CreatedToken(Schema, kw_only=True):
    """A personal token that was made; ``token`` is shown this once."""

    token: str
    details: Token


class Tokens(Schema, kw_only=True):
    """Personal tokens, the oldest first."""

    tokens: list[Token]
