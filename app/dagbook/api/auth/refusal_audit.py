"""Audit of requests that reach no use case here: refused ones and proxied ones."""

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
ProxyAudit = Callable[[Scope, str], Awaitable[None]]


def make_refusal_hook(refusals: RefusalLog) -> Hook:
    """Make the hook that records refused requests; it is called with every error before the response."""

    async def record(error: Exception, scope: Scope) -> None:
        if isinstance(error, ForbiddenError):
            await refusals.record(_caller(scope).actor, _audit_action(scope))

    return record


def make_proxy_audit(refusals: RefusalLog) -> ProxyAudit:
    """Make the function that audits a request which a remote node carried out.

    The node's own audit has the same request id.
    """

    async def record(scope: Scope, node: str) -> None:
        handler = scope.get("route_handler")
        if handler and action_of(handler):
            audit_action = replace(_audit_action(scope), outcome="done", after={"remoteNode": node})
            await refusals.record_remote(_caller(scope).actor, audit_action)

    return record


def _caller(scope: Scope) -> Caller:
    found = scope.get("user")
    client = scope.get("client")
    return found if isinstance(found, Caller) else Caller(via="none", address=client[0] if client else "")


def _audit_action(scope: Scope) -> AuditAction:
    handler = scope.get("route_handler")
    action = (action_of(handler) if handler else None) or Action.REQUEST_REFUSE
    kind, name = _object(scope.get("path_params", {}), scope["path"])
    if action is Action.LOGIN_SUCCESS:  # the route declares the action of a successful login
        action = Action.LOGIN_FAILURE
    return AuditAction(action=action, kind=kind, name=name, outcome="refused")


def _object(params: Mapping[str, Any], path: str) -> tuple[str, str]:
    match params:
        case {"fileName": name}:
            return "dag", str(name)
        case {"name": name, "dagRunId": run}:
            return "run", f"{name}/{run}"
        case {"userId": user}:
            return "user", str(user)
        case {"tokenId": token}:
            return "token", str(token)
    return "path", path
