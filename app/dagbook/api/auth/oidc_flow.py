"""Sending a browser to the OpenID Connect provider, and taking it back (api-behaviour 2.2)."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Any
from urllib.parse import quote, unquote

from litestar import Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from dagbook.accounts.oidc import Oidc
from dagbook.auth.caller import Caller
from dagbook.errors import BadRequestError

Connection = ASGIConnection[Any, Any, Any, Any]

COOKIE = "oidcToken"
_STATE, _NONCE, _ORIGIN = "state", "nonce", "originalURL"
_STEPS_SECONDS = 120
_SHORTEST_SECONDS = 60
# A path of this server: two slashes, or a slash that browsers take for one, would name another host.
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


CLEARED = f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=lax"


class LoginNeededError(Exception):
    """A browser asks for a page, and has to log in at the provider first."""

    def __init__(self, oidc: Oidc) -> None:
        super().__init__("log in first")
        self.oidc = oidc


def redirect_to_login(connection: Connection, error: LoginNeededError) -> Response[None]:
    """Answer a browser that has to log in first; it comes back to the page it has asked for."""
    path = connection.scope.get("raw_path", b"").decode("latin-1")
    query = connection.scope.get("query_string", b"").decode("latin-1")
    return start(connection, error.oidc, f"{path}?{query}" if query else path)


def start(connection: Connection, oidc: Oidc, back_to: str) -> Response[None]:
    """Send a browser to the provider, with three cookies to know it by when it comes back.

    Raises BadRequestError when that is to be another site.
    """
    _check_own(back_to)
    state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    values = {_STATE: state, _NONCE: nonce, _ORIGIN: quote(back_to, safe="")}
    secure = _is_secure(connection, oidc)
    cookies = [_cookie(name, value, _STEPS_SECONDS, secure=secure) for name, value in values.items()]
    return _redirect(oidc.login_url(state, nonce), cookies)


async def finish(connection: Connection, oidc: Oidc, code: str, state: str) -> tuple[Response[None], Caller]:
    """Let a browser in that comes from the provider, and tell who it is.

    Raises BadRequestError, ForbiddenError, ProviderError.
    """
    expected, nonce = _require(connection, _STATE), _require(connection, _NONCE)
    back_to = unquote(_require(connection, _ORIGIN))
    if not hmac.compare_digest(expected.encode(), state.encode()) or not code:
        raise BadRequestError("this login was not begun here, or is too old; begin again")
    _check_own(back_to)
    token, seconds = await oidc.exchange_code(code, nonce)
    secure = _is_secure(connection, oidc)
    gone = [_cookie(name, "", 0, secure=secure) for name in (_STATE, _NONCE, _ORIGIN)]
    answer = _redirect(back_to, [_cookie(COOKIE, token, seconds or _SHORTEST_SECONDS, secure=secure), *gone])
    caller = await oidc.identify(token, connection.client.host if connection.client else "")
    return answer, caller or Caller(via="oidc")


def _check_own(url: str) -> None:
    if not _OWN_PATH.fullmatch(url):
        raise BadRequestError(f"{_ORIGIN}: is no page of this server; give a path such as /dags")


def _require(connection: Connection, name: str) -> str:
    value = connection.cookies.get(name)
    if not value:
        raise BadRequestError(f"{name}: its cookie is missing; begin again, within {_STEPS_SECONDS} seconds")
    return value


def _redirect(url: str, cookies: list[Cookie]) -> Response[None]:
    headers = {"Location": url, "Cache-Control": "no-store"}
    return Response(None, status_code=302, headers=headers, cookies=cookies, media_type="text/plain")


def _cookie(name: str, value: str, seconds: int, *, secure: bool) -> Cookie:
    return Cookie(key=name, value=value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def _is_secure(connection: Connection, oidc: Oidc) -> bool:
    """Whether the browser is here over TLS; behind a proxy that is not listed only the settings know."""
    return connection.scope["scheme"] == "https" or oidc.is_over_tls
