"""The process that holds the database, as commands see it: asked over its socket, waited for, or become.

PostgreSQL needs none of this: every command works on the database itself. Of a SQLite file there is one holder at a
time, a server or a command. A command takes the file where there is none, drives what others left, and gives the file
up when its own work is done or a server asks for it. What it then still wants to know it asks the next holder.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from enum import Enum, auto
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx

from dagbook.auth.audit_context import os_username
from dagbook.cli.group import uncollected
from dagbook.db.sqlite.lock_file import DatabaseOwned, Owner, ServerLock, acquire
from dagbook.db.url import sqlite_path
from dagbook.settings import Settings

if TYPE_CHECKING:
    from dagbook.cli.local_server import LocalServer
    from dagbook.main import Server

_log = logging.getLogger(__name__)
BASE = "http://localhost"
HAND_OVER = "/hand-over"
_LIMIT_SECONDS = 30
# Steps that would end with their process have half a minute, in which the holder answers no more.
_PATIENCE_SECONDS = 60
_NOTICE_SECONDS = 5
_PAUSE_SECONDS = 0.1  # a server that waits as well asks more often, so that it goes first
_EAGER_PAUSE_SECONDS = 0.02
_COURTESY_SECONDS = 1.0  # for the server that has asked for the file
_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
# The connection broke after something was sent; httpx has no common name for these that leaves the timeouts out.
_BROKEN = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


class Mode(Enum):
    """What a command does with a file that it holds."""

    RUN = auto()  # adopt and run runs, and answer other commands
    QUEUE = auto()  # let runs wait in queues, and change these
    READ = auto()  # nothing with runs


class ServerLost(click.ClickException):  # a state of the world, not a mistake
    """The holder ended before it answered a request that may not simply be repeated."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(f"{owner} ended before it answered; look whether the request was carried out")


@contextmanager
def lock_database(settings: Settings, address: str) -> Iterator[ServerLock | None]:
    """Hold the lock of a SQLite file; None for PostgreSQL. Raises DatabaseOwned when another process holds it."""
    lock = _claim(settings, address)
    try:
        yield lock
    finally:
        if lock is not None:
            lock.release()


def _claim(settings: Settings, address: str) -> ServerLock | None:
    path = sqlite_path(settings.database_url)
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return acquire(path, address)


@asynccontextmanager
async def lock_for_server(settings: Settings, address: str) -> AsyncIterator[ServerLock | None]:
    """Hold the lock for a server: a command that has it is asked to hand it over and has a minute for that."""
    lock = await _claim_for_server(settings, address)
    try:
        yield lock
    finally:
        if lock is not None:
            lock.release()


async def _claim_for_server(settings: Settings, address: str) -> ServerLock | None:
    patience, ask_at = _Wait(), 0.0
    while True:
        try:
            return _claim(settings, address)
        except DatabaseOwned as error:
            if error.owner.is_server:
                raise
            patience.check(error)
            if time.monotonic() > ask_at and await _ask_to_hand_over(error.owner):
                ask_at = time.monotonic() + _COURTESY_SECONDS
        await asyncio.sleep(_EAGER_PAUSE_SECONDS)


async def _ask_to_hand_over(owner: Owner) -> bool:
    try:
        async with httpx.AsyncClient(transport=_to(owner), timeout=_LIMIT_SECONDS) as client:
            return (await client.post(BASE + HAND_OVER)).is_success
    except httpx.TransportError:
        return False  # it does not answer yet, or not any more


