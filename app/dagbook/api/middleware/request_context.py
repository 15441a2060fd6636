"""What goes around every request and answer: its number, the headers for browsers, the counts, a line in the log.

Outside of everything else, so that refusals and failures have all of it too.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from dagbook.api.middleware.host_check import is_loopback, name_of_host
from dagbook.api.middleware.security_headers import SECURITY, STRICT_TRANSPORT, VARY_ORIGIN, Headers
from dagbook.api.schemas.common import Error
from dagbook.auth.caller import Caller
from dagbook.telemetry.request_id import request_id
from dagbook.telemetry.request_metrics import UNKNOWN, RequestMetrics

_log = logging.getLogger("dagbook.request")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ID_NAME = b"x-request-id"
_LONGEST_PATH = 200
_CHECKS = ("/health", "/metrics")  # asked every few seconds, by those who watch
_FAILED = 500


class RequestContextMiddleware:
    """Numbers, guards, counts and logs what passes through it."""

    def __init__(self, app: ASGIApp, traffic: RequestMetrics, *, log: str, varies: bool) -> None:
        """``log`` is on, off or all; ``varies`` says that answers differ with the page that asks."""
        self._app = app
        self._traffic = traffic
        self._log = log
        self._plain = SECURITY + (VARY_ORIGIN if varies else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        number = _number(scope)
        context = request_id.set(number.decode())
        answer = _Response(send, (*self._headers(scope), (_ID_NAME, number)))
        path = scope["path"]
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if answer.status:
                raise  # half an answer must not look like a whole one
            _log.exception("%s %s", scope["method"], path[:_LONGEST_PATH])
            await _fail(answer)
        finally:
            self._log_request(scope, path, answer)
            request_id.reset(context)

    def _headers(self, scope: Scope) -> Headers:
        if scope["scheme"] != "https" or is_loopback(name_of_host(_header(scope, b"host").decode("latin-1"))):
            return self._plain  # on loopback it would count for all other servers of the machine too
        return self._plain + STRICT_TRANSPORT

    def _log_request(self, scope: Any, path: str, answer: _Response) -> None:
        route = scope.get("path_template") or UNKNOWN
        self._traffic.record(scope["method"], route, answer.status, answer.seconds_to_begin())
        if self._is_logged(route, answer.status):
            _log.info("request", extra=_line(scope, path, route, answer))

    def _is_logged(self, route: str, status: int) -> bool:
        if self._log == "on":
            return status >= 400 or not route.endswith(_CHECKS)  # noqa: PLR2004 - where errors begin
        return self._log == "all"


class _Response:
    """What is sent, with what belongs on every answer."""

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self._headers = headers
        self._began = time.perf_counter()
        self._answered = 0.0
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._answered = time.perf_counter()
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message["headers"] = [*given, *(pair for pair in self._headers if pair[0] not in names)]
        await self._send(message)

    def seconds_to_begin(self) -> float:
        return (self._answered or time.perf_counter()) - self._began

    def milliseconds(self) -> float:
        return round((time.perf_counter() - self._began) * 1000, 1)


def _line(scope: Any, path: str, route: str, answer: _Response) -> dict[str, object]:
    """Tell of a request, but not its query, which may hold what is nobody's business, nor any of its headers."""
    caller: Caller | None = scope.get("user")
    client = scope.get("client")
    line = {
        "method": scope["method"],
        "path": path[:_LONGEST_PATH],
        "route": route,
        "status": answer.status,
        "ms": answer.milliseconds(),
        "caller": (caller and caller.actor_label) or "-",
        "address": client[0] if client else "-",
    }
    return line | {"remote_node": node} if (node := scope.get("remote_node")) else line


def _number(scope: Scope) -> bytes:
    """Return the number that the request brings along, if it is one, else a new one."""
    given = _header(scope, _ID_NAME)
    return given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex().encode()


def _header(scope: Scope, name: bytes) -> bytes:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else b""


async def _fail(answer: _Response) -> None:
    error = Error(code="internal_error", message="something went wrong inside the server; its log says what")
    body = msgspec.json.encode(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await answer.send({"type": "http.response.start", "status": _FAILED, "headers": headers})
    await answer.send({"type": "http.response.body", "body": body, "more_body": False})
