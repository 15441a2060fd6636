"""How answers leave: head and body of a short one in one piece.

The web server writes the head of an answer as soon as it is known, and the body right after it. Each of the two writes
went through the whole network stack and woke the client, which was two fifths of the CPU of a short answer.
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
    """HTTP/1.1 on connections that send a head together with what follows it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        """Take a connection over."""
        super().connection_made(cast(asyncio.Transport, SingleWriteTransport(transport, self.loop)))


class OwnUserProtocol(SingleWriteProtocol):
    """The same on a Unix socket, for the user of this process and root alone; requests say whose they are."""

    def __init__(self, config: Config, state: ServerState, app_for: Callable[[str], ASGIApp]) -> None:
        super().__init__(config, state, {})
        self._app_for = app_for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        """Take a connection over, or drop it: the mode of the socket's file may have been changed."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        _, uid, _ = _PEER.unpack(peer)
        if uid in (os.geteuid(), _ROOT):
            self.app = cast(Any, self._app_for(os_username(uid)))
        else:
            _log.warning("a connection of user %s to the socket of this process is refused", os_username(uid))
            transport.abort()


class SingleWriteTransport:
    """A transport that holds the first of two writes back for the second, or until the loop's next round."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send what was held together with this, or hold this."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close the connection once all was sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
