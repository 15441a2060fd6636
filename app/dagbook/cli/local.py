"""Transport of commands to the process that owns the database, or to this process if there is none.

On PostgreSQL every command opens the database itself. A SQLite file has one owner at a time, a server or a command. A
command without a running owner locks the file, adopts orphaned runs, and releases the file when its own work is done
or a server requests it. Its remaining requests go to the next owner.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx

from dagbook.cli.commands import uncollected
from dagbook.cli.output import echo
from dagbook.cli.transport import EVENT_STREAM, HAND_OVER, SAFE_METHODS, Mode, ServerLost
from dagbook.db.sqlite.lock_file import DatabaseOwned, Owner, ServerLock, acquire
from dagbook.db.url import sqlite_path
from dagbook.settings import Settings
from dagbook.unix.files import make_private_folder
from dagbook.unix.unix_accounts import account_name

if TYPE_CHECKING:
    from dagbook.cli.local_server import LocalServer
    from dagbook.main import Server

_log = logging.getLogger(__name__)
_BASE = "http://localhost"
_LIMIT_SECONDS = 30
# Steps inside the owner's process have half a minute to finish, in which the owner does not answer any more.
_PATIENCE_SECONDS = 60
_NOTICE_SECONDS = 5
_PAUSE_SECONDS = 0.1  # a waiting server tries more often, so that it comes first
_EAGER_PAUSE_SECONDS = 0.02
_COURTESY_SECONDS = 1.0  # in which the server that requested the file can lock it
# The connection broke after something was sent; httpx has no common base class of these without the timeouts.
_BROKEN = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


@contextmanager
def lock_database(settings: Settings, address: str) -> Iterator[ServerLock | None]:
    """Lock a SQLite file; yields None for PostgreSQL. Raises DatabaseOwned when another process has the lock."""
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
    make_private_folder(path.parent)
    return acquire(path, address)


@asynccontextmanager
async def lock_for_server(settings: Settings, address: str) -> AsyncIterator[ServerLock | None]:
    """Lock the file for a server; a command that owns it is asked to hand it over and has a minute to do so."""
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
            return (await client.post(_BASE + HAND_OVER)).is_success
    except httpx.TransportError:
        return False  # not listening yet, or already closed


class _Wait:
    """Time limit for waiting for another process, with one notice."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._notified = False

    def check(self, error: DatabaseOwned) -> None:
        """Raise the error when the time limit has passed."""
        waited = time.monotonic() - self._started
        if waited > _PATIENCE_SECONDS:
            raise error
        if waited > _NOTICE_SECONDS and not self._notified:
            if error.owner.is_server and not error.owner.socket:
                raise click.ClickException(
                    f"{error.owner} is an older version, which does not accept commands of this one; restart it"
                )
            echo(f"waiting for {error.owner}, which has the database open", err=True)
            self._notified = True


def _to(owner: Owner) -> httpx.AsyncHTTPTransport:
    if not owner.socket:
        raise httpx.ConnectError("a process of an older version, or one that has not written its socket yet")
    # No keep-alive: the other end could be closing an idle connection. verify=False saves making a TLS context.
    no_keep_alive = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(uds=owner.socket, limits=no_keep_alive, verify=False)


class _FeedStream(httpx.AsyncByteStream):
    """A body that never ends, with its connection, which is closed with it."""

    def __init__(self, transport: httpx.AsyncHTTPTransport, body: httpx.AsyncByteStream) -> None:
        self._transport = transport
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()
        await self._transport.aclose()


