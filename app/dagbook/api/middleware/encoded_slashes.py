"""Slashes inside of names in paths: a step or a queue may be called ``x/y``, which clients write as ``x%2Fy``.

Servers decode paths before they are routed, so such a name would fall into two segments. Only these two nouns have
names that are free texts; everywhere else an encoded slash stays what it was (api-behaviour 1.5, 5).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

# Half of a surrogate pair, which nothing that a client sends is ever decoded to.
_STAND_IN = "\udc2f"
_SEGMENT = "(?:(?!%2[fF])[^/])+"


class EncodedSlashesMiddleware:
    """Keeps the encoded slashes of a step's or a queue's name out of the routing; ``restore`` puts them back."""

    def __init__(self, app: ASGIApp, api_path: str) -> None:
        run = f"dag-runs/{_SEGMENT}/{_SEGMENT}(?:/sub-dag-runs/{_SEGMENT})?"
        pattern = f"({re.escape(api_path)}/(?:{run}/steps|queues)/)([^/]+)((?:/{_SEGMENT})*)"
        self._app = app
        self._pattern = re.compile(pattern)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if scope["type"] == ScopeType.HTTP:
            raw = (scope.get("raw_path") or b"").decode("latin-1")
            if "%2f" in raw.lower() and (match := self._pattern.fullmatch(raw)):
                before, name, after = map(unquote, match.groups())
                scope["path"] = before + name.replace("/", _STAND_IN) + after
        await self._app(scope, receive, send)


def decode_scope(scope: Scope) -> None:
    """Give the path of a request that has found its route, and the route's parameters, their slashes back."""
    if _STAND_IN in scope["path"]:
        scope["path"] = display_path(scope["path"])
        scope["path_params"] = {name: display_path(value) for name, value in scope["path_params"].items()}


def display_path(path: str) -> str:
    """Return a path, of a request that found no route perhaps, as it can be told."""
    return path.replace(_STAND_IN, "/")
