"""Authentication and authorization guard of all routes (api-behaviour 1.3, 2.4), and the audit of refused requests.

It runs before parameters and body are read, so a caller without the permission learns nothing about them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

from litestar import Litestar
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import ASGIRoute, HTTPRoute, WebSocketRoute
from litestar.types import Scope
from msgspec.structs import replace

from dagbook.accounts.auth_setup import AuthServices
from dagbook.accounts.authentication import Credentials
from dagbook.accounts.refusal_log import RefusalLog
from dagbook.accounts.rights import refusal_of
from dagbook.api.auth import session_cookie
from dagbook.api.auth.oidc_flow import CLEARED, COOKIE, Connection, LoginNeededError
from dagbook.api.middleware.local_user import LOCAL_USER
from dagbook.api.middleware.request_context import IS_HEAD, ROLE, requested_node, set_own
from dagbook.auth.audit_context import Action, AuditAction, Caller
from dagbook.auth.roles import Requires, is_public
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.errors import AppError, ForbiddenError, NotFoundError, UnauthorizedError
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.server.scope import ADMITTED

Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
Hook = Callable[[Exception, Scope], Awaitable[None]]
ProxyAudit = Callable[[Scope, str], Awaitable[None]]

NO_USERS = "users are not managed here; set auth_mode to builtin for that"
SIGNATURE = "x-hub-signature-256"
_KINDS = {
    "fileName": "dag",
    "sourceName": "source",
    "channelName": "alert channel",
    "ruleName": "alert rule",
    "triggerName": "trigger",
    "alertId": "alert",
    "deliveryId": "alert",
    "groupId": "group",
    "grantId": "grant",
    "userId": "user",
    "tokenId": "token",
    "sessionId": "session",
}
_CREDENTIALS = frozenset({b"authorization", b"cookie"})
_OPTIONS = "OPTIONS"
_IDLE = "x-dagbook-idle"  # a page without input for a while keeps itself up to date with it
_READING = frozenset({"GET", "HEAD", _OPTIONS})
_STARTS = frozenset({Action.RUN_START, Action.RUN_ENQUEUE, Action.RUN_RETRY, Action.RUN_RESCHEDULE})
_CHANGING = frozenset({Requires.RUN, Requires.RUN_TEXT, Requires.WRITE, Requires.REDACT})


class UnguardedRouteError(Exception):
    """A route without a required permission or audited action; a server with such a route does not start."""


def make_guard(access: AuthServices) -> Guard:
    """Make the application's guard: it sets ``user`` in the scope, or raises UnauthorizedError or ForbiddenError."""
    switches = access.switches

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        scope = connection.scope
        if scope.get("method") == _OPTIONS:
            return  # the OPTIONS handler only lists methods
        if scope.get(IS_HEAD) and action_of(handler) is not None:
            set_own(scope, "method", "HEAD")
            raise MethodNotAllowedException(headers={"allow": "GET, OPTIONS"})
        requires = required_permission(handler)
        if is_public(requires, switches) and not requested_node(connection.scope):
            connection.scope["user"] = Caller(via="none", address=_address(connection))
            return
        if requires is Requires.PAGE and not access.redirects_pages:
            return
        caller = await _read_narrow_credential(access, connection, requires)
        if caller is not None:
            connection.scope["user"] = caller
            set_own(scope, ADMITTED, value=True)
            return
        caller = await _identify(access, connection, requires)
        caller = await _apply_grants(access, connection, handler, caller)
        if requires in (Requires.OWN, Requires.ADMIN) and not access.has_users:
            raise UnauthorizedError(NO_USERS)
        connection.scope["user"] = replace(caller, may_write=not refusal_of(switches, caller, Requires.WRITE))
        changes = action_of(handler) is not None or connection.scope.get("method") not in _READING
        if reason := refusal_of(switches, caller, requires, changes=changes):
            raise ForbiddenError(reason)
        if changes and caller.proof is not None:
            session_cookie.check_proof(connection, caller.proof)
        _check_user_routes(access, connection, handler, caller)
        set_own(scope, ADMITTED, value=True)

    return guard


