"""Proxy for requests with ``remoteNode``, which are meant for another server (api-behaviour 5).

A request is forwarded after its caller was authorized here for the same operation, so that the node's stored
credentials give no caller more permissions; and before its parameters are read, because the node checks them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote, unquote_plus

import msgspec
from litestar.response import Response, Stream
from litestar.types import Scope

from dagbook.api.middleware.remote_nodes import NodeRequest, NodeResponse, RemoteNodes
from dagbook.api.middleware.request_context import NODE_PARAMETER, AnyRequest, requested_node, set_own
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.telemetry.logging import request_id

_VIA, _OWN_VIA = "via", "1.1 dagbook"
# No other header is forwarded: not the caller's credentials and cookies, and none about this connection.
_FORWARDED_HEADERS = ("accept", "accept-language", "if-match", "traceparent")
_ERRORS = 400  # the lowest error status
ProxyAudit = Callable[[Scope, str], Awaitable[None]]
Forwarded = Response[bytes | None] | Stream
Proxy = Callable[[AnyRequest], Awaitable[Forwarded | None]]


def make_proxy(nodes: RemoteNodes, prefix: str, audit: ProxyAudit) -> Proxy:
    """Make the hook that runs before handlers.

    ``prefix`` is the path of the API; ``audit`` is called with scope and node after a successful request.
    """

    async def forward(request: AnyRequest) -> Forwarded | None:
        name = requested_node(request.scope)
        if not name or request.method == "OPTIONS":  # OPTIONS is not authorized: it only lists methods
            return None
        if name not in nodes:
            raise BadRequestError(f"{NODE_PARAMETER}: there is no node named {shorten(name)}")
        set_own(request.scope, "remote_node", name)  # for the access log
        answer = await nodes.send(name, await _node_request(request, prefix))
        if answer.status < _ERRORS:
            await audit(request.scope, name)
        return _response(answer)

    return forward


async def _node_request(request: AnyRequest, prefix: str) -> NodeRequest:
    via = request.headers.get(_VIA, "")
    if any(hop.strip() == _OWN_VIA for hop in via.split(",")):
        raise BadRequestError(f"{NODE_PARAMETER}: this request was already forwarded once; call the node directly")
    headers = {name: value for name in _FORWARDED_HEADERS if (value := request.headers.get(name)) is not None}
    body = await _body(request)
    query = request.scope["query_string"].decode("latin-1").split("&")
    others = [part for part in query if part and unquote_plus(part.partition("=")[0]) != NODE_PARAMETER]
    return NodeRequest(
        method=request.method,
        path=_path(request.scope, prefix),
        query="&".join(others),
        headers={
            **headers,
            **({"content-type": "application/json"} if body else {}),
            _VIA: f"{via}, {_OWN_VIA}" if via else _OWN_VIA,
            "x-request-id": request_id.get(),
        },
        body=body,
    )


async def _body(request: AnyRequest) -> bytes:
    body = await request.body()
    if body:
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadRequestError(f"the request body is not valid JSON: {error}") from error
    return body


def _path(scope: Scope, prefix: str) -> str:
    """Build the path from the route that the guard checked, so that the node cannot match another route."""
    names: Mapping[str, str] = scope["path_params"]
    if any(part in (".", "..") for name in names.values() for part in name.split("/")):
        raise BadRequestError(f"{NODE_PARAMETER}: a path with . or .. is not forwarded")
    template = scope["path_template"].removeprefix(prefix)
    return template.format_map({key: quote(name, safe="") for key, name in names.items()})


def _response(answer: NodeResponse) -> Forwarded:
    headers = {name: value for name, value in answer.headers.items() if name != "content-type"}
    kind = answer.headers.get("content-type", "text/plain")
    if isinstance(answer.body, bytes):
        return Response(answer.body or None, status_code=answer.status, headers=headers, media_type=kind)
    return Stream(answer.body, status_code=answer.status, headers=headers, media_type=kind)
