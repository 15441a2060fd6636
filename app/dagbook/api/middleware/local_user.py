"""Requests of commands: inside the process that holds a database, or over the Unix socket beside a SQLite file.

The operating system says which user such a request comes from, so it brings no credentials along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Send

LOCAL_USER = "dagbook.local_user"  # a key of the scope, which no client can set


class LocalUserMiddleware:
    """Lets the application answer the requests of one user of this machine.

    They name the paths of the API without ``base_path``, which is the server's setting and not the command's.
    """

    def __init__(self, app: ASGIApp, base_path: str, name: str) -> None:
        self._app = app
        self._base = base_path
        self._name = name

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        path, raw = self._base + scope["path"], self._base.encode() + scope["raw_path"]
        seen: Any = {**scope, "path": path, "raw_path": raw, LOCAL_USER: self._name}
        await self._app(seen, receive, send)
