"""The destinations that the server's own HTTP requests may not reach (setting ``egress_deny``)."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import socket
from collections.abc import Iterable

import msgspec

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Egress(msgspec.Struct, frozen=True):
    """Names, addresses and networks that are denied."""

    deny: tuple[str, ...] = ()

    def refusal_of_host(self, host: str) -> str:
        """Return why a name, or an address in any spelling, is denied; empty if it is not."""
        name = host.rstrip(".").lower()
        if name in self.deny:
            return _refusal(host, name)
        address = _parse_address(name)
        return "" if address is None else self.refusal_of_address(host, address)

    def refusal_of_address(self, host: str, address: Address) -> str:
        """Return why an address of a host is denied, also an IPv6 address that leads to a denied one; empty if not."""
        for meant in _meant_addresses(address):
            for network, entry in _networks_of(self.deny):
                if meant in network:
                    return _refusal(host, entry)
        return ""


@functools.lru_cache(maxsize=8)
def _networks_of(deny: tuple[str, ...]) -> tuple[tuple[Network, str], ...]:
    """Return the networks of a list, with their entries; the other entries are names."""
    found = []
    for entry in deny:
        with contextlib.suppress(ValueError):
            found.append((ipaddress.ip_network(entry), entry))
    return tuple(found)


def _refusal(host: str, entry: str) -> str:
    reason = "" if host == entry else f", because of {entry}"
    return f"this server may not send requests to {host} (setting egress_deny{reason})"


def _parse_address(name: str) -> Address | None:
    """Read an address, also one such as 0x7f.1, which the resolver reads as 127.0.0.1."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass  # it may still be a spelling that only the resolver accepts
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except (OSError, UnicodeError):
        return None


def _meant_addresses(address: Address) -> Iterable[Address]:
    """Return an address without its zone, and the IPv4 addresses that are inside it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    plain = ipaddress.IPv6Address(int(address))
    inside = [plain.ipv4_mapped, plain.sixtofour, *(plain.teredo or ())]
    if plain in _NAT64:
        inside.append(ipaddress.IPv4Address(int(plain) & 0xFFFFFFFF))
    return (plain, *(one for one in inside if one is not None))
