"""Requests of CLI commands: inside the process that owns a database, or over the Unix socket next to a SQLite file.

The operating system identifies the user of such a request, so it has no credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Send

LOCAL_USER = "dagbook.local_user"  # a key of the ASGI scope, which no client can set


class LocalUserMiddleware:
    """Marks requests as those of one user of this machine.

    Their paths come without ``base_path``, which is a setting of the server and unknown to the command.
    """

    def __init__(self, app: ASGIApp, base_path: str, name: str) -> None:
        self._app = app
        self._base = base_path
        self._name = name

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        path, raw = self._base + scope["path"], self._base.encode() + scope["raw_path"]
        local_scope: Any = {**scope, "path": path, "raw_path": raw, LOCAL_USER: self._name}
        await self._app(local_scope, receive, send)
