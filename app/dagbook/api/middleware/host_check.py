"""Checks of Host and Origin on every request, before routing.

Without authentication any web page in the user's browser could reach a server on loopback. A page cannot
forge Host (DNS rebinding shows there), Origin or Sec-Fetch-Site, so these decide (house design, promises S10).
Authentication and authorization come after routing (``dagbook.api.auth.guards``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from dagbook.api.schemas.common import Error
from dagbook.errors import ErrorCode
from dagbook.identifiers import API_PATH

if TYPE_CHECKING:  # commands import this module too, and must not load the framework
    from litestar.types import ASGIApp, Receive, Scope, Send

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEQUEUE = "/dequeue"  # the only GET that changes anything
# Headers that proxies, load balancers and content delivery networks add.
_OF_PROXY = re.compile(
    rb"via|forwarded(-for)?|x-forwarded(-.*)?|.*(client|real|remote|user|cluster)-?ip|x-(remote-addr|originating-ip|scheme)|"
    rb"(x-)?(cf|cdn|arr|akamai|amzn|amz-cf|appengine|azure|envoy|fastly|nginx|original|proxy|proxyuser|varnish)-.*|x-varnish"
)
_OLD_HTTP = "1.0"  # with which nginx asks unless its configuration says otherwise
_BROWSER = frozenset({b"origin", b"referer", b"accept-language"})
_PROXY_REASON = (
    "this request came through a proxy ({}), and this server has no authentication, so it serves this machine alone; "
    "set auth_mode or auth_token (another Dagbook sends the token of its remote_nodes), or insecure: true if the proxy "
    "authenticates"
)
_DEQUEUE_REASON = "a page of another site may not dequeue anything; send a bearer token, or use the web UI or a program"


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
    """Refuses unknown hosts, changes from other sites' pages and compressed bodies; redirects trailing slashes.

    With ``refuses_proxied`` also all that came through a proxy; with the name of an ``unchangeable`` snapshot also
    every change.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_path: str,
        allowed_hosts: Iterable[str],
        allowed_origins: Iterable[str],
        refuses_proxied: bool,
        unchangeable: str = "",
    ) -> None:
        self._app = app
        self._base = base_path + "/"
        self._runs = f"{base_path}{API_PATH}/dag-runs/"
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._refuses_proxied = refuses_proxied
        self._unchangeable = unchangeable

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        reason = self._refusal(scope["method"], scope["path"], headers)
        if self._refuses_proxied and (sign := sign_of_proxy(scope["http_version"], headers)):
            reason = _PROXY_REASON.format(sign)
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
        changes = method not in _SAFE_METHODS or (path.endswith(_DEQUEUE) and path.startswith(self._runs))
        if changes and self._unchangeable:
            return f"this server shows the snapshot {self._unchangeable}, in which nothing can be changed or started"
        if method in _SAFE_METHODS:
            return _DEQUEUE_REASON if changes and not self._may_dequeue(headers, host) else ""
        origin = headers.get(b"origin")
        if origin is None:
            cross_site = headers.get(b"sec-fetch-site", "") == "cross-site"
            return "a page of another site may not change anything here" if cross_site else ""
        if not self._is_own(origin, host):
            return (
                f"a page of {origin!r} may not change anything at {host!r}: if that is this server behind a proxy, let "
                "the proxy pass on Host with its port, or send X-Forwarded-Host and be in trusted_proxies; "
                "if it is another site that may use the API, add it to cors_origins"
            )
        return ""

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether an origin is that of this server, or listed."""
        return origin.partition("://")[2].lower() == host.lower() != "" or origin.rstrip("/").lower() in self._origins

    def _may_dequeue(self, headers: dict[bytes, str], host: str) -> bool:
        """Whether a GET that changes something is not that of another site's page: an image or a link sends one, too.

        Browsers do not say reliably where such a request comes from, so a request of a browser has to prove it.
        """
        if headers.get(b"authorization", "").startswith("Bearer "):  # no page can add it without being asked before
            return True
        if (origin := headers.get(b"origin")) is not None:
            return self._is_own(origin, host)
        if (site := headers.get(b"sec-fetch-site")) is not None:
            return site == "same-origin"
        scheme, _, rest = headers.get(b"referer", "").partition("://")
        if rest:
            return self._is_own(f"{scheme}://{rest.partition('/')[0]}", host)
        return not is_browser(headers)


def sign_of_proxy(http_version: str, headers: Iterable[bytes]) -> str:
    """Return by what a proxy shows, the name of a header or its version of HTTP; empty for a request without that."""
    if http_version == _OLD_HTTP:
        return f"HTTP/{http_version}"
    return next((name.decode("latin-1") for name in headers if _OF_PROXY.fullmatch(name)), "")


def is_browser(headers: Mapping[bytes, str]) -> bool:
    """Whether a request has headers that only browsers send."""
    if not _BROWSER.isdisjoint(headers) or any(name.startswith(b"sec-fetch-") for name in headers):
        return True
    return "mozilla" in headers.get(b"user-agent", "").lower()


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
