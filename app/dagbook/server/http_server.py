"""The HTTP server of ``dagbook serve``: uvicorn with limits of its connections, within those of the process."""

from __future__ import annotations

import logging
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from dagbook.server.connections import Acceptor, ConnectionTable, HttpLimits, LimitedProtocol
from dagbook.settings import Settings

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 5


def http_limits(settings: Settings) -> HttpLimits:
    """Return the limits of connections; half of the process's descriptors stay free for steps and the database."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = settings.max_connections
    if descriptors != resource.RLIM_INFINITY and descriptors // 2 < connections:
        connections = descriptors // 2
        _log.warning("only %d connections at a time, because of %d file descriptors", connections, descriptors)
    return HttpLimits(connections=connections, per_address=settings.max_connections_per_address)


class HttpServer(uvicorn.Server):
    """A server without signal handlers: after its last response, runs have to be detached."""

    def __init__(
        self,
        config: uvicorn.Config,
        table: ConnectionTable,
        tls: ssl.SSLContext | None,
        when_started: Callable[[], Awaitable[None]] | None,
    ) -> None:
        super().__init__(config)
        self._when_started = when_started
        self._table = table
        self._tls = tls

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        make_protocol = partial(LimitedProtocol, self.config, self.server_state, self.lifespan.state, self._table)
        acceptors = [Acceptor(each, self._table, make_protocol, self._tls) for each in sockets or []]
        for acceptor in acceptors:
            acceptor.start()
        self.servers: list[Any] = acceptors
        self.started = True
        if self._when_started is not None and not self.should_exit:
            await self._when_started()


def make_http_server(
    app: Callable[..., Awaitable[None]],
    settings: Settings,
    tls: ssl.SSLContext | None,
    when_started: Callable[[], Awaitable[None]] | None,
) -> HttpServer:
    """Make the server of an application; ``when_started`` is called once requests are accepted."""
    limits = http_limits(settings)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=int(limits.idle_seconds),
    )
    return HttpServer(config, ConnectionTable(limits, settings.trusted_proxies), tls, when_started)
