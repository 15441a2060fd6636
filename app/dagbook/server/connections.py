"""HTTP connections of a listener within limits, so that strangers cannot exhaust the server.

One sweep per second compares times that the connections note: timers of their own would cost each request more than
the request's parsing. At a limit of connections the one that does least is closed for the new one; a connection
with a complete request that is not answered yet is never closed for another.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum, auto
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

import msgspec
from uvicorn.protocols.http.flow_control import FlowControl

from dagbook.server.scope import ADMITTED
from dagbook.server.transport import Receiver, SingleWriteProtocol

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

_log = logging.getLogger(__name__)
_SEPARATORS = 4  # bytes that a header's line has besides name and value
_IPV6_PREFIX = 64  # one machine has all addresses of such a network
_REPORT_SECONDS = 60.0
_PAUSE_SECONDS = 0.1  # without a free descriptor
MESSAGES = {
    HTTPStatus.BAD_REQUEST: "this is not HTTP, or more requests at a time than this server takes",
    HTTPStatus.REQUEST_TIMEOUT: "the request took too long to arrive",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the headers are larger than this server reads",
    HTTPStatus.TOO_MANY_REQUESTS: "there are too many connections from this address",
    HTTPStatus.SERVICE_UNAVAILABLE: "there are too many connections; try again later",
}
Network = IPv4Network | IPv6Network
_State = dict[str, object]  # what uvicorn copies into the scope of each request


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one listener. ``body_seconds`` is for each ``body_bytes`` of a body, a part of that counts as one."""

    connections: int
    per_address: int
    head_bytes: int = 65_536
    unfinished_bytes: int = 8 << 20  # of all connections: unfinished heads, and bodies of callers not admitted yet
    pipelined: int = 16
    head_seconds: float = 10.0
    idle_seconds: float = 74.0  # with a sweep each second: within 75
    body_silence_seconds: float = 60.0
    body_seconds: float = 90.0
    body_bytes: int = 65_536
    piece_bytes: int = 16_384  # read at a time, and of a body before the application asks for it
    unread_seconds: float = 60.0  # without the client reading any more of a response
    linger_seconds: float = 2.0  # for a client to read why it is refused
    sweep_seconds: float = 1.0


class _Phase(Enum):
    """What a connection receives."""

    IDLE = auto()  # nothing of a request
    HEAD = auto()
    BODY = auto()
    REFUSED = auto()  # what still comes is discarded


class _RequestRefused(Exception):  # noqa: N818  # raised through the parser, which it stops
    pass


class _Flow(FlowControl):
    """Flow control that tells when the application asks for more of a body, and so has taken what was read."""

    def __init__(self, transport: asyncio.Transport, when_asked: Callable[[], None]) -> None:
        super().__init__(transport)
        self._when_asked = when_asked

    def resume_reading(self) -> None:
        self._when_asked()
        super().resume_reading()


