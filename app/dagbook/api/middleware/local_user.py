"""Requests of CLI commands: inside the process that owns a database, or over the Unix socket next to a SQLite file.

The operating system identifies the user of such a request, so it has no credentials.
"""

from __future__ import annotations

from litestar.types import ASGIApp, Receive, Scope, Send

from dagbook.api.middleware.request_context import set_own

LOCAL_USER = "dagbook.local_user"  # a key of the ASGI scope, which no client can set


class LocalUserMiddleware:
    """Marks requests as those of one user of this machine.

    Their paths come without ``base_path``, which is a setting of the server and unknown to the command.
    """

    def __init__(self, app: ASGIApp, base_path: str, name: str) -> None:
        self._app = app
        self._base = base_path
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        local_scope = scope.copy()
        local_scope["path"] = self._base + scope["path"]
        local_scope["raw_path"] = self._base.encode() + scope["raw_path"]
        set_own(local_scope, LOCAL_USER, self._name)
        await self._app(local_scope, receive, send)
