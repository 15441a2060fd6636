"""What the audit notes of requests that no use case here carries out: those that were refused, or handed on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar.types import Scope
from msgspec.structs import replace

from dagbook.accounts.refusal_log import RefusalLog
from dagbook.api.auth.guards import action_of
from dagbook.auth.audit_context import Action, AuditAction
from dagbook.auth.caller import Caller
from dagbook.errors import ForbiddenError

Hook = Callable[[Exception, Scope], Awaitable[None]]
Note = Callable[[Scope, str], Awaitable[None]]


def make_refusal_hook(refusals: RefusalLog) -> Hook:
    """Make what is called with every error of a request, before it is answered."""

    async def note(error: Exception, scope: Scope) -> None:
        if isinstance(error, ForbiddenError):
            await refusals.record(_caller(scope).actor, _audit_action(scope))

    return note


def make_proxy_audit(refusals: RefusalLog) -> Note:
    """Make what is called when another server has done what was asked; its own audit knows it by the same request."""

    async def note(scope: Scope, node: str) -> None:
        handler = scope.get("route_handler")
        if handler and action_of(handler):
            audit_action = replace(_audit_action(scope), outcome="done", after={"remoteNode": node})
            await refusals.record_remote(_caller(scope).actor, audit_action)

    return note


def _caller(scope: Scope) -> Caller:
    found = scope.get("user")
    client = scope.get("client")
    return found if isinstance(found, Caller) else Caller(via="none", address=client[0] if client else "")


def _audit_action(scope: Scope) -> AuditAction:
    handler = scope.get("route_handler")
    action = (action_of(handler) if handler else None) or Action.REQUEST_REFUSE
    kind, name = _object(scope.get("path_params", {}), scope["path"])
    if action is Action.LOGIN_SUCCESS:  # what it would have been
        action = Action.LOGIN_FAILURE
    return AuditAction(action=action, kind=kind, name=name, outcome="refused")


def _object(path: Mapping[str, Any], whole: str) -> tuple[str, str]:
    match path:
        case {"fileName": name}:
            return "dag", str(name)
        case {"name": name, "dagRunId": run}:
            return "run", f"{name}/{run}"
        case {"userId": user}:
            return "user", str(user)
        case {"tokenId": token}:
            return "token", str(token)
    return "path", whole