class LimitedProtocol(SingleWriteProtocol):
    """HTTP/1.1 within the limits of a ``ConnectionTable``."""

    def __init__(
        self, config: Config, state: ServerState, app_state: _State, table: ConnectionTable, peer: socket.socket
    ) -> None:
        super().__init__(config, state, app_state)
        self.peer = peer
        self._table = table
        self._phase = _Phase.HEAD
        self._head_bytes = 0  # since the last head or piece of a body; the parser keeps trailers too
        self._body_bytes = self.unfinished_bytes = self._unread_bytes = 0
        self._since = self._heard = self._answered = self._drained = self.loop.time()
        self._refusal = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.flow = _Flow(self.transport, self._hold_body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase is _Phase.REFUSED:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._phase in (_Phase.HEAD, _Phase.BODY) and self._head_bytes:
            if self._head_bytes > self._table.limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            else:
                self._table.hold(self, self._head_bytes)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._phase is _Phase.IDLE:
            self._phase, self._since = _Phase.HEAD, self.loop.time()

    def on_headers_complete(self) -> None:
        limits = self._table.limits
        if self._head_bytes > limits.head_bytes:  # the head may have come together with other bytes
            size = len(self.url) + sum(len(name) + len(value) + _SEPARATORS for name, value in self.headers)
            if size > limits.head_bytes:
                self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                raise _RequestRefused
        if len(self.pipeline) >= limits.pipelined:
            raise _RequestRefused
        self._phase = _Phase.BODY
        self._body_bytes = 0
        self._finish_head()
        self._since = self._heard = self.loop.time()
        super().on_headers_complete()

    def _finish_head(self) -> None:
        self._head_bytes = 0
        if self.unfinished_bytes:
            self._table.hold(self, 0)

    def on_body(self, body: bytes) -> None:
        self._heard = self.loop.time()
        self._head_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)
        if len(self.cycle.body) > self._table.limits.piece_bytes:
            self.flow.pause_reading()
        self._hold_body()

    def _hold_body(self) -> None:
        """Note what is held of the body: all of it, unless the application reads it for an admitted caller."""
        if self._phase is _Phase.BODY:
            self._table.hold(self, len(self.cycle.body) if self.scope.get(ADMITTED) else self._body_bytes)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._finish_head()
        self._phase, self._since = _Phase.IDLE, self.loop.time()

    def on_response_complete(self) -> None:
        self._answered = self.loop.time()
        if self.cycle.response_complete:
            self.cycle.body = bytearray()  # else it would be kept until the next request
            if self.unfinished_bytes:
                self._table.hold(self, self._head_bytes)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Respond to what the parser refuses."""
        del msg
        self._refuse(self._refusal)

    def is_working(self) -> bool:
        """Whether the response to a complete request is due, or one is being sent."""
        if self.pipeline:
            return True
        if self.cycle is None or self.cycle.response_complete:
            return False
        return self._phase is not _Phase.BODY or self.cycle.response_started

    def usefulness(self) -> tuple[int, float]:
        """Return what decides which connection is closed for a new one: the lowest."""
        if self.cycle is None:
            return 0, self._since  # no request yet
        if self.cycle.response_complete:
            return 1, max(self._since, self._answered)
        return 2, self._heard

    def is_overdue(self, now: float, elapsed: float) -> bool:
        """Whether the client has taken too long; ``elapsed`` is the time since the last sweep."""
        limits = self._table.limits
        if self.transport is None:
            return False  # in the TLS handshake, which has a time limit of its own
        if self._is_unread(now):
            return True
        match self._phase:
            case _Phase.REFUSED:
                return now - self._since > limits.linger_seconds
            case _Phase.HEAD:
                return now - self._since > limits.head_seconds
            case _Phase.IDLE:
                return not self.is_working() and now - max(self._since, self._answered) > limits.idle_seconds
            case _Phase.BODY:
                return self._is_body_overdue(now, elapsed)

    def _is_body_overdue(self, now: float, elapsed: float) -> bool:
        limits = self._table.limits
        if self.cycle.response_complete:
            return now - self._answered > limits.head_seconds  # the rest of the body is of no use
        if self.flow.read_paused:  # the client waits for the server
            self._since += elapsed
            self._heard = now
        periods = 1 + self._body_bytes // limits.body_bytes
        is_silent = now - self._heard > limits.body_silence_seconds
        return is_silent or now - self._since > periods * limits.body_seconds

    def _is_unread(self, now: float) -> bool:
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread_bytes or not unread:
            self._unread_bytes, self._drained = unread, now
        return now - self._drained > self._table.limits.unread_seconds

    def close_late(self) -> None:
        """Close an overdue connection; a client that has begun a request is told."""
        is_receiving = self._phase is _Phase.BODY or (self._phase is _Phase.HEAD and self._head_bytes)
        if self.transport is None or self._phase is _Phase.REFUSED or self._unread_bytes:
            self.abort()
        elif is_receiving and not self.is_working():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Respond and close; what is still sent is discarded for a moment, so that the client can read the response."""
        if self.is_working() or self.transport.is_closing():
            self.abort()
            return
        self._table.hold(self, 0)
        self._table.count_refusal()
        self.transport.write(refusal(status))
        self._phase, self._since = _Phase.REFUSED, self.loop.time()
        self.parser = self.headers = None  # type: ignore[assignment]  # a large head would stay in memory
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # the application has the request: it must not respond as well

    def abort(self) -> None:
        """Close at once."""
        if self.transport is None:  # in the TLS handshake
            self.peer.shutdown(socket.SHUT_RDWR)
        else:
            self.transport.abort()


def refusal(status: HTTPStatus) -> bytes:
    """Return a whole response, for what never reaches the application."""
    code = "bad_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal_error"
    body = msgspec.json.encode({"code": code, "message": MESSAGES[status]})
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