async def _apply_grants(
    access: AuthServices, connection: Connection, handler: BaseRouteHandler, caller: Caller
) -> Caller:
    """Return the caller in the role that its grants give for the DAG in the path; raises NotFoundError without one.

    A route without a DAG is closed to callers with grants, unless it says that it narrows its answer to what they see
    (``narrowed=True``), checks the DAG that its body names (``checks_grants=True``), or is about the caller alone.
    """
    if caller.via == "oidc" and caller.role is not None:  # there are no users, so nothing else tells the web UI
        set_own(connection.scope, ROLE, str(caller.role))
    if not caller.visibility:
        return caller
    connection.scope["user"] = caller  # whom the audit names if this is refused
    if requested_node(connection.scope):
        raise ForbiddenError("your rights are for single DAGs of this server; they do not include other nodes")
    role = None
    match dag_of(connection, handler):
        case (_, name) if not is_name(strip_suffix(name)):
            missing = f"there is no DAG named {shorten(name)}"
        case ("file", name):
            role = await access.access.role_for_file(strip_suffix(name), caller)
            missing = f"there is no DAG named {shorten(name)}"
        case ("name", name):
            role = await access.access.role_for_name(name, caller)
            missing = f"there is no DAG named {shorten(name)}, or it has no runs"
        case _ if handler.opt.get("checks_grants"):
            return replace(caller, role=caller.ceiling)
        case _ if handler.opt.get("narrowed") or required_permission(handler) is Requires.OWN:
            return caller
        case _:
            raise ForbiddenError("your rights are for single DAGs; they do not include this")
    if role is None:
        raise NotFoundError(missing)
    set_own(connection.scope, ROLE, str(role))
    return replace(caller, role=role)


def _check_user_routes(access: AuthServices, connection: Connection, handler: BaseRouteHandler, caller: Caller) -> None:
    """Raise ForbiddenError for what is about the caller, where its token is for single DAGs or its login is too old.

    ``identifies=True`` is open to every token; ``fresh=True`` asks for a fresh login, unless a token revokes itself.
    """
    is_about_user = required_permission(handler) is Requires.OWN and not handler.opt.get("identifies")
    if caller.is_limited and is_about_user:
        raise ForbiddenError("this token is for single DAGs; of its user it may only read who that is")
    token_id = connection.scope.get("path_params", {}).get("tokenId")
    if handler.opt.get("fresh") and (token_id is None or token_id != caller.token_id):
        access.sessions.check_fresh(caller)


def dag_of(connection: Connection, handler: BaseRouteHandler) -> tuple[str, str] | None:
    """Return the DAG in the path of a route, by its file or by the DAG name of runs."""
    params, path = connection.scope.get("path_params", {}), connection.scope["path"]
    if (kind := handler.opt.get("fixed_name")) is not None:  # of a DAG that has the name of a path
        return str(kind), path.rpartition("/")[2]
    if "fileName" in params:
        return "file", str(params["fileName"])
    if "name" in params and "/dag-runs/" in path:
        return "name", str(params["name"])
    return None


async def _read_narrow_credential(access: AuthServices, connection: Connection, requires: Requires) -> Caller | None:
    """Return the caller with a credential for one thing: the token of the metrics, or the signature of a body.

    A signature is checked by the handler, which reads the body.
    """
    if requested_node(connection.scope):
        return None
    if requires is Requires.HOOK and SIGNATURE in connection.headers:
        return Caller(via="hook", address=_address(connection))
    if requires is Requires.METRICS and access.metrics_token is not None:
        return await access.metrics_token(credentials_of(connection))
    return None


async def _identify(access: AuthServices, connection: Connection, requires: Requires) -> Caller:
    credentials = credentials_of(connection)
    is_counted = credentials.authorization is not None  # cookies are not
    if is_counted:
        access.credential_throttle.check(credentials)
    try:
        caller = await access.callers.identify(credentials)
    except UnauthorizedError as error:
        if is_counted:
            access.credential_throttle.fail(credentials)
        if access.oidc is not None and access.redirects_pages and requires is Requires.PAGE:
            raise LoginNeededError(access.oidc) from error
        if access.oidc is not None and credentials.cookie:
            error.headers = {**(error.headers or {}), "Set-Cookie": CLEARED}
        raise
    if is_counted:
        access.credential_throttle.succeed(credentials)
    return caller


async def is_still_authorized(
    access: AuthServices, credentials: Credentials, requires: Requires, visibility: Visibility
) -> bool:
    """Whether these credentials still have the permission and see by the same groups.

    True while the database is unavailable.
    """
    if is_public(requires, access.switches):
        return True
    try:
        caller = await access.callers.identify(replace(credentials, is_use=False))
    except UnauthorizedError:
        return False
    except DatabaseUnavailable:
        return True
    return caller.visibility == visibility and not refusal_of(access.switches, caller, requires)


