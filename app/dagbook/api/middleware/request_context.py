"""Request id, security headers, metrics and access log of every request; encoded slashes in its path.

This is the outermost middleware, so that refusals and failures have all of them too.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from dagbook.api.middleware.host_check import is_loopback, name_of_host
from dagbook.api.schemas.common import Error
from dagbook.auth.audit_context import Caller
from dagbook.errors import BadRequestError
from dagbook.telemetry.logging import request_id
from dagbook.telemetry.metrics import UNKNOWN, RequestMetrics

AnyRequest = Request[Caller, object, State]
_log = logging.getLogger("dagbook.request")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ID_NAME = b"x-request-id"
_MAX_PATH = 200
ROLE = "caller_role"  # in the scope, for a header: the role that no description of a user tells
IS_HEAD = "is_head"  # in the scope of a HEAD request, whose method is GET while it is handled
_CHECKS = ("/health", "/metrics")  # polled by monitoring every few seconds
_FAILED = 500
NODE_PARAMETER = "remoteNode"
_THIS_SERVER = ("", "local")
# A lone surrogate: no input of a client is ever decoded to it.
_STAND_IN = "\udc2f"
_SEGMENT = "(?:(?!%2[fF])[^/])+"

Headers = tuple[tuple[bytes, bytes], ...]

# Responses of the API are data: a browser that is made to show one as a page runs no script and shows no frame.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"

# A response that has one of them already keeps its own value.
SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),  # responses depend on credentials; an ETag is for If-Match
    (b"content-security-policy", API_POLICY.encode()),
    # With no-referrer a browser would send "Origin: null" with forms of our own pages.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Sent over TLS only, because browsers ignore it elsewhere; half a year.
STRICT_TRANSPORT: Headers = ((b"strict-transport-security", b"max-age=15552000"),)
VARY_ORIGIN: Headers = ((b"vary", b"Origin"),)


class RequestContextMiddleware:
    """Adds request id and security headers to every response, and counts and logs it."""

    def __init__(self, app: ASGIApp, traffic: RequestMetrics, *, log: str, varies: bool) -> None:
        """``log`` is on, off or all; ``varies`` says that responses depend on the Origin header."""
        self._app = app
        self._traffic = traffic
        self._log = log
        self._plain = SECURITY + (VARY_ORIGIN if varies else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        given = _header(scope, _ID_NAME)
        id_value = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex().encode()
        context = request_id.set(id_value.decode())
        response = _Response(send, scope, (*self._headers(scope), (_ID_NAME, id_value)))
        path = scope["path"]
        try:
            await self._app(scope, receive, response.send)
        except Exception:
            if response.status:
                raise  # the response has started: an incomplete one must not look complete
            _log.exception("%s %s", scope["method"], path[:_MAX_PATH])
            await _fail(response)
        finally:
            self._log_request(scope, path, response)
            request_id.reset(context)

    def _headers(self, scope: Scope) -> Headers:
        if scope["scheme"] != "https" or is_loopback(name_of_host(_header(scope, b"host").decode("latin-1"))):
            return self._plain  # on loopback HSTS would apply to all other servers of the machine too
        return self._plain + STRICT_TRANSPORT

    def _log_request(self, scope: HTTPScope, path: str, response: _Response) -> None:
        route = scope.get("path_template") or UNKNOWN
        self._traffic.record(scope["method"], route, response.status, response.seconds_to_start())
        is_error = response.status >= 400  # noqa: PLR2004 - the lowest error status
        if self._log == "all" or (self._log == "on" and (is_error or not route.endswith(_CHECKS))):
            _log.info("request", extra=_line(scope, path, route, response))


class _Response:
    """Wrapper of ``send`` that adds headers to the response and records its status and times."""

    def __init__(self, send: Send, scope: Scope, headers: Headers) -> None:
        self._send = send
        self._scope = scope
        self._headers = headers
        self._started = time.perf_counter()
        self._responded = 0.0
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._responded = time.perf_counter()
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given} - {b"vary"}  # of which each header names one more
            if isinstance(role := self._scope.get(ROLE), str):
                given.append((b"x-dagbook-role", role.encode()))
            message["headers"] = [
                *given,
                *(pair for pair in self._headers if pair[0] not in names and pair not in given),
            ]
        await self._send(message)

    def seconds_to_start(self) -> float:
        return (self._responded or time.perf_counter()) - self._started

    def milliseconds(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 1)


def _line(scope: HTTPScope, path: str, route: str, response: _Response) -> dict[str, object]:
    """Return the log fields of a request, without its query string and headers, which may hold personal data."""
    caller: Caller | None = scope.get("user")
    client = scope.get("client")
    line: dict[str, object] = {
        "method": scope["method"],
        "path": path[:_MAX_PATH],
        "route": route,
        "status": response.status,
        "ms": response.milliseconds(),
        "caller": (caller and caller.actor_label) or "-",
        "address": client[0] if client else "-",
    }
    return line | {"remote_node": node} if (node := scope.get("remote_node")) else line


def _header(scope: Scope, name: bytes) -> bytes:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else b""


async def _fail(response: _Response) -> None:
    error = Error(code="internal_error", message="something went wrong inside the server; its log says what")
    body = msgspec.json.encode(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await response.send({"type": "http.response.start", "status": _FAILED, "headers": headers})
    await response.send({"type": "http.response.body", "body": body, "more_body": False})


class _HeadSent(BaseException):
    """Ends a response that would be streamed. No handler of errors may catch it, so it is no Exception."""


class HeadMiddleware:
    """Responds to HEAD as to GET, without the body; the guard refuses HEAD where GET changes something."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        set_own(scope, IS_HEAD, value=True)
        scope["method"] = "GET"

        async def send_head(message: Message) -> None:
            scope["method"] = "HEAD"  # the server looks at it, and sends no body
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if message["more_body"]:
                raise _HeadSent

        try:
            await self._app(scope, receive, send_head)
        except* _HeadSent:
            pass  # the head is sent: what would follow of a body of unknown length is not made
        finally:
            scope["method"] = "HEAD"


