"""Applications behind real sockets of this machine, served by the web server that serves them in earnest."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from dagbook.main import API_PATH, Server
from tests.waiting import wait_until


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(server: Server, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve until the block is left, on a socket that is there already if need be; gives the address of the API."""
    config = uvicorn.Config(
        server.app, access_log=False, log_config=None, lifespan="off", ws="none", proxy_headers=False
    )
    web = _Uvicorn(config)
    with listener or socket.create_server(("127.0.0.1", 0)) as bound:
        task = asyncio.create_task(web.serve(sockets=[bound]))

        async def is_up() -> bool:
            return web.started

        await wait_until(is_up)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}{API_PATH}"
        web.should_exit = True
        await task
