"""Limits of what is costly to serve, so that one caller does not use up what others need."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING

import msgspec

from dagbook.auth.audit_context import Caller
from dagbook.auth.networks import network_of
from dagbook.errors import TooManyRequestsError
from dagbook.spec.reading.definition_cache import QUICK

if TYPE_CHECKING:  # commands import this module too, and must not load the framework
    from litestar import Request
    from litestar.datastructures import State
    from litestar.types import Receive

_NAMED = ("oidc", "local")  # credentials of one person, without a user in the database
_TEXTS_OF_CALLER, _TEXTS = 2, 16  # long definitions at a time, each of which may take seconds
_SEARCHES_OF_CALLER, _SEARCHES = 2, 8  # at a time; each may use a core for seconds
_SEARCH_WAITS = 3.0  # seconds for its turn


class ConcurrencyLimit:
    """Limit of the uses at a time: at most ``per_caller`` by one caller, and ``in_all`` by all callers of this server.

    ``what`` names the uses in the message, in the plural; ``retry_seconds`` is when to try again.
    """

    def __init__(self, what: str, per_caller: int, in_all: int | None = None, *, retry_seconds: float) -> None:
        self._what = what
        self._per_caller = per_caller
        self._in_all = in_all
        self._retry_seconds = retry_seconds
        self._uses: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}  # the keys of those that wait for a turn, in their order

    @contextmanager
    def use(self, caller: Caller) -> Iterator[None]:
        """Count a use until the block is left; raises TooManyRequestsError at once if there are too many."""
        key = key_of(caller)
        if problem := self._problem(key):
            raise TooManyRequestsError(problem, self._retry_seconds)
        self._uses[key] += 1
        try:
            yield
        finally:
            self._end_use(key)

    @asynccontextmanager
    async def turn(self, caller: Caller, receive: Receive, seconds: float) -> AsyncIterator[None]:
        """Count a use until the block is left, which may wait for another one to end.

        Raises TooManyRequestsError after these seconds, or when the client disconnects. Those that wait get their turns
        in the order in which they came.
        """
        key = key_of(caller)
        if problem := self._problem(key):
            if not await self._wait(key, receive, seconds):
                raise TooManyRequestsError(problem, self._retry_seconds)
        else:
            self._uses[key] += 1
        try:
            yield
        finally:
            self._end_use(key)

    async def _wait(self, key: str, receive: Receive, seconds: float) -> bool:
        """Wait for a turn, which is then counted; returns whether it came."""
        turn, left = asyncio.Future[None](), asyncio.create_task(until_disconnected(receive))
        self._waiting[turn] = key
        try:
            await asyncio.wait({turn, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            await asyncio.wait({left})
        except asyncio.CancelledError:
            if turn.done():
                self._end_use(key)
            raise
        finally:
            self._waiting.pop(turn, None)
            left.cancel()
        return turn.done()

    def _end_use(self, key: str) -> None:
        self._uses[key] -= 1
        if not self._uses[key]:
            del self._uses[key]
        for turn, waiting in [*self._waiting.items()]:
            if not self._problem(waiting):
                del self._waiting[turn]
                self._uses[waiting] += 1
                turn.set_result(None)

    def _problem(self, key: str) -> str:
        """Return why one more use would be too many; empty if it would not."""
        if self._uses[key] >= self._per_caller:
            return (
                f"you have {self._uses[key]} {self._what} at a time, which is the most here; try again when one has "
                "ended"
            )
        if self._in_all is not None and self._uses.total() >= self._in_all:
            return f"this server has {self._in_all} {self._what} of all callers at a time; try again later"
        return ""


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a server: long definitions that are read, searches, and live feeds."""

    texts: ConcurrencyLimit
    searches: ConcurrencyLimit
    feeds: ConcurrencyLimit

    def read_text(self, caller: Caller, text: str) -> AbstractContextManager[None]:
        """Count a text while it is read; a short one does not count. Raises TooManyRequestsError."""
        return self.texts.use(caller) if len(text) > QUICK else nullcontext()

    def search(self, request: Request[Caller, object, State]) -> AbstractAsyncContextManager[None]:
        """Count a search while it lasts, after up to three seconds for its turn. Raises TooManyRequestsError."""
        return self.searches.turn(request.user, request.receive, _SEARCH_WAITS)


def make_limits(feeds_per_caller: int) -> RequestLimits:
    return RequestLimits(
        texts=ConcurrencyLimit("long texts to be read", _TEXTS_OF_CALLER, _TEXTS, retry_seconds=5),
        searches=ConcurrencyLimit("searches", _SEARCHES_OF_CALLER, _SEARCHES, retry_seconds=5),
        feeds=ConcurrencyLimit("live feeds", feeds_per_caller, retry_seconds=10),
    )


def key_of(caller: Caller) -> str:
    """Return for whom uses are counted: a user, else an address (of IPv6 a /64), since others may have the token."""
    if caller.user_id is not None:
        return f"user {caller.user_id}"
    if caller.via in _NAMED:
        return f"{caller.via} {caller.name}"
    return f"address {network_of(caller.address)}"


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client disconnects; a request without a body has nothing else to receive."""
    while (await receive())["type"] != "http.disconnect":
        pass