class EncodedSlashesMiddleware:
    """Hides the encoded slashes of step and queue names from routing; ``decode_scope`` restores them."""

    def __init__(self, app: ASGIApp, api_path: str) -> None:
        run = f"dag-runs/{_SEGMENT}/{_SEGMENT}(?:/sub-dag-runs/{_SEGMENT})?"
        pattern = f"({re.escape(api_path)}/(?:{run}/steps|queues)/)([^/]+)((?:/{_SEGMENT})*)"
        self._app = app
        self._pattern = re.compile(pattern)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            raw = (scope.get("raw_path") or b"").decode("latin-1")
            if "%2f" in raw.lower() and (match := self._pattern.fullmatch(raw)):
                before, name, after = map(unquote, match.groups())
                scope["path"] = before + name.replace("/", _STAND_IN) + after
        await self._app(scope, receive, send)


def set_own(scope: Any, key: str, value: object) -> None:
    """Set a key of this application in a scope, whose type has those of ASGI and of the framework only."""
    scope[key] = value


def decode_scope(scope: Scope) -> None:
    """Restore the slashes in the path of a routed request and in its path parameters."""
    if _STAND_IN in scope["path"]:
        scope["path"] = display_path(scope["path"])
        scope["path_params"] = {name: display_path(value) for name, value in scope["path_params"].items()}


def display_path(path: str) -> str:
    """Return the path of any request, routed or not, with its slashes restored."""
    return path.replace(_STAND_IN, "/")


def requested_node(scope: Scope) -> str:
    """Return the name of the requested node; empty for this server. Raises BadRequestError."""
    query = scope["query_string"]
    if NODE_PARAMETER.encode() not in query and b"%" not in query:
        return ""
    names = [
        value for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if key == NODE_PARAMETER
    ]
    if len(names) > 1:
        raise BadRequestError(f"{NODE_PARAMETER}: is given more than once")
    return names[0] if names and names[0] not in _THIS_SERVER else ""
