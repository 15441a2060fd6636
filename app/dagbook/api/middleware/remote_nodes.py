"""Asking other servers: one client for each of the configured nodes, with the node's own credentials.

What comes back is held in memory up to ``_HELD_BYTES`` and passed on piece by piece beyond that, up to
``_MOST_BYTES``; it comes as it is, not packed, so that no few bytes can become many here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping

import httpx
import msgspec

from dagbook.errors import AppError
from dagbook.executors.http.failure import explain_cause
from dagbook.settings.nodes import RemoteNode

_log = logging.getLogger(__name__)
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they would tell of each request, with its query

_BUFFERED_BYTES = 1 << 20
_MAX_BYTES = 1 << 28
_MAX_MESSAGE = 10_000
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=8)
_FORWARDED_HEADERS = ("content-type", "etag", "retry-after")
_KINDS = ("application/json", "text/plain", "application/schema+json")
_OWN_LOGIN = (401, 403)  # of this server at the node, which is none of the caller's business


class NodeUnreachableError(AppError):
    """The node could not be asked."""

    code, status = "remote_node_error", 502


class NodeFailedError(AppError):
    """The node's answer is an error, or none that can be passed on."""

    code = "bad_gateway"

    def __init__(self, message: str, status: int = 502, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers)
        self.status = status


class NodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is asked: the path after that of its API, and the query, both as they go over the line."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class NodeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has answered; its body as a whole, or piece by piece."""

    status: int
    headers: Mapping[str, str]
    body: bytes | AsyncIterator[bytes]


class _Message(msgspec.Struct):
    message: str


class RemoteNodes:
    """The nodes that requests may be handed on to, by name."""

    def __init__(self, nodes: Iterable[RemoteNode]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._clients: dict[str, httpx.AsyncClient] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    async def close(self) -> None:
        """Close all connections; asking again opens new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def send(self, name: str, asked: NodeRequest) -> NodeResponse:
        """Ask a node; raises NodeUnreachableError and NodeFailedError."""
        node = self._nodes[name]
        try:
            async with asyncio.timeout(node.timeout_seconds):
                return await self._send(node, asked)
        except TimeoutError:
            raise _unreachable(node, f"it has not answered within {node.timeout_seconds:g} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(node, explain_cause(error, "skip_tls_verify")) from error

    async def _send(self, node: RemoteNode, asked: NodeRequest) -> NodeResponse:
        client = self._client(node)
        client.cookies.clear()  # what the node gave one caller is nothing for the next
        url = f"{node.url}{asked.path}" + (f"?{asked.query}" if asked.query else "")
        request = client.build_request(asked.method, url, headers=asked.headers, content=asked.body or None)
        response = await client.send(request, stream=True)
        pieces = response.aiter_raw()
        try:
            _check_head(node, response)
            held, is_whole = await _buffer(pieces)
            _check(node, response, held, is_whole=is_whole)
        except BaseException:
            await response.aclose()
            raise
        if is_whole:
            await response.aclose()
        body = held if is_whole else _rest(node, response, held, pieces)
        return NodeResponse(
            status=response.status_code, headers=_select_headers(response.headers, _FORWARDED_HEADERS), body=body
        )

    def _client(self, node: RemoteNode) -> httpx.AsyncClient:
        if node.name not in self._clients:
            # No proxy of the environment gets to see the credentials; SSL_CERT_FILE counts all the same.
            self._clients[node.name] = httpx.AsyncClient(
                auth=(node.username, node.password) if node.auth == "basic" else None,
                headers={"Accept-Encoding": "identity", **_bearer(node)},
                verify=httpx.create_ssl_context(verify=not node.skip_tls_verify),
                timeout=node.timeout_seconds,
                limits=_CONNECTIONS,
                trust_env=False,
            )
        return self._clients[node.name]


def _bearer(node: RemoteNode) -> dict[str, str]:
    return {"Authorization": f"Bearer {node.token}"} if node.auth == "token" else {}


def _select_headers(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name in names if (value := headers.get(name)) is not None}


def _unreachable(node: RemoteNode, reason: str) -> NodeUnreachableError:
    _log.warning("node %r could not be asked: %s", node.name, reason)
    return NodeUnreachableError(f"node {node.name!r} cannot be reached: {reason}")


async def _buffer(pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """Read as much as may be held; tells whether that is all."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) > _BUFFERED_BYTES:
            return bytes(held), False
    return bytes(held), True


async def _rest(
    node: RemoteNode, response: httpx.Response, held: bytes, pieces: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    left = _MAX_BYTES - len(held)
    try:
        yield held
        async for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise NodeFailedError(f"node {node.name!r} answered with more than {_MAX_BYTES} bytes")
            yield piece
    finally:
        await response.aclose()


def _check_head(node: RemoteNode, response: httpx.Response) -> None:
    """Raise NodeFailedError for a success that is none of the API's, before its body, which may go on for ever."""
    if not response.is_success:
        return
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NodeFailedError(f"node {node.name!r} answered with a packed body that was not asked for")
    kind = _kind(response)
    if kind and kind not in _KINDS:
        raise NodeFailedError(f"node {node.name!r} answered with {kind}, no answer of the API; check its url")


def _check(node: RemoteNode, response: httpx.Response, held: bytes, *, is_whole: bool) -> None:
    """Raise NodeFailedError unless this is a success whose body is one of the API's (api-behaviour 5)."""
    if not response.is_success:
        raise _failure(node, response, held)
    kind = _kind(response)
    if held and not kind:
        raise NodeFailedError(f"node {node.name!r} answered with a body of no type; check its url")
    if held and is_whole and kind.endswith("json") and not _is_json(held):
        raise NodeFailedError(f"node {node.name!r} answered with something that is no JSON")


def _kind(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _failure(node: RemoteNode, response: httpx.Response, held: bytes) -> NodeFailedError:
    status = response.status_code
    message = _message(held) or f"node {node.name!r} answered with status {status}"
    if status in _OWN_LOGIN:
        return NodeFailedError(f"node {node.name!r} refuses this server's credentials ({status}): {message}")
    passed = status if status >= httpx.codes.BAD_REQUEST else httpx.codes.BAD_GATEWAY
    return NodeFailedError(message, passed, _select_headers(response.headers, ("retry-after",)))


def _message(held: bytes) -> str:
    try:
        return msgspec.json.decode(held, type=_Message).message[:_MAX_MESSAGE]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""


def _is_json(held: bytes) -> bool:
    try:
        msgspec.json.decode(held)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
