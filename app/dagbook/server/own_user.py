"""HTTP on a Unix socket, for the user of this process and root only, and not for what steps have started."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from dagbook.server.transport import SingleWriteProtocol
from dagbook.unix.descent import is_below_step
from dagbook.unix.unix_accounts import account_name

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

Application = Callable[..., Awaitable[None]]
_log = logging.getLogger(__name__)
_PEER = struct.Struct("3i")  # process, user and group
_ROOT = 0
_STEPS_REFUSED = json.dumps(
    {
        "code": "forbidden",
        "message": "a step cannot use the socket of the server that runs it; give it a token, and use the API by HTTP",
    }
).encode()


class OwnUserProtocol(SingleWriteProtocol):
    """HTTP/1.1 for users who are checked; ``app_for`` makes the application for the connected one."""

    def __init__(self, config: Config, state: ServerState, app_for: Callable[[str], Application]) -> None:
        super().__init__(config, state, {})
        self._app_for = app_for

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, or abort it: the mode of the socket's file may have been changed.

        A step has the user of this process, but not its rights: who starts a run would otherwise be an admin.
        """
        super().connection_made(transport)
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(peer)
        if uid in (os.geteuid(), _ROOT) and is_below_step(pid):
            _log.warning("refused a connection of a step (process %s) to this process's socket", pid)
            self.app = _refuse_step
        elif uid in (os.geteuid(), _ROOT):
            self.app = self._app_for(account_name(uid))
        else:
            _log.warning("refused a connection of user %s to this process's socket", account_name(uid))
            self.transport.abort()


async def _refuse_step(_scope: object, _receive: object, send: Application) -> None:
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_STEPS_REFUSED))]
    start = {"type": "http.response.start", "status": HTTPStatus.FORBIDDEN, "headers": head}
    await send(start)
    await send({"type": "http.response.body", "body": _STEPS_REFUSED, "more_body": False})
