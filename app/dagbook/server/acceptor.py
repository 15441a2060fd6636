"""Accepts the connections of a listener within the limits of a table of connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dagbook.server.connections import ConnectionTable, LimitedProtocol, refusal

_log = logging.getLogger(__name__)


class _Receiver(asyncio.BufferedProtocol):
    """Passes to a connection what is received, in pieces: uvloop reads 256 KB at once, of all connections in turn."""

    def __init__(self, protocol: LimitedProtocol, piece: memoryview) -> None:
        """``piece`` may be that of all connections: what is in it is used before the next one is read."""
        self._protocol = protocol
        self._piece = piece

    def get_buffer(self, _: int) -> memoryview:
        return self._piece

    def buffer_updated(self, size: int) -> None:
        self._protocol.data_received(bytes(self._piece[:size]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def eof_received(self) -> None:
        self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class Acceptor:
    """Accepts the connections of a listener; in place of the event loop's server, which can refuse none."""

    _PAUSE_SECONDS = 0.1  # without a free descriptor

    def __init__(
        self,
        listener: socket.socket,
        table: ConnectionTable,
        make_protocol: Callable[[socket.socket], LimitedProtocol],
        tls: Any = None,
    ) -> None:
        self._listener = listener
        self._table = table
        self._make_protocol = make_protocol
        self._tls = tls
        self._piece = memoryview(bytearray(table.limits.piece_bytes))
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._listener.setblocking(False)
        self._listen()
        self._sweep()

    def close(self) -> None:
        """Accept no more connections."""
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Stop watching the connections; they are closed by then."""
        if self._timer is not None:
            self._timer.cancel()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            peer, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.warning("no connection can be accepted: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(self._PAUSE_SECONDS, self._listen)
            return
        self._admit(peer, address[0] if isinstance(address, tuple) else "")

    def _admit(self, peer: socket.socket, address: str) -> None:
        peer.setblocking(False)
        group = self._table.group(address)
        if status := self._table.make_room(group):
            self._table.count_refusal()
            if self._tls is None:
                with suppress(OSError):
                    peer.send(refusal(status))
            peer.close()
            return
        protocol = self._make_protocol(peer)
        self._table.add(protocol, group)
        task = self._loop.create_task(self._connect(peer, protocol))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, peer: socket.socket, protocol: LimitedProtocol) -> None:
        limit = self._table.limits.head_seconds if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: _Receiver(protocol, self._piece),
                peer,
                ssl=self._tls,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=limit,
            )
        except OSError:  # the client has left, or its handshake failed
            self._table.discard(protocol)
        except BaseException:
            self._table.discard(protocol)
            raise

    def _sweep(self) -> None:
        now = self._loop.time()
        self._table.sweep(now, now - self._swept)
        self._swept = now
        self._timer = self._loop.call_later(self._table.limits.sweep_seconds, self._sweep)