class _Wait:
    """Waits for another process, tells so once, and not for ever."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told = False

    def check(self, error: DatabaseOwned) -> None:
        """Raise the error when it has taken too long."""
        waited = time.monotonic() - self._began
        if waited > _PATIENCE_SECONDS:
            raise error
        if waited > _NOTICE_SECONDS and not self._told:
            if error.owner.is_server and not error.owner.socket:
                raise click.ClickException(
                    f"{error.owner} is of an older version, which takes no commands of this one; restart it"
                )
            click.echo(f"waiting for {error.owner}, which has the database", err=True)
            self._told = True


def _to(owner: Owner) -> httpx.AsyncHTTPTransport:
    if not owner.socket:
        raise httpx.ConnectError("a process of an older version, or one that has not told its socket yet")
    # A connection that is kept could be one that its other end closes just now. There is no TLS, whose context would be
    # made all the same.
    none_kept = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(uds=owner.socket, limits=none_kept, verify=False)


class ServerTransport(httpx.AsyncBaseTransport):
    """Sends requests to the process that holds the database, and becomes it when there is none.

    A request that may be repeated outlives its holder: the next one is asked. Of others ``HolderLost`` tells, unless it
    is certain that they were not carried out.
    """

    def __init__(self, settings: Settings, command: str, mode: Mode) -> None:
        self._settings = settings
        self._command = command
        self._mode = mode
        self._turn = asyncio.Lock()  # nothing is asked here while the file is given up
        self._owner: Owner | None = None
        self._own = AsyncExitStack()
        self._server: Server | None = None
        self._lock: ServerLock | None = None
        self._gate: asyncio.Task[LocalServer] | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def is_server(self) -> bool:
        """Whether a server holds the database, which sees to the end of all runs."""
        return self._owner is not None and self._owner.is_server

    async def enter(self) -> Server | None:
        """Take the file if it is free; returns what is open here then, None where another process has the file."""
        if self._server is None and self._owner is None:
            try:
                self._lock = _claim(self._settings, f"dagbook {self._command}")
            except DatabaseOwned as error:
                self._owner = error.owner
            else:
                self._server = await self._open()
        return self._server

    async def _open(self) -> Server:
        if self._lock is not None:
            self._own.callback(self._lock.release)
        try:
            return await self._own.enter_async_context(_opened(self._settings, self._command, self._mode))
        except BaseException:
            await self._own.aclose()
            raise

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the process that holds the file, and wait for one that can answer."""
        async with self._turn:
            patience = _Wait()
            while (server := await self.enter()) is None:
                if response := await self._ask(request, patience):
                    return response
                self._owner = None
                await asyncio.sleep(_PAUSE_SECONDS)
            return await self._ask_here(server, request)

    async def _ask(self, request: httpx.Request, patience: _Wait) -> httpx.Response | None:
        """Ask the other process; None when it is gone, or not ready yet, and the request may be sent again."""
        assert self._owner is not None  # noqa: S101 - as ``enter`` leaves it
        owner = self._owner
        try:
            async with _to(owner) as transport:
                response = await transport.handle_async_request(request)
                await response.aread()
                return response
        except httpx.TimeoutException as error:
            raise click.ClickException(f"{owner} does not answer") from error
        except httpx.ConnectError:
            pass  # nothing was sent: the holder has ended or does not listen yet, so the caller asks again
        except _BROKEN as error:
            if not _may_be_repeated(request):
                self._owner = None
                raise ServerLost(owner) from error
        patience.check(DatabaseOwned(sqlite_path(self._settings.database_url) or Path(), owner))
        return None

    async def _ask_here(self, server: Server, request: httpx.Request) -> httpx.Response:
        with uncollected():
            await asyncio.to_thread(server.make_app)  # loads the web framework, while the loop drives runs
        app = server.app_for(os_username(os.getuid()))
        response = await httpx.ASGITransport(app).handle_async_request(request)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
        if self._gate is None and self._lock is not None and self._mode is Mode.RUN:
            self._gate = asyncio.create_task(self._answer(server, self._lock), name="answer other commands")
        return response

    async def _answer(self, server: Server, lock: ServerLock) -> LocalServer:
        """Answer other commands: the own work has begun."""
        module = await asyncio.to_thread(import_module, "dagbook.cli.local_server")
        door: LocalServer = module.LocalServer(server, self._hand_over)
        await door.listen(lock.listener)
        return door

    def _hand_over(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name="hand the database over")

    async def _leave(self) -> None:
        try:
            async with self._turn:
                await self._close()
                await asyncio.sleep(_COURTESY_SECONDS)
        finally:
            self._leaving = None

    async def _close(self) -> None:
        """Release the file: unfinished runs are detached in order, and the next holder adopts them."""
        door, self._gate, self._server = self._gate, None, None
        try:
            if self._lock is not None:
                self._lock.close_listener()
            if door is not None:
                await _close_gate(door)
        finally:
            self._lock = None
            await self._own.aclose()

    async def aclose(self) -> None:
        """Give the file up, if it is here."""
        async with self._turn:
            await self._close()


async def _close_gate(door: asyncio.Task[LocalServer]) -> None:
    if not door.done():
        door.cancel()  # what is not needed any more need not get ready
    (answering,) = await asyncio.gather(door, return_exceptions=True)
    if not isinstance(answering, BaseException):
        await answering.close()
    elif not isinstance(answering, asyncio.CancelledError):
        _log.error("other commands could not be answered", exc_info=answering)


def _may_be_repeated(request: httpx.Request) -> bool:
    return request.method in _LOOKS or request.url.path.endswith("/stop")


@asynccontextmanager
async def _opened(settings: Settings, command: str, mode: Mode) -> AsyncIterator[Server]:
    with uncollected():  # a command that asks another process needs none of this
        from dagbook.accounts.auth_setup import command_settings  # noqa: PLC0415
        from dagbook.db.migrations.upgrade import upgrade  # noqa: PLC0415
        from dagbook.main import open_enqueue_only, open_offline, open_server  # noqa: PLC0415

    await upgrade(settings.database_url, schema=settings.database_schema)
    alone = command_settings(settings)
    match mode:
        case Mode.RUN:
            opening = open_server(alone, command, "")
        case Mode.QUEUE:
            opening = open_enqueue_only(alone)
        case Mode.READ:
            opening = open_offline(alone, command)
    async with opening as server:
        yield server
