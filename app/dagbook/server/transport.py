"""Bytes of a connection: received in pieces, and head and body of a short response sent in one write.

uvicorn writes the head of a response as soon as it is known, and the body right after it. Each of the two writes
goes through the whole network stack and wakes the client: that was two fifths of the CPU time of a short response.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LONG = 16_384  # bytes, for which a copy costs more than a second buffer of the system call


class Receiver(asyncio.BufferedProtocol):
    """Passes to a connection what is received, in pieces: uvloop reads 256 KB at once, of all connections in turn."""

    def __init__(self, protocol: asyncio.Protocol, piece: memoryview) -> None:
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


class SingleWriteTransport:
    """Transport that delays a write until the next one, or until the event loop's next iteration."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._delayed = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the delayed data together with this, or delay this.

        A long body is not copied: the client may never read it, and all clients share that of a file.
        """
        if self._delayed:
            delayed, self._delayed = self._delayed, b""
            if len(data) <= _LONG:
                self._transport.write(delayed + data)
            elif not self._transport.is_closing():  # for which writelines raises an error, other than write
                self._transport.writelines([delayed, data])
        elif data:
            self._delayed = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send the delayed data and close the connection."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        delayed, self._delayed = self._delayed, b""
        if delayed and not self._transport.is_closing():
            self._transport.write(delayed)


class SingleWriteProtocol(HttpToolsProtocol):
    """HTTP/1.1 over a SingleWriteTransport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        delaying = SingleWriteTransport(cast(asyncio.Transport, transport), self.loop)
        super().connection_made(cast(asyncio.Transport, delaying))
