"""Requests to other servers: one HTTP client per configured node, with the node's own credentials.

Responses are buffered in memory up to ``_BUFFERED_BYTES`` and streamed beyond that, up to ``_MAX_BYTES``. They are
requested uncompressed, so that a few bytes cannot expand to many here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress

import httpx
import msgspec

from dagbook.egress.client import EgressClient
from dagbook.egress.rules import Egress
from dagbook.errors import AppError
from dagbook.executors.http.errors import explain_cause
from dagbook.settings.nodes import RemoteNode

_log = logging.getLogger(__name__)
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they would log each request with its query

_BUFFERED_BYTES = 1 << 20
_MAX_BYTES = 1 << 28
_MAX_MESSAGE = 10_000
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=8)
_FORWARDED_HEADERS = ("content-type", "etag", "retry-after")
_KINDS = ("application/json", "text/plain", "application/schema+json")
_OWN_LOGIN = (401, 403)  # the node refuses this server's credentials: no error of the caller


class NodeUnreachableError(AppError):
    """The node could not be reached."""

    code, status = "remote_node_error", 502


class NodeFailedError(AppError):
    """The node's response is an error, or not one of the API."""

    code = "bad_gateway"

    def __init__(self, message: str, status: int = 502, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers)
        self.status = status


class NodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a node; ``path`` is relative to the node's API, ``path`` and ``query`` are percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class NodeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A node's response; its body is complete, or an iterator of chunks."""

    status: int
    headers: Mapping[str, str]
    body: bytes | AsyncIterator[bytes]


class _Message(msgspec.Struct):
    message: str


class RemoteNodes:
    """HTTP clients of the configured nodes, by name."""

    def __init__(self, nodes: Iterable[RemoteNode], egress: Egress) -> None:
        self._egress = egress
        self._nodes = {node.name: node for node in nodes}
        self._clients: dict[str, httpx.AsyncClient] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    async def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def send(self, name: str, node_request: NodeRequest) -> NodeResponse:
        """Send a request to a node; raises NodeUnreachableError and NodeFailedError."""
        node = self._nodes[name]
        try:
            async with asyncio.timeout(node.timeout_seconds):
                return await self._send(node, node_request)
        except TimeoutError:
            raise _unreachable(node, f"it did not answer within {node.timeout_seconds:g} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(node, explain_cause(error, "skip_tls_verify")) from error

    async def _send(self, node: RemoteNode, node_request: NodeRequest) -> NodeResponse:
        client = self._client(node)
        client.cookies.clear()  # cookies for one caller must not be sent for the next
        url = f"{node.url}{node_request.path}" + (f"?{node_request.query}" if node_request.query else "")
        request = client.build_request(
            node_request.method, url, headers=node_request.headers, content=node_request.body or None
        )
        response = await client.send(request, stream=True)
        chunks = response.aiter_raw()
        try:
            _check_head(node, response)
            buffered, is_complete = await _buffer(chunks)
            _check(node, response, buffered, is_complete=is_complete)
        except BaseException:
            await response.aclose()
            raise
        if is_complete:
            await response.aclose()
        body = buffered if is_complete else _rest(node, response, buffered, chunks)
        return NodeResponse(
            status=response.status_code, headers=_select_headers(response.headers, _FORWARDED_HEADERS), body=body
        )

    def _client(self, node: RemoteNode) -> httpx.AsyncClient:
        if node.name not in self._clients:
            bearer = {"Authorization": f"Bearer {node.token}"} if node.auth == "token" else {}
            # trust_env=False: no proxy of the environment gets the credentials. SSL_CERT_FILE is still respected.
            self._clients[node.name] = EgressClient(
                self._egress,
                auth=(node.username, node.password) if node.auth == "basic" else None,
                headers={"Accept-Encoding": "identity", **bearer},
                verify=httpx.create_ssl_context(verify=not node.skip_tls_verify),
                timeout=node.timeout_seconds,
                limits=_CONNECTIONS,
                trust_env=False,
            )
        return self._clients[node.name]


def _select_headers(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name in names if (value := headers.get(name)) is not None}


def _unreachable(node: RemoteNode, reason: str) -> NodeUnreachableError:
    _log.warning("node %r cannot be reached: %s", node.name, reason)
    return NodeUnreachableError(f"node {node.name!r} cannot be reached: {reason}")


async def _buffer(chunks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """Read up to ``_BUFFERED_BYTES``; the flag says whether that is the complete body."""
    buffered = bytearray()
    async for chunk in chunks:
        buffered += chunk
        if len(buffered) > _BUFFERED_BYTES:
            return bytes(buffered), False
    return bytes(buffered), True


async def _rest(
    node: RemoteNode, response: httpx.Response, buffered: bytes, chunks: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    left = _MAX_BYTES - len(buffered)
    try:
        yield buffered
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise NodeFailedError(f"node {node.name!r} answered with more than {_MAX_BYTES} bytes")
            yield chunk
    finally:
        await response.aclose()


def _check_head(node: RemoteNode, response: httpx.Response) -> None:
    """Raise NodeFailedError for a success that is not the API's, before reading its body, which may be endless."""
    if not response.is_success:
        return
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NodeFailedError(f"node {node.name!r} answered with a compressed body that was not requested")
    kind = _kind(response)
    if kind and kind not in _KINDS:
        raise NodeFailedError(f"node {node.name!r} answered with {kind}, which the API does not use; check its url")


def _check(node: RemoteNode, response: httpx.Response, buffered: bytes, *, is_complete: bool) -> None:
    """Raise NodeFailedError unless this is a success with a body of the API (api-behaviour 5)."""
    if not response.is_success:
        raise _failure(node, response, buffered)
    kind = _kind(response)
    if buffered and not kind:
        raise NodeFailedError(f"node {node.name!r} answered with a body without a content type; check its url")
    if buffered and is_complete and kind.endswith("json") and not _is_json(buffered):
        raise NodeFailedError(f"node {node.name!r} answered with a body that is not valid JSON")


def _kind(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _failure(node: RemoteNode, response: httpx.Response, buffered: bytes) -> NodeFailedError:
    status = response.status_code
    message = ""
    with suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        message = msgspec.json.decode(buffered, type=_Message).message[:_MAX_MESSAGE]
    message = message or f"node {node.name!r} answered with status {status}"
    if status in _OWN_LOGIN:
        return NodeFailedError(f"node {node.name!r} refuses this server's credentials ({status}): {message}")
    forwarded = status if status >= httpx.codes.BAD_REQUEST else httpx.codes.BAD_GATEWAY
    return NodeFailedError(message, forwarded, _select_headers(response.headers, ("retry-after",)))


def _is_json(buffered: bytes) -> bool:
    try:
        msgspec.json.decode(buffered)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
