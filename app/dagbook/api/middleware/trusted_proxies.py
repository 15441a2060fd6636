"""Client address, scheme and Host from the X-Forwarded headers of trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from dagbook.api.middleware.local_user import LOCAL_USER

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_SCHEMES = ("http", "https")


class TrustedProxiesMiddleware:
    """Replaces a trusted proxy's address, scheme and Host by those of the client.

    What connects to a Unix socket has no address and is trusted: the mode of the socket's file says who may connect.
    Of several values the last ones count: those were written by the trusted proxies themselves.
    """

    def __init__(self, app: ASGIApp, networks: Iterable[Network]) -> None:
        self._app = app
        self._networks = tuple(networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        proxy = client[0] if client else ""
        is_trusted = self._trusts(_address(proxy)) if client else LOCAL_USER not in scope
        if scope["type"] == ScopeType.HTTP and is_trusted:
            _apply_forwarded(scope, self._client(_values(scope, _FOR)) or proxy, proxy)
        await self._app(scope, receive, send)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def _client(self, hops: list[str]) -> str:
        """Return the last address that is not a trusted proxy; addresses left of it are untrusted."""
        found = ""
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                break
            found = str(address)
            if not self._trusts(address):
                break
        return found


def _apply_forwarded(scope: HTTPScope, client: str, proxy: str) -> None:
    if client != proxy:
        scope["client"] = (client, 0)
    schemes, hosts = _values(scope, _PROTO), _values(scope, _HOST)
    if schemes and schemes[-1].lower() in _SCHEMES:
        scope["scheme"] = schemes[-1].lower()
    if hosts:
        kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", hosts[-1].encode("latin-1")), *kept]


def _values(scope: Scope, name: bytes) -> list[str]:
    """Return the comma-separated values of all lines of a header."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [value for line in lines for part in line.split(",") if (value := part.strip())]


def _address(text: str) -> Address | None:
    """Parse an address with an optional port; an IPv4-mapped IPv6 address becomes an IPv4 one."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
