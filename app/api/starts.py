"""The short way of the request that begins a run from a text: ``POST /dag-runs``.

As with ``app.api.polls``, two fifths of what its answer costs would be the framework's ways of finding, reading and
checking what any request may bring. Who asks is found out as on the usual way, the same function starts the run, and
what that refuses is answered by the same handlers. Whatever is out of the ordinary before that (a query, a caller
without rights, a body that cannot be read) goes the usual way: nothing has been begun then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.controllers.runs import start_from, start_text
from app.api.deps import Parts
from app.api.errors import answer_to
from app.api.guards import lets_in, needs_of
from app.api.memory import is_of_another_site, send_json
from app.api.requests import ApiRequest
from app.api.schemas.runs import StartInline

_JSON = (b"content-type", b"application/json")
_decode = msgspec.json.Decoder(StartInline).decode
_encode = msgspec.json.Encoder().encode


class Starts:
    """Stands before the application, and answers the one request; all others are the application's."""

    def __init__(self, app: ASGIApp, parts: Parts, api_path: str, most_bytes: int) -> None:
        """``most_bytes`` are as many as the body of a request may have."""
        self._app = app
        self._parts = parts
        self._path = f"{api_path}/dag-runs"
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if not (self._is_plain(scope) and await lets_in(self._parts.access, scope, needs_of(start_text))):
            await self._app(scope, receive, send)
            return
        messages = await self._receive(receive)
        wanted = _read(messages)
        if wanted is None:
            await self._app(scope, _again(messages, receive), send)
            return
        await self._start(wanted, scope, receive, send)

    def _is_plain(self, scope: Any) -> bool:
        return (
            scope["type"] == ScopeType.HTTP
            and scope["method"] == "POST"
            and scope["path"] == self._path
            and not scope["query_string"]
            and _JSON in scope["headers"]
            and not is_of_another_site(scope)
        )

    async def _receive(self, receive: Receive) -> list[Any]:
        """Receive the body, or the beginning of one that is too large or was broken off."""
        messages: list[Any] = [await receive()]
        room = self._most_bytes - len(_piece(messages[0]))
        while messages[-1].get("more_body") and room >= 0:
            messages.append(await receive())
            room -= len(_piece(messages[-1]))
        return messages

    async def _start(self, wanted: StartInline, scope: Any, receive: Receive, send: Send) -> None:
        scope["path_template"] = self._path
        try:
            started = await start_from(self._parts, wanted, scope["user"])
        except Exception as error:  # noqa: BLE001 - its handler says what it is, as the framework lets it
            request = ApiRequest(scope)
            answer = answer_to(request, error).to_asgi_response(app=None, request=request)
            await answer(scope, receive, send)
            return
        await send_json(send, _encode(started))


def _piece(message: Any) -> bytes:
    piece: bytes = message.get("body", b"")
    return piece


def _read(messages: Sequence[Any]) -> StartInline | None:
    last = messages[-1]
    if last["type"] != "http.request" or last.get("more_body"):
        return None
    try:
        return _decode(b"".join(map(_piece, messages)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _again(messages: Iterable[Any], receive: Receive) -> Receive:
    """Give what was received once more, and then what comes."""
    received = iter(messages)

    async def again() -> Any:
        return next(received, None) or await receive()

    return again
