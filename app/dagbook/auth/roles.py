"""Roles and permissions (api-behaviour 2.4). Pure."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, StrEnum
from typing import assert_never

import msgspec


class Role(StrEnum):
    """The roles of users, from the lowest to the highest."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    MANAGER = "manager"
    ADMIN = "admin"


GRANTABLE = (Role.VIEWER, Role.OPERATOR, Role.MANAGER)  # for single DAGs, by rank
_RANKS = {role: rank for rank, role in enumerate(Role)}


def lower_role(one: Role, other: Role) -> Role:
    return min(one, other, key=_RANKS.__getitem__)


def higher_role(one: Role, other: Role) -> Role:
    return max(one, other, key=_RANKS.__getitem__)


class Requires(Enum):
    """The required permission of a route. Every route has one; a server with a route without one refuses to start."""

    PUBLIC = "nothing, not even credentials"
    SENDER = "a signature or a token of the sender"
    METRICS = "a login, unless metrics are public"
    PAGE = "nothing, but where people log in at a provider they do so first"
    READ = "a login"
    OPERATE = "to be an operator"
    RUN = "the right to run"
    RUN_TEXT = "the right to run a text that is not stored"
    WRITE = "the right to change definitions"
    SYNC = "to be a manager"
    HOOK = "to be a manager, or a signature of the body"
    REDACT = "to be an admin, and the right to change definitions"
    OWN = "to be a user"
    ADMIN = "to be an admin"
    AUDIT = "to be an admin where there are users"
    UPKEEP = "to be an admin, where there are users"


class UserScope(StrEnum):
    """Where the role of a user counts: for all DAGs, or nowhere, so that only grants count."""

    ALL = "all"
    GRANTED = "granted"


class Scope(StrEnum):
    """What a personal token may be limited to."""

    READ = "read"
    RUN = "run"
    WRITE = "write"
    ADMIN = "admin"


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """What a server allows at all, for any role."""

    write_dags: bool = True
    run_dags: bool = True
    inline_runs_need_write: bool = False
    metrics_public: bool = False


class Permission(msgspec.Struct, frozen=True):
    """The lowest role for something, and the switches that must be on for it."""

    least: Role
    writes: bool = False
    runs: bool = False


def is_public(requires: Requires, switches: Switches) -> bool:
    """Whether no credentials of a caller are required; the handler knows the sender of an event."""
    return requires in (Requires.PUBLIC, Requires.SENDER) or (requires is Requires.METRICS and switches.metrics_public)


_HIGHEST = {Scope.READ: Role.VIEWER, Scope.RUN: Role.OPERATOR, Scope.WRITE: Role.MANAGER, Scope.ADMIN: Role.ADMIN}


def highest_role(scopes: Collection[Scope]) -> Role:
    """Return the highest role that a token with these scopes may act in."""
    return max((_HIGHEST[scope] for scope in scopes), key=_RANKS.__getitem__)


def scope_of(requires: Requires, *, changes: bool) -> Scope:
    """Return the scope that a token needs for a route; ``changes``: the route changes something."""
    match requires:
        case Requires.OPERATE | Requires.RUN | Requires.RUN_TEXT:
            return Scope.RUN
        case Requires.WRITE | Requires.SYNC | Requires.HOOK:
            return Scope.WRITE
        case Requires.PUBLIC | Requires.SENDER | Requires.METRICS | Requires.PAGE | Requires.READ:
            return Scope.READ
        case Requires.OWN:
            return Scope.ADMIN if changes else Scope.READ
        case Requires.REDACT | Requires.ADMIN | Requires.AUDIT | Requires.UPKEEP:
            return Scope.ADMIN
        case _:
            assert_never(requires)


def refusal(requires: Requires, role: Role | None, switches: Switches) -> str:
    """Return why a caller is not permitted, or an empty text. Without roles all that is switched on is permitted."""
    permission = _permission(requires, switches)
    if permission.writes and not switches.write_dags:
        return "definitions cannot be changed on this server (permissions_write_dags is false)"
    if permission.runs and not switches.run_dags:
        return "nothing can be run or changed on this server (permissions_run_dags is false)"
    if role is not None and _RANKS[role] < _RANKS[permission.least]:
        or_higher = "" if permission.least is Role.ADMIN else " or higher"
        return f"your role {role} may not do this; it requires {permission.least}{or_higher}"
    return ""


def _permission(requires: Requires, switches: Switches) -> Permission:
    match requires:
        case Requires.PUBLIC | Requires.SENDER | Requires.METRICS | Requires.PAGE | Requires.READ | Requires.OWN:
            return Permission(Role.VIEWER)
        case Requires.OPERATE | Requires.RUN:
            return Permission(Role.OPERATOR, runs=requires is Requires.RUN)
        case Requires.RUN_TEXT if switches.inline_runs_need_write:
            return Permission(Role.MANAGER, writes=True, runs=True)
        case Requires.RUN_TEXT:
            return Permission(Role.OPERATOR, runs=True)
        case (
            Requires.WRITE | Requires.SYNC | Requires.HOOK
        ):  # a sync is not switched off: its source changes definitions
            return Permission(Role.MANAGER, writes=requires is Requires.WRITE)
        case Requires.REDACT | Requires.ADMIN | Requires.AUDIT | Requires.UPKEEP:
            return Permission(Role.ADMIN, writes=requires is Requires.REDACT)
        case _:
            assert_never(requires)
