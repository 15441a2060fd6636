"""Who may do what (api-behaviour 2.4). Pure."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import assert_never

import msgspec


class Role(StrEnum):
    """What a user is, from the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    MANAGER = "manager"
    ADMIN = "admin"


_RANKS = {role: rank for rank, role in enumerate(Role)}


def lesser(one: Role, other: Role) -> Role:
    """Return the role of two that may do less."""
    return min(one, other, key=_RANKS.__getitem__)


class Needs(Enum):
    """What a route needs. Every route says one of these; a server with one that does not refuses to start."""

    PUBLIC = "nothing, not even credentials"
    METRICS = "nothing, unless metrics are private"
    PAGE = "nothing, but where people log in at a provider they do so first"
    READ = "to be somebody"
    RUN = "the right to run"
    RUN_TEXT = "the right to run a text that is not stored"
    WRITE = "the right to change definitions"
    REDACT = "to be an admin, and the right to change definitions"
    OWN = "to be a user"
    ADMIN = "to be an admin"
    AUDIT = "to be an admin where there are users"
    UPKEEP = "to be an admin, where there are users"


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """What a server allows at all, whoever asks."""

    write_dags: bool = True
    run_dags: bool = True
    inline_runs_need_write: bool = False
    metrics_public: bool = True


class Permission(msgspec.Struct, frozen=True):
    """The least role for something, and the switches that have to be on for it."""

    least: Role
    writes: bool = False
    runs: bool = False


def is_public(needs: Needs, switches: Switches) -> bool:
    """Whether no credentials are asked for."""
    return needs is Needs.PUBLIC or (needs is Needs.METRICS and switches.metrics_public)


def refusal(needs: Needs, role: Role | None, switches: Switches) -> str:
    """Say why a caller may not do something, or return an empty text. Without roles everybody may what is on."""
    wanted = _permission(needs, switches)
    if wanted.writes and not switches.write_dags:
        return "definitions cannot be changed on this server (permissions_write_dags is false)"
    if wanted.runs and not switches.run_dags:
        return "nothing can be run or changed on this server (permissions_run_dags is false)"
    if role is not None and _RANKS[role] < _RANKS[wanted.least]:
        return f"your role {role} may not do this; it takes {wanted.least}{_or_more(wanted.least)}"
    return ""


def _permission(needs: Needs, switches: Switches) -> Permission:
    match needs:
        case Needs.PUBLIC | Needs.METRICS | Needs.PAGE | Needs.READ | Needs.OWN:
            return Permission(Role.VIEWER)
        case Needs.RUN:
            return Permission(Role.OPERATOR, runs=True)
        case Needs.RUN_TEXT if switches.inline_runs_need_write:
            return Permission(Role.MANAGER, writes=True, runs=True)
        case Needs.RUN_TEXT:
            return Permission(Role.OPERATOR, runs=True)
        case Needs.WRITE:
            return Permission(Role.MANAGER, writes=True)
        case Needs.REDACT | Needs.ADMIN | Needs.AUDIT | Needs.UPKEEP:
            return Permission(Role.ADMIN, writes=needs is Needs.REDACT)
        case _:
            assert_never(needs)


def _or_more(role: Role) -> str:
    return "" if role is Role.ADMIN else " or more"
