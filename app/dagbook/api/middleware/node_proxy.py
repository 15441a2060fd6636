"""``remoteNode``: requests that are meant for another server (api-behaviour 5).

A request is handed on after its caller was let in here for the same operation, so the node's stored credentials give
nobody a right that they lack; and before its parameters are read, which is up to the node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus

import msgspec
from litestar import Request
from litestar.response import Response, Stream
from litestar.types import Scope

from dagbook.api.middleware.remote_nodes import NodeRequest, NodeResponse, RemoteNodes
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.telemetry.request_id import request_id

PARAMETER = "remoteNode"
_HERE = ("", "local")
_VIA, _OWN_VIA = "via", "1.1 dagbook"
# All else stays here: the caller's credentials and cookies, and what is said about this connection alone.
_FORWARDED_HEADERS = ("accept", "accept-language", "if-match")
_ERRORS = 400  # where statuses of errors begin
Note = Callable[[Scope, str], Awaitable[None]]
Proxy = Callable[[Request[Any, Any, Any]], Awaitable[Response[Any] | Stream | None]]


def requested_node(scope: Mapping[str, Any]) -> str:
    """Return the name of the node that a request is meant for; empty for this server. Raises BadRequestError."""
    query: bytes = scope["query_string"]
    if PARAMETER.encode() not in query and b"%" not in query:
        return ""
    names = [value for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if key == PARAMETER]
    if len(names) > 1:
        raise BadRequestError(f"{PARAMETER}: is given more than once")
    return names[0] if names and names[0] not in _HERE else ""


def make_proxy(nodes: RemoteNodes, prefix: str, note: Note) -> Proxy:
    """Make the hook that comes before handlers; ``prefix`` is the path of the API, ``note`` hears of what was done."""

    async def forward(request: Request[Any, Any, Any]) -> Response[Any] | Stream | None:
        name = requested_node(request.scope)
        if not name or request.method == "OPTIONS":  # which nobody is let in for: it only tells the methods
            return None
        if name not in nodes:
            raise BadRequestError(f"{PARAMETER}: there is no node named {shorten(name)}")
        request.scope["remote_node"] = name  # type: ignore[typeddict-unknown-key]  # for the line in the log
        told = await nodes.send(name, await _node_request(request, prefix))
        if told.status < _ERRORS:
            await note(request.scope, name)
        return _response(told)

    return forward


async def _node_request(request: Request[Any, Any, Any], prefix: str) -> NodeRequest:
    via = request.headers.get(_VIA, "")
    if any(hop.strip() == _OWN_VIA for hop in via.split(",")):
        raise BadRequestError(f"{PARAMETER}: this request was handed on once already; ask the node itself")
    headers = {name: value for name in _FORWARDED_HEADERS if (value := request.headers.get(name)) is not None}
    body = await _body(request)
    return NodeRequest(
        method=request.method,
        path=_path(request.scope, prefix),
        query=_query(request.scope["query_string"]),
        headers={
            **headers,
            **({"content-type": "application/json"} if body else {}),
            _VIA: f"{via}, {_OWN_VIA}" if via else _OWN_VIA,
            "x-request-id": request_id.get(),
        },
        body=body,
    )


async def _body(request: Request[Any, Any, Any]) -> bytes:
    body = await request.body()
    if body:
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadRequestError(f"the request body is no valid JSON: {error}") from error
    return body


def _path(scope: Scope, prefix: str) -> str:
    """Write the path anew from the route that the guard has seen, so that the node cannot read another one in it."""
    names: Mapping[str, str] = scope["path_params"]
    if any(part in (".", "..") for name in names.values() for part in name.split("/")):
        raise BadRequestError(f"{PARAMETER}: . and .. name nothing, and a path with them is not handed on")
    template = scope["path_template"].removeprefix(prefix)
    return template.format_map({key: quote(name, safe="") for key, name in names.items()})


def _query(query: bytes) -> str:
    parts = query.decode("latin-1").split("&")
    return "&".join(part for part in parts if part and unquote_plus(part.partition("=")[0]) != PARAMETER)


def _response(told: NodeResponse) -> Response[Any] | Stream:
    headers = {name: value for name, value in told.headers.items() if name != "content-type"}
    kind = told.headers.get("content-type", "text/plain")
    if isinstance(told.body, bytes):
        return Response(told.body or None, status_code=told.status, headers=headers, media_type=kind)
    return Stream(told.body, status_code=told.status, headers=headers, media_type=kind)
