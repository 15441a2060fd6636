"""The HTTP client of the server's own requests, which does not connect to denied destinations.

Addresses are checked when a connection is made: a name is resolved once, and only addresses that were checked are
connected to, so neither a redirect nor a name that resolves to something else the next time gets around it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import httpcore
import httpx

from dagbook.egress.rules import Egress

_STAGGER_SECONDS = 0.25  # until the next address is tried at the same time (RFC 8305)


class EgressDeniedError(httpx.TransportError):
    """The setting ``egress_deny`` forbids requests to this destination; the message names it."""


class EgressClient(httpx.AsyncClient):
    """Makes its transports itself: httpx takes no connector, and with a given transport no proxy of the environment."""

    def __init__(self, egress: Egress, **options: Any) -> None:
        """``options`` are those of ``httpx.AsyncClient``."""
        self._egress = egress
        super().__init__(**options)

    def _init_transport(self, *_args: object, **options: Any) -> httpx.AsyncBaseTransport:
        """Make the transport without a proxy; httpx calls it with keywords only."""
        given: httpx.AsyncBaseTransport | None = options.pop("transport", None)
        return given or _Transport(self._egress, **options)

    def _init_proxy_transport(self, proxy: httpx.Proxy, *_args: object, **options: Any) -> httpx.AsyncBaseTransport:
        return _Transport(self._egress, proxy=proxy, **options)


class _Options(NamedTuple):
    local_address: str | None
    socket_options: Iterable[httpcore.SOCKET_OPTION] | None


class _Transport(httpx.AsyncHTTPTransport):
    """A transport that checks its requests.

    Through a proxy only by the host in the URL: the proxy itself was chosen for this server, and resolves names.
    """

    def __init__(self, egress: Egress, *, proxy: httpx.Proxy | None = None, **options: Any) -> None:
        super().__init__(proxy=proxy, **options)
        self._egress = egress
        if proxy is None:
            # The pool takes a backend, but httpx makes the pool. Without it tests/executors/test_egress.py fails.
            self._pool._network_backend = _Backend(egress)  # noqa: SLF001

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raises EgressDeniedError."""
        _raise_if(self._egress.refusal_of_host(request.url.host))
        return await super().handle_async_request(request)


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; raises EgressDeniedError if one of the host's is denied."""
        options = _Options(local_address, socket_options)
        try:
            async with asyncio.timeout(timeout):
                return await self._connect_first(await self._resolve(host, port), port, options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error

    async def _resolve(self, host: str, port: int) -> list[str]:
        _raise_if(self._egress.refusal_of_host(host))
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            _raise_if(self._egress.refusal_of_address(host, ipaddress.ip_address(address)))
        return addresses

    async def _connect_first(
        self, addresses: Sequence[str], port: int, options: _Options
    ) -> httpcore.AsyncNetworkStream:
        """Try the addresses in order, the next one also when the one before has not answered for a moment."""
        left = list(addresses)
        active: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
        failure: BaseException | None = None
        try:
            while left or active:
                if left:
                    active.add(asyncio.create_task(self._backend.connect_tcp(left.pop(0), port, None, *options)))
                done, active = await asyncio.wait(
                    active, timeout=_STAGGER_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if (failure := task.exception()) is None:
                        active |= done - {task}
                        return task.result()
            raise failure or httpcore.ConnectError("the host has no address")
        finally:
            await _discard(active)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a socket of this machine, which is not restricted."""
        return await self._backend.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _raise_if(refusal: str) -> None:
    if refusal:
        raise EgressDeniedError(refusal)


async def _discard(active: Iterable[asyncio.Task[httpcore.AsyncNetworkStream]]) -> None:
    """Cancel attempts to connect, and close what has been connected meanwhile."""
    attempts = list(active)
    for task in attempts:
        task.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if not isinstance(result, BaseException):
            await result.aclose()
