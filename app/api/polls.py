"""The short way of the request that clients send again and again while a run goes on: ``GET /dag-runs/{name}/{id}``.

Two thirds of what its answer costs are the framework's ways of finding, reading and checking what any request may
bring; this one brings a name and an id. Who asks is found out as on the usual way, and the same function reads the run.
Whatever is out of the ordinary (a query, other characters, a caller without rights, any error) goes the usual way.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.controllers.runs import get_run, read_details
from app.api.deps import Parts
from app.api.guards import lets_in, needs_of
from app.api.memory import may_be_known, send_json
from app.api.schemas.runs import DAGRunAnswer

_PLAIN = "([A-Za-z0-9_.-]+)"
_encode = msgspec.json.Encoder().encode


class Polls:
    """Stands before the application and its memory, and answers the one request; all others are theirs."""

    def __init__(self, app: ASGIApp, parts: Parts, api_path: str) -> None:
        self._app = app
        self._parts = parts
        self._path = re.compile(f"{re.escape(api_path)}/dag-runs/{_PLAIN}/{_PLAIN}")
        self._template = f"{api_path}/dag-runs/{{name}}/{{dagRunId}}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        body = await self._answer(scope)
        if body is None:
            await self._app(scope, receive, send)
            return
        await send_json(send, body)

    async def _answer(self, scope: Any) -> bytes | None:
        if not may_be_known(scope) or scope["query_string"] or (names := self._path.fullmatch(scope["path"])) is None:
            return None
        if not await lets_in(self._parts.access, scope, needs_of(get_run)):
            return None
        try:
            details = await read_details(self._parts, names[1], names[2])
        except Exception:  # noqa: BLE001 - the application meets it as well, and says what it is
            return None
        scope["path_template"] = self._template
        return _encode(DAGRunAnswer(dag_run_details=details))
