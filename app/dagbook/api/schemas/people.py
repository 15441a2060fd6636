"""Schemas of users and logins (tags auth, users), and of sessions, tokens, groups and grants (extensions)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.auth.roles import Role, Scope, UserScope

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
    """A user account; ``disabled`` and the ``issuer`` of an account at a provider are there only if they apply.

    With the ``scope`` granted only grants count, and the role is only shown; it is not there for the scope all.
    """

    id: str
    username: str
    role: Role
    created_at: Instant
    updated_at: Instant
    disabled: bool | UnsetType = UNSET
    issuer: str | UnsetType = UNSET
    scope: UserScope | UnsetType = UNSET


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
    """The session of a browser; ``csrf_token`` goes into the header ``X-CSRF-Token`` of every change.

    ``mayCreate`` says whether the user may create DAGs of any name.
    """

    csrf_token: str
    expires_at: Instant | UnsetType = UNSET
    user: User | UnsetType = UNSET
    may_create: bool | UnsetType = UNSET


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
    scope: UserScope = UserScope.ALL


class UpdateUserRequest(Schema, kw_only=True):
    """Changes of a user; an omitted field is not changed."""

    username: Name | None = None
    role: Role | None = None
    disabled: bool | None = None
    scope: UserScope | None = None


class SuccessResponse(Schema, kw_only=True):
    """A message about a successful operation."""

    message: str


class CreateTokenRequest(Schema, kw_only=True):
    """A new personal token; by default for the caller, with the user's own role and without expiry or other limits.

    Without ``scopes`` it has all but ``admin``, and the role ``manager`` at most.
    ``addresses`` are the IP addresses and networks from which it is accepted, ``dags`` patterns of the names of DAGs to
    which it is limited.
    """

    name: Name
    role: Role | None = None
    expires_at: datetime | None = None
    username: str | None = None
    scopes: list[Scope] | None = None
    addresses: list[str] | None = None
    dags: list[str] | None = None


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
    dags: list[str] | UnsetType = UNSET


class CreatedToken(Schema, kw_only=True):
    """A new personal token; ``token`` is returned only once."""

    token: str
    details: Token


class Tokens(Schema, kw_only=True):
    """Personal tokens, oldest first."""

    tokens: list[Token]


class GroupRequest(Schema, kw_only=True):
    """A group of users. With ``claim``, CLAIM=VALUE, it also has the accounts of the provider with this claim."""

    name: Name
    claim: str = ""


class Group(Schema, kw_only=True):
    """A group of users and the number of its members."""

    id: str
    name: str
    claim: str
    members: int
    created_at: Instant


class Groups(Schema, kw_only=True):
    """All groups by name."""

    groups: list[Group]


class GroupMember(Schema, kw_only=True):
    """A member of a group, by its claim or by hand."""

    user_id: str
    username: str
    by_claim: bool


class GroupMembers(Schema, kw_only=True):
    """A group with its members by name."""

    group: Group
    members: list[GroupMember]


class CreateGrantRequest(Schema, kw_only=True):
    """A role for DAGs: for one of ``userId`` and ``groupId``, and one of ``pattern``, of DAG names, and ``tag``."""

    role: Role
    user_id: str = ""
    group_id: str = ""
    pattern: str = ""
    tag: str = ""


class UpdateGrantRequest(Schema, kw_only=True):
    """The new role of a grant."""

    role: Role


class Grant(Schema, kw_only=True):
    """A role of a user or group for DAGs by name pattern or tag."""

    id: str
    role: Role
    user_id: str | UnsetType = UNSET
    username: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    group_name: str | UnsetType = UNSET
    pattern: str | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    created_at: Instant
    created_by: str | UnsetType = UNSET


class Grants(Schema, kw_only=True):
    """Grants by group and user, at most 10,000."""

    grants: list[Grant]


class GrantedDAG(Schema, kw_only=True):
    """A DAG name that a user sees, and the role there."""

    name: str
    role: Role


class UserAccess(Schema, kw_only=True):
    """What a user sees: with the scope all every DAG in the user's role, else a page of the granted names."""

    user: User
    dags: list[GrantedDAG]
    more: bool


class DAGAccess(Schema, kw_only=True):
    """Who may do what with a DAG: the users whose role counts everywhere, and the grants that cover it."""

    everywhere: list[User]
    grants: list[Grant]
