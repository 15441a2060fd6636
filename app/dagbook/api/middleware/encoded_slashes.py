"""Encoded slashes in names in paths: a step or a queue may be called ``x/y``, which clients write as ``x%2Fy``.

Servers decode paths before routing, so such a name would become two segments. Only steps and queues have names that
are free text; everywhere else an encoded slash is a slash (api-behaviour 1.5, 5).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

# A lone surrogate: no input of a client is ever decoded to it.
_STAND_IN = "\udc2f"
_SEGMENT = "(?:(?!%2[fF])[^/])+"


class EncodedSlashesMiddleware:
    """Hides the encoded slashes of step and queue names from routing; ``decode_scope`` restores them."""

    def __init__(self, app: ASGIApp, api_path: str) -> None:
        run = f"dag-runs/{_SEGMENT}/{_SEGMENT}(?:/sub-dag-runs/{_SEGMENT})?"
        pattern = f"({re.escape(api_path)}/(?:{run}/steps|queues)/)([^/]+)((?:/{_SEGMENT})*)"
        self._app = app
        self._pattern = re.compile(pattern)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            raw = (scope.get("raw_path") or b"").decode("latin-1")
            if "%2f" in raw.lower() and (match := self._pattern.fullmatch(raw)):
                before, name, after = map(unquote, match.groups())
                scope["path"] = before + name.replace("/", _STAND_IN) + after
        await self._app(scope, receive, send)


def decode_scope(scope: Scope) -> None:
    """Restore the slashes in the path of a routed request and in its path parameters."""
    if _STAND_IN in scope["path"]:
        scope["path"] = display_path(scope["path"])
        scope["path_params"] = {name: display_path(value) for name, value in scope["path_params"].items()}


def display_path(path: str) -> str:
    """Return the path of any request, routed or not, with its slashes restored."""
    return path.replace(_STAND_IN, "/")
