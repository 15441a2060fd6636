"""Where a request really comes from: what proxies say of it, and only those that the settings name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_SCHEMES = ("http", "https")


class TrustedProxiesMiddleware:
    """Puts the client's address, scheme and Host in place of those of a trusted proxy.

    Of several values the last ones count, which the proxies that are trusted have written themselves.
    """

    def __init__(self, app: ASGIApp, networks: Iterable[Network]) -> None:
        self._app = app
        self._networks = tuple(networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        client = scope.get("client")
        if scope["type"] == ScopeType.HTTP and client and self._trusts(_address(client[0])):
            _follow(scope, self._client(_values(scope, _FOR)) or client[0], client[0])
        await self._app(scope, receive, send)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def _client(self, hops: list[str]) -> str:
        """Go back along the proxies to the first address that is none of them; whatever stands before it is a tale."""
        found = ""
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                break
            found = str(address)
            if not self._trusts(address):
                break
        return found


def _follow(scope: Any, client: str, proxy: str) -> None:
    if client != proxy:
        scope["client"] = (client, 0)
    schemes, hosts = _values(scope, _PROTO), _values(scope, _HOST)
    if schemes and schemes[-1].lower() in _SCHEMES:
        scope["scheme"] = schemes[-1].lower()
    if hosts:
        kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", hosts[-1].encode("latin-1")), *kept]


def _values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of a header, whether they come in one line or in several."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [value for line in lines for part in line.split(",") if (value := part.strip())]


def _address(text: str) -> Address | None:
    """Read an address, with a port perhaps; an IPv4 address in IPv6 clothes is the former."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
