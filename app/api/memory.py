"""Answers given again while nothing that they follow from has changed.

Pages of a browser ask the same every few seconds, many of them at once, and mostly nothing has happened meanwhile. An
answer that follows from the database alone is remembered together with the database's stamp, which was read before the
answer was made, and given again while the stamp is still the same: whoever asks sees every change that was committed
before, on whichever server. Who may ask is found out anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.api.guards import lets_in, needs_of
from app.auth.roles import Needs
from app.db.database import Database, Stamp
from app.db.failure import DatabaseUnavailable
from app.people.access import Access

MOST_BYTES = 32 * 1024 * 1024
_MOST_OF_ONE = MOST_BYTES // 32
_OWN_BYTES = 1024  # about what an answer takes beside its body
# New memory for the list of a thousand runs is a tenth of what the answer costs, for nothing if nobody asks again.
_LARGE = 64 * 1024
_MOST_ASKED = 1000
_MEMORABLE = "memorable"
_OK = 200
# An answer to a page of another site says whose page may read it.
_ASKED_ELSEWHERE = b"origin"

Moment = tuple[Stamp, date]
_Key = tuple[str, bytes]


def remember(scope: Any) -> None:
    """Say that the answer to a request follows from its path and query, the database and today's date (UTC) alone."""
    scope[_MEMORABLE] = True


class _Answer(msgspec.Struct, frozen=True):
    """What was answered, by which route, and what that needs."""

    key: _Key
    headers: list[tuple[bytes, bytes]]
    body: bytes
    route: str
    needs: Needs

    def size(self) -> int:
        return len(self.body) + sum(map(len, self.key)) + _OWN_BYTES


class Memory:
    """Stands before the application: answers from memory, or lets it answer and remembers."""

    def __init__(self, app: ASGIApp, database: Database, access: Access, now: Callable[[], datetime]) -> None:
        self._app = app
        self._database = database
        self._access = access
        self._now = now
        self._moment: Moment | None = None
        self._answers: dict[_Key, _Answer] = {}
        self._bytes = 0
        self._asked: dict[int, None] = {}  # hashes of what had a large answer, the last of them last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        moment = await self._read_moment() if may_be_known(scope) else None
        if moment is None:
            await self._app(scope, receive, send)
            return
        if moment != self._moment:
            self._forget(moment)
        key = (scope["path"], scope["query_string"])
        known = self._answers.get(key)
        if known is not None and await lets_in(self._access, scope, known.needs):
            scope["path_template"] = known.route
            await send_whole(send, known.headers, known.body)
            return
        heard = _Listener(send)
        await self._app(scope, receive, heard.send)
        answer = heard.answer(key, scope)
        if answer is not None and moment == self._moment:
            self._keep(answer)

    async def _read_moment(self) -> Moment | None:
        try:
            return await self._database.stamp(), self._now().astimezone(UTC).date()
        except DatabaseUnavailable:
            return None  # the application says so in its own way

    def _forget(self, moment: Moment) -> None:
        self._moment = moment
        self._answers.clear()
        self._bytes = 0

    def _keep(self, answer: _Answer) -> None:
        if answer.size() > _MOST_OF_ONE or answer.key in self._answers:
            return
        if answer.size() > _LARGE and not self._was_asked(answer.key):
            return
        self._answers[answer.key] = answer
        self._bytes += answer.size()
        while self._bytes > MOST_BYTES:
            oldest = next(iter(self._answers))
            self._bytes -= self._answers.pop(oldest).size()

    def _was_asked(self, key: _Key) -> bool:
        """Whether the same was asked before, even if there was another answer then."""
        asked = hash(key)
        known = asked in self._asked
        self._asked.pop(asked, None)
        self._asked[asked] = None
        if len(self._asked) > _MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        return known


class _Listener:
    """Hears what is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._headers: list[tuple[bytes, bytes]] | None = None
        self._body: bytes | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == _OK:
                self._headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            whole = self._body is None and not message["more_body"]
            self._body = message["body"] if whole else b""
        await self._send(message)

    def answer(self, key: _Key, scope: Any) -> _Answer | None:
        """Return what is to be remembered: an answer in one piece that says that it may be."""
        if not scope.get(_MEMORABLE) or self._headers is None or not self._body:
            return None
        return _Answer(key, self._headers, self._body, scope["path_template"], needs_of(scope["route_handler"]))


def may_be_known(scope: Any) -> bool:
    """Whether the answer to a request is the same for everybody who may ask."""
    return scope["type"] == ScopeType.HTTP and scope["method"] == "GET" and not is_of_another_site(scope)


def is_of_another_site(scope: Any) -> bool:
    """Whether a request says whose page has caused it, which its answer then speaks of."""
    return any(name == _ASKED_ELSEWHERE for name, _ in scope["headers"])


async def send_json(send: Send, body: bytes) -> None:
    """Send an answer that is in JSON already."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send_whole(send, headers, body)


async def send_whole(send: Send, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send an answer in one piece."""
    await send({"type": "http.response.start", "status": _OK, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
