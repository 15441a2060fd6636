"""Transport that sends head and body of a short response in one write.

uvicorn writes the head of a response as soon as it is known, and the body right after it. Each of the two writes
goes through the whole network stack and wakes the client: that was two fifths of the CPU time of a short response.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dagbook.auth.audit_context import os_username
from dagbook.executors.process.descent import is_below_step

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Send
    from uvicorn import Config
    from uvicorn.server import ServerState

_log = logging.getLogger(__name__)
_PEER = struct.Struct("3i")  # process, user and group
_ROOT = 0
_LONG = 16_384  # bytes, for which a copy costs more than a second buffer of the system call
_STEPS_REFUSED = json.dumps(
    {
        "code": "forbidden",
        "message": "a step cannot use the socket of the server that runs it; give it a token, and use the API by HTTP",
    }
).encode()


class SingleWriteProtocol(HttpToolsProtocol):
    """HTTP/1.1 over a SingleWriteTransport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        super().connection_made(cast(asyncio.Transport, SingleWriteTransport(transport, self.loop)))


class OwnUserProtocol(SingleWriteProtocol):
    """HTTP/1.1 on a Unix socket for the user of this process and root only, and not for what steps have started.

    ``app_for`` makes the application for the connected user.
    """

    def __init__(self, config: Config, state: ServerState, app_for: Callable[[str], ASGIApp]) -> None:
        super().__init__(config, state, {})
        self._app_for = app_for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        """Accept a connection, or abort it: the mode of the socket's file may have been changed.

        A step has the user of this process, but not its rights: who starts a run would otherwise be an admin.
        """
        super().connection_made(transport)
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(peer)
        if uid in (os.geteuid(), _ROOT) and is_below_step(pid):
            _log.warning("refused a connection of a step (process %s) to this process's socket", pid)
            self.app = cast(Any, _refuse_step)
        elif uid in (os.geteuid(), _ROOT):
            self.app = cast(Any, self._app_for(os_username(uid)))
        else:
            _log.warning("refused a connection of user %s to this process's socket", os_username(uid))
            transport.abort()


async def _refuse_step(_scope: Any, _receive: Receive, send: Send) -> None:
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_STEPS_REFUSED))]
    start: Any = {"type": "http.response.start", "status": HTTPStatus.FORBIDDEN, "headers": head}
    await send(start)
    await send({"type": "http.response.body", "body": _STEPS_REFUSED, "more_body": False})


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
