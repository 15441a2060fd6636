"""Checks of Host and Origin on every request, before routing.

Without authentication any web page in the user's browser could reach a server on loopback. A page cannot
forge Host (DNS rebinding shows there), Origin or Sec-Fetch-Site, so these decide (house design, promises S10).
Authentication and authorization come after routing (``dagbook.api.auth.guards``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from dagbook.api.schemas.common import Error, ErrorCode

if TYPE_CHECKING:  # commands import this module too, and must not load the framework
    from litestar.types import ASGIApp, Receive, Scope, Send

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEQUEUE = "/dequeue"  # the only GET that changes anything


# The same few hosts come with every request.
@lru_cache(maxsize=16)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_unspecified(host: str) -> bool:
    """Whether a server's host is a wildcard address such as 0.0.0.0, which clients cannot connect to."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


@lru_cache(maxsize=16)
def name_of_host(host: str) -> str:
    """Return the name in a Host header without its port; empty when the header is invalid."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class HostCheckMiddleware:
    """Refuses unknown hosts, changes from other sites' pages and compressed bodies; redirects trailing slashes."""

    def __init__(
        self, app: ASGIApp, *, base_path: str, allowed_hosts: Iterable[str], allowed_origins: Iterable[str]
    ) -> None:
        self._app = app
        self._base = base_path + "/"
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        reason = self._refusal(scope["method"], scope["path"], headers)
        if reason:
            await _refuse(send, 403, "forbidden", reason)
        elif (coding := headers.get(b"content-encoding", "identity").strip().lower()) != "identity":
            await _refuse(
                send, 415, "bad_request", f"Content-Encoding {coding!r} is not supported; send the body uncompressed"
            )
        elif scope["path"].endswith("/") and scope["path"] != self._base:
            await _redirect(send, scope)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: dict[bytes, str]) -> str:
        host = headers.get(b"host", "")
        host_name = name_of_host(host)
        if not is_loopback(host_name) and host_name not in self._hosts and host.lower() not in self._hosts:
            return f"Host {host!r} is not one of this server's names; add it to allowed_hosts"
        if method in _SAFE_METHODS and not path.endswith(_DEQUEUE):
            return ""
        origin = headers.get(b"origin")
        if origin is None:
            cross_site = headers.get(b"sec-fetch-site", "") == "cross-site"
            return "a page of another site may not change anything here" if cross_site else ""
        is_own = origin.partition("://")[2].lower() == host.lower() != ""
        if not is_own and origin.rstrip("/").lower() not in self._origins:
            return (
                f"a page of {origin!r} may not change anything at {host!r}: if that is this server behind a proxy, let "
                "the proxy pass on Host with its port, or send X-Forwarded-Host and be in trusted_proxies; "
                "if it is another site that may use the API, add it to cors_origins"
            )
        return ""


async def _refuse(send: Send, status: int, code: ErrorCode, reason: str) -> None:
    body = msgspec.json.encode(Error(code=code, message=reason))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _redirect(send: Send, scope: Scope) -> None:
    # One leading slash: two would name another host. Quoted again: a decoded line end would start another header.
    path = quote("/" + scope["path"].strip("/"))
    query = scope.get("query_string", b"")
    location = path.encode() + (b"?" + query if query else b"")
    await send(
        {"type": "http.response.start", "status": 301, "headers": [(b"location", location), (b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b"", "more_body": False})
