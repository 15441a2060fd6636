"""A server on a real port, and a client of its live feed."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import httpx
import msgspec
import uvicorn

from dagbook.main import API_PATH, Server
from tests.waiting import PATIENCE_SECONDS


class Event(msgspec.Struct, frozen=True):
    """One event as it came; ``id`` is the last one that was said by then."""

    kind: str
    id: str
    data: dict[str, Any]


class Listener:
    """Reads one stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.id = ""
        self.seen: list[Event] = []
        self.bytes = 0

    async def next(self) -> Event:
        """Return the next event, heartbeats passed over."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                kind, data = await self._frame()
                if data is not None:
                    self.seen.append(Event(kind, self.id, json.loads(data)))
                    return self.seen[-1]

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Return the first event that is wanted."""
        while True:
            if wanted(found := await self.next()):
                return found

    async def heartbeat(self) -> None:
        """Wait for a frame that is no event."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._frame())[1] is not None:
                pass

    async def ended(self) -> list[Event]:
        """Wait for the end, and return all that came before it."""
        try:
            while True:
                await self.next()
        except StopAsyncIteration:
            return self.seen

    async def _frame(self) -> tuple[str, str | None]:
        kind, data = "message", None
        while line := await anext(self._lines):
            self.bytes += len(line) + 1
            name, _, value = line.partition(":")
            match name:
                case "id":
                    self.id = value.strip()
                case "event":
                    kind = value.strip()
                case "data":
                    data = value
        return kind, data


class Door:
    """The way to a server that listens."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    @asynccontextmanager
    async def listen(
        self, query: str = "", *, after: str = "", headers: dict[str, str] | None = None
    ) -> AsyncIterator[Listener]:
        """Open a stream and wait until it is ready."""
        sent = {**(headers or {}), **({"Last-Event-ID": after} if after else {})}
        async with self.client.stream("GET", f"/events{query}", headers=sent) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            listener = Listener(answer.aiter_lines())
            await listener.next()
            yield listener


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[Door]:
    """Let a server answer on a port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            server.app, access_log=False, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=5
        )
        web = uvicorn.Server(config)
        web.capture_signals = _none  # type: ignore[method-assign]  # the tests' own are left alone
        serving = asyncio.create_task(web.serve(sockets=[listener]))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}"
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_SECONDS, limits=limits) as client:
            try:
                yield Door(client)
            finally:
                server.services.system.feed.close()
                web.should_exit = True
                await serving


def _none() -> Any:
    return nullcontext()
