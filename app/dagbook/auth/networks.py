"""The networks that callers are counted by: what one customer is given has many addresses."""

from __future__ import annotations

import ipaddress

_CUSTOMER_BITS, _SITE_BITS = 64, 48  # the IPv6 prefixes that one network of a customer, and one customer, are given
_MAX_LENGTH = 64  # of an address, which a proxy may have invented


def network_of(address: str) -> str:
    """Return the network of an address: itself, or its /64, in which one machine has all addresses."""
    return _prefix(address, _CUSTOMER_BITS)


def site_of(address: str) -> str:
    """Return what failures of all names are counted for: an IPv4 address, or the /48 of an IPv6 address."""
    return _prefix(address, _SITE_BITS)


def _prefix(address: str, bits: int) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:_MAX_LENGTH]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:  # how a server that listens on :: sees clients of IPv4
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), bits), strict=False))