def credentials_of(connection: Connection) -> Credentials:
    """Return the credentials of a request: local user, Authorization header, cookie, client address."""
    if isinstance(user := connection.scope.get(LOCAL_USER), str):
        return Credentials(local_user=user)
    given = {name for name, _ in connection.scope["headers"]} & _CREDENTIALS
    if not given:
        return Credentials(address=_address(connection))
    authorization = connection.headers.getall("authorization", [])
    return Credentials(
        # With two Authorization headers it would be arbitrary which one counts: neither does, nor a cookie.
        authorization=authorization[0] if len(authorization) == 1 else "" if authorization else None,
        cookie=connection.cookies.get(COOKIE),
        session_cookie=connection.cookies.get(session_cookie.name_of(connection)) if b"cookie" in given else None,
        address=_address(connection),
        is_use=_IDLE not in connection.headers,
    )


def _address(connection: Connection) -> str:
    client = connection.scope.get("client")
    return client[0] if client else ""


def required_permission(handler: BaseRouteHandler) -> Requires:
    """Return a route's required permission, its ``requires=…``; raises UnguardedRouteError."""
    requires = handler.opt.get("requires")
    if not isinstance(requires, Requires):
        raise UnguardedRouteError(
            f"{sorted(handler.paths)}: {handler} has no requires=Requires.…, so it is not guarded"
        )
    return requires


def find_required_permissions(app: Litestar) -> dict[tuple[str, str], Requires]:
    """Return the required permission of every route by method and path; raises UnguardedRouteError."""
    return {
        (method, route.path): required_permission(handler)
        for route in app.routes
        for handler, methods in _handlers(route)
        for method in methods
        if method != _OPTIONS
    }


def action_of(handler: BaseRouteHandler) -> Action | None:
    """Return a route's audited action, its ``audits=…``; None for a route that only reads."""
    action = handler.opt.get("audits")
    return action if isinstance(action, Action) else None


def find_actions(app: Litestar) -> dict[tuple[str, str], Action]:
    """Return the audited action of every changing route by method and path.

    Raises UnguardedRouteError for a changing route without one; events of senders are their own record.
    """
    found = {}
    for route in app.routes:
        for handler, methods in _handlers(route):
            for method in methods - {_OPTIONS}:
                if action := action_of(handler):
                    found[method, route.path] = action
                    continue
                requires = required_permission(handler)
                if requires in _CHANGING or (
                    method not in _READING and requires not in (Requires.READ, Requires.OPERATE, Requires.SENDER)
                ):
                    raise UnguardedRouteError(f"{method} {route.path} has no audits=Action.…, so it is not audited")
    return found


def _handlers(route: HTTPRoute | ASGIRoute | WebSocketRoute) -> Iterator[tuple[BaseRouteHandler, set[str]]]:
    handlers: Sequence[BaseRouteHandler] = (
        route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
    )
    for handler in handlers:
        yield handler, {str(method) for method in getattr(handler, "http_methods", ["*"])}


def make_refusal_hook(refusals: RefusalLog) -> Hook:
    """Make the hook that records refused requests; it is called with every error before the response.

    A refused start is recorded whatever the reason, without the message, which may quote a param.
    """

    async def record(error: Exception, scope: Scope) -> None:
        audit_action = _audit_action(scope)
        if isinstance(error, ForbiddenError):
            await refusals.record(_caller(scope).actor, audit_action)
        elif isinstance(error, AppError) and audit_action.action in _STARTS:
            refused = replace(audit_action, after={"code": error.code, "status": error.status})
            await refusals.record(_caller(scope).actor, refused)

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
    params = scope.get("path_params", {})
    kind, name = next(
        ((kind, str(params[name])) for name, kind in _KINDS.items() if name in params), ("path", scope["path"])
    )
    if "dagRunId" in params and "name" in params:
        kind, name = "run", f"{params['name']}/{params['dagRunId']}"
    if action is Action.LOGIN_SUCCESS:  # the route declares the action of a successful login
        action = Action.LOGIN_FAILURE
    return AuditAction(action=action, kind=kind, name=name, outcome="refused")