async def _stream(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    """Send a request whose response is read as it comes."""
    try:
        response = await transport.handle_async_request(request)
    except BaseException:
        await transport.aclose()
        raise
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - of an asynchronous transport
    response.stream = _FeedStream(transport, response.stream)
    return response


class ServerTransport(httpx.AsyncBaseTransport):
    """Sends requests to the owner of the database; when there is none, this process becomes the owner.

    When the owner exits, an idempotent request is sent to the next one. Any other request raises ``ServerLost``, unless
    it was certainly not carried out.
    """

    poll_seconds = 0.1

    def __init__(self, settings: Settings, command: str, mode: Mode) -> None:
        self._settings = settings
        self._command = command
        self._mode = mode
        self._turn = asyncio.Lock()  # no request is handled here while the file is being released
        self._owner: Owner | None = None
        self._own = AsyncExitStack()
        self._server: Server | None = None
        self._lock: ServerLock | None = None
        self._local_server: asyncio.Task[LocalServer] | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Address of the server that owns the file, empty if none does."""
        return self._owner.address if self._owner is not None and self._owner.is_server else ""

    @property
    def is_alone(self) -> bool:
        """Whether this process has the file and executes no runs."""
        return self._lock is not None and self._mode is not Mode.RUN

    @property
    def is_server(self) -> bool:
        """Whether the owner is a server, which executes all runs to their end."""
        return self._owner is not None and self._owner.is_server

    async def enter(self) -> Server | None:
        """Lock the file if it is free and return the application of this process; None if another process owns it."""
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
        """Send a request to the owner of the file, waiting until there is one that answers."""
        async with self._turn:
            patience = _Wait()
            while (server := await self.enter()) is None:
                if response := await self._ask(request, patience):
                    return response
                self._owner = None
                await asyncio.sleep(_PAUSE_SECONDS)
            return await self._ask_here(server, request)

    async def _ask(self, request: httpx.Request, patience: _Wait) -> httpx.Response | None:
        """Send a request to the other process; None when it exited or is not ready, and the request may be repeated."""
        assert self._owner is not None  # noqa: S101 - set by ``enter``
        owner = self._owner
        try:
            if request.headers.get("Accept") == EVENT_STREAM:
                return await _stream(_to(owner), request)
            async with _to(owner) as transport:
                response = await transport.handle_async_request(request)
                await response.aread()
                return response
        except httpx.TimeoutException as error:
            raise click.ClickException(f"{owner} does not answer") from error
        except httpx.ConnectError:
            pass  # nothing was sent: the owner has exited or does not listen yet, so the caller tries again
        except _BROKEN as error:
            is_idempotent = request.method in SAFE_METHODS or request.url.path.endswith("/stop")
            if not is_idempotent:
                self._owner = None
                raise ServerLost(owner) from error
        patience.check(DatabaseOwned(sqlite_path(self._settings.database_url) or Path(), owner))
        return None

    async def _ask_here(self, server: Server, request: httpx.Request) -> httpx.Response:
        if request.headers.get("Accept") == EVENT_STREAM:
            raise click.ClickException(
                "the feed of changes needs a running server; start one with `dagbook serve`, or give --server URL"
            )
        with uncollected():
            await asyncio.to_thread(server.make_app)  # imports the web framework while the loop executes runs
        app = server.app_for(account_name(os.getuid()))
        response = await httpx.ASGITransport(app).handle_async_request(request)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
        if self._local_server is None and self._lock is not None and self._mode is Mode.RUN:
            self._local_server = asyncio.create_task(self._serve(server, self._lock), name="serve other commands")
        return response

    async def _serve(self, server: Server, lock: ServerLock) -> LocalServer:
        """Serve other commands, once this one's first request is handled."""
        module = await asyncio.to_thread(import_module, "dagbook.cli.local_server")
        local_server: LocalServer = module.LocalServer(server, self._hand_over)
        await local_server.listen(lock.listener)
        return local_server

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
        """Release the file: unfinished runs are detached in order, and the next owner adopts them."""
        local_server, self._local_server, self._server = self._local_server, None, None
        try:
            if self._lock is not None:
                self._lock.close_listener()
            if local_server is not None:
                await _close_local_server(local_server)
        finally:
            self._lock = None
            await self._own.aclose()

    async def aclose(self) -> None:
        """Release the file, if this process owns it."""
        async with self._turn:
            await self._close()


async def _close_local_server(starting: asyncio.Task[LocalServer]) -> None:
    if not starting.done():
        starting.cancel()  # not needed any more
    (result,) = await asyncio.gather(starting, return_exceptions=True)
    if not isinstance(result, BaseException):
        await result.close()
    elif not isinstance(result, asyncio.CancelledError):
        _log.error("other commands could not be served", exc_info=result)


@asynccontextmanager
async def _opened(settings: Settings, command: str, mode: Mode) -> AsyncIterator[Server]:
    with uncollected():  # a command that sends its requests to another process needs none of this
        from dagbook.accounts.auth_setup import command_settings  # noqa: PLC0415
        from dagbook.db.migrations.upgrade import upgrade  # noqa: PLC0415
        from dagbook.main import open_enqueue_only, open_offline, open_server  # noqa: PLC0415

    await upgrade(settings.database_url, schema=settings.database_schema)
    own_settings = command_settings(settings)
    match mode:
        case Mode.RUN:
            opening = open_server(own_settings, command, "")
        case Mode.QUEUE:
            opening = open_enqueue_only(own_settings)
        case Mode.READ:
            opening = open_offline(own_settings, command)
    async with opening as server:
        yield server
