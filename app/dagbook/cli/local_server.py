"""API server for commands, at the Unix socket beside a SQLite file."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import uvicorn
from uvicorn.server import ServerState

from dagbook.cli.transport import HAND_OVER
from dagbook.db.sqlite.lock_file import ServerLock
from dagbook.main import Server
from dagbook.server.own_user import Application, OwnUserProtocol

_GRACE_SECONDS = 5
_BACKLOG = 128
_ROUNDS = 3  # of the event loop: to accept a connection, to read its request, to start handling it


class LocalServer:
    """Serves the API at a Unix socket until it is closed."""

    def __init__(self, server: Server, hand_over: Callable[[], None] | None) -> None:
        """``hand_over`` is called when a server requests the file; None passes that request to the application."""
        self._server = server
        self._hand_over = hand_over
        self._state = ServerState()
        self._listening: asyncio.AbstractServer | None = None

    async def listen(self, listener: socket.socket) -> None:
        config = uvicorn.Config(
            self._server.app, access_log=False, log_config=None, lifespan="off", ws="none", server_header=False
        )
        config.load()
        self._listening = await asyncio.get_running_loop().create_unix_server(
            lambda: OwnUserProtocol(config, self._state, self._app_for), sock=listener, backlog=_BACKLOG
        )

    def _app_for(self, user: str) -> Application:
        app = self._server.app_for(user)
        return app if self._hand_over is None else _HandoverMiddleware(app, self._hand_over)

    async def close(self) -> None:
        """Finish the accepted requests. The socket's file must be deleted before, so that no new ones arrive."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        self._server.services.system.feed.close()  # its responses would never end
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()


class _HandoverMiddleware:
    """Calls ``hand_over`` when a server requests the file from the command that owns it."""

    def __init__(self, app: Application, hand_over: Callable[[], None]) -> None:
        self._app = app
        self._hand_over = hand_over

    async def __call__(self, scope: Mapping[str, object], receive: object, send: Application) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", HAND_OVER):
            await self._app(scope, receive, send)
            return
        self._hand_over()
        head = {"type": "http.response.start", "status": HTTPStatus.ACCEPTED, "headers": [(b"content-length", b"0")]}
        await send(head)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def serving_commands(server: Server, lock: ServerLock | None) -> AsyncIterator[None]:
    """Serve commands while the block lasts; ``lock`` is None on PostgreSQL, where commands open the database."""
    if lock is None:
        yield
        return
    local_server = LocalServer(server, None)
    await local_server.listen(lock.listener)
    try:
        yield
    finally:
        lock.close_listener()
        await local_server.close()
