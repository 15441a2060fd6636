"""Transport that sends head and body of a short response in one write.

uvicorn writes the head of a response as soon as it is known, and the body right after it. Each of the two writes
goes through the whole network stack and wakes the client: that was two fifths of the CPU time of a short response.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dagbook.auth.audit_context import os_username

if TYPE_CHECKING:
    from litestar.types import ASGIApp
    from uvicorn import Config
    from uvicorn.server import ServerState

_log = logging.getLogger(__name__)
_PEER = struct.Struct("3i")  # process, user and group
_ROOT = 0


class SingleWriteProtocol(HttpToolsProtocol):
    """HTTP/1.1 over a SingleWriteTransport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        super().connection_made(cast(asyncio.Transport, SingleWriteTransport(transport, self.loop)))


class OwnUserProtocol(SingleWriteProtocol):
    """HTTP/1.1 on a Unix socket for the user of this process and root only.

    ``app_for`` makes the application for the connected user.
    """

    def __init__(self, config: Config, state: ServerState, app_for: Callable[[str], ASGIApp]) -> None:
        super().__init__(config, state, {})
        self._app_for = app_for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        """Accept a connection, or abort it: the mode of the socket's file may have been changed."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        _, uid, _ = _PEER.unpack(peer)
        if uid in (os.geteuid(), _ROOT):
            self.app = cast(Any, self._app_for(os_username(uid)))
        else:
            _log.warning("refused a connection of user %s to this process's socket", os_username(uid))
            transport.abort()


class SingleWriteTransport:
    """Transport that delays a write until the next one, or until the event loop's next iteration."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._delayed = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the delayed data together with this, or delay this."""
        if self._delayed:
            delayed, self._delayed = self._delayed, b""
            self._transport.write(delayed + data)
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