class ConnectionTable:
    """The open connections of a listener, and whether there is room for one more."""

    def __init__(self, limits: HttpLimits, uncounted: Iterable[Network] = ()) -> None:
        """``uncounted`` are networks, beside loopback, that have no limit per address."""
        self.limits = limits
        self._uncounted = tuple(uncounted)
        self.group = lru_cache(maxsize=1024)(self._group)
        self._open: dict[LimitedProtocol, str] = {}
        self._per_address: dict[str, int] = {}
        self._unfinished_bytes = 0
        self._closed = self._refused = 0  # since the last report
        self._reported = float("-inf")

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[LimitedProtocol]:
        return iter(tuple(self._open))

    def _group(self, address: str) -> str:
        """Return the name under which the connections of an address are counted; empty for those that are not."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return ""  # a Unix socket
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found
        if found.is_loopback or any(found in network for network in self._uncounted):
            return ""
        if isinstance(found, IPv6Address):
            return str(IPv6Network((found, _IPV6_PREFIX), strict=False))
        return str(found)

    def make_room(self, group: str) -> HTTPStatus | None:
        """Close a connection if there is none left for a new one; returns why that one is refused instead."""
        if group and self._per_address.get(group, 0) >= self.limits.per_address and not self._close_one(group):
            return HTTPStatus.TOO_MANY_REQUESTS
        if len(self._open) >= self.limits.connections and not self._close_one():
            return HTTPStatus.SERVICE_UNAVAILABLE
        return None

    def add(self, protocol: LimitedProtocol, group: str) -> None:
        self._open[protocol] = group
        if group:
            self._per_address[group] = self._per_address.get(group, 0) + 1

    def discard(self, protocol: LimitedProtocol) -> None:
        """Forget a connection; harmless when repeated."""
        self.hold(protocol, 0)
        if group := self._open.pop(protocol, ""):
            left = self._per_address.pop(group) - 1
            if left:
                self._per_address[group] = left

    def hold(self, protocol: LimitedProtocol, size: int) -> None:
        """Note the bytes of an unfinished head or body; over the limit of all, the one with the most is closed."""
        if protocol not in self._open:
            return
        self._unfinished_bytes += size - protocol.unfinished_bytes
        protocol.unfinished_bytes = size
        if self._unfinished_bytes > self.limits.unfinished_bytes:
            self._close(max(self._open, key=lambda each: each.unfinished_bytes))

    def _close_one(self, group: str | None = None) -> bool:
        """Close the least useful connection, of one group or of all; False if all are working."""
        closable = (each for each, own in self._open.items() if group in (None, own) and not each.is_working())
        found = min(closable, key=LimitedProtocol.usefulness, default=None)
        if found is None:
            return False
        self._close(found)
        return True

    def _close(self, protocol: LimitedProtocol) -> None:
        self.discard(protocol)
        protocol.abort()
        self._closed += 1

    def sweep(self, now: float, elapsed: float) -> None:
        """Close the connections whose clients have taken too long."""
        for protocol in [each for each in self._open if each.is_overdue(now, elapsed)]:
            protocol.close_late()
        if (self._closed or self._refused) and now - self._reported > _REPORT_SECONDS:
            text = "closed %d connections for new ones, and refused %d connections or requests beyond the limits"
            _log.warning(text, self._closed, self._refused)
            self._closed, self._refused, self._reported = 0, 0, now

    def count_refusal(self) -> None:
        """Count for the log, which has one line a minute: strangers must not fill it."""
        self._refused += 1


class Acceptor:
    """Accepts the connections of a listener; in place of the event loop's server, which can refuse none."""

    def __init__(
        self,
        listener: socket.socket,
        table: ConnectionTable,
        make_protocol: Callable[[socket.socket], LimitedProtocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._table = table
        self._make_protocol = make_protocol
        self._tls = tls
        self._piece = memoryview(bytearray(table.limits.piece_bytes))
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._listener.setblocking(False)
        self._listen()
        self._sweep()

    def close(self) -> None:
        """Accept no more connections."""
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Stop watching the connections; they are closed by then."""
        if self._timer is not None:
            self._timer.cancel()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            peer, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.warning("no connection can be accepted: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_PAUSE_SECONDS, self._listen)
            return
        self._admit(peer, address[0] if isinstance(address, tuple) else "")

    def _admit(self, peer: socket.socket, address: str) -> None:
        peer.setblocking(False)
        group = self._table.group(address)
        if status := self._table.make_room(group):
            self._table.count_refusal()
            if self._tls is None:
                with suppress(OSError):
                    peer.send(refusal(status))
            peer.close()
            return
        protocol = self._make_protocol(peer)
        self._table.add(protocol, group)
        task = self._loop.create_task(self._connect(peer, protocol))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, peer: socket.socket, protocol: LimitedProtocol) -> None:
        limit = self._table.limits.head_seconds if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: Receiver(protocol, self._piece),
                peer,
                ssl=self._tls,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=limit,
            )
        except OSError:  # the client has left, or its handshake failed
            self._table.discard(protocol)
        except BaseException:
            self._table.discard(protocol)
            raise

    def _sweep(self) -> None:
        now = self._loop.time()
        self._table.sweep(now, now - self._swept)
        self._swept = now
        self._timer = self._loop.call_later(self._table.limits.sweep_seconds, self._sweep)
