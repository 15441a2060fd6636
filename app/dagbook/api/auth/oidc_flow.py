"""OpenID Connect login of a browser: redirect and callback (api-behaviour 2.2)."""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import quote, unquote

from litestar import Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.handlers import HTTPRouteHandler

from dagbook.accounts.oidc import Account, Oidc, ProviderError
from dagbook.auth.audit_context import Caller
from dagbook.errors import BadRequestError

Connection = ASGIConnection[HTTPRouteHandler, Caller, object, State]

COOKIE = "oidcToken"
_STATE, _NONCE, _ORIGIN, _VERIFIER = "state", "nonce", "originalURL", "codeVerifier"
_LOGIN_SECONDS = 120
_MIN_SESSION_SECONDS = 60
_MAX_COOKIE_LENGTH = 4000
# A path on this server: a second slash, or a backslash, which browsers read as one, would name another host.
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


CLEARED = f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=lax"


class LoginNeededError(Exception):
    """A browser requested a page and has to log in at the provider first."""

    def __init__(self, oidc: Oidc) -> None:
        super().__init__("log in first")
        self.oidc = oidc


def redirect_to_login(connection: Connection, error: LoginNeededError) -> Response[None]:
    """Redirect a browser to the provider; after the login it returns to the page it requested."""
    path = connection.scope.get("raw_path", b"").decode("latin-1")
    query = connection.scope.get("query_string", b"").decode("latin-1")
    return start(connection, error.oidc, f"{path}?{query}" if query else path)


def start(connection: Connection, oidc: Oidc, back_to: str) -> Response[None]:
    """Redirect a browser to the provider, with cookies for state, nonce, PKCE verifier and the page to return to.

    Raises BadRequestError when that page is on another site.
    """
    _check_local(back_to)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    values = {_STATE: state, _NONCE: nonce, _VERIFIER: verifier, _ORIGIN: quote(back_to, safe="")}
    secure = _is_secure(connection, oidc)
    cookies = [_cookie(name, value, _LOGIN_SECONDS, secure=secure) for name, value in values.items()]
    return _redirect(oidc.login_url(state, nonce, verifier), cookies)


async def finish(connection: Connection, oidc: Oidc, code: str, state: str) -> tuple[Account, str]:
    """Handle the provider's callback; returns the account and the page to return to.

    Raises BadRequestError, ForbiddenError and ProviderError.
    """
    expected, nonce, verifier = (_require(connection, name) for name in (_STATE, _NONCE, _VERIFIER))
    back_to = unquote(_require(connection, _ORIGIN))
    if not hmac.compare_digest(expected.encode(), state.encode()) or not code:
        raise BadRequestError("this login was not started here or has expired; start again")
    _check_local(back_to)
    return await oidc.exchange_code(code, nonce, verifier), back_to


def make_cookie(connection: Connection, oidc: Oidc, account: Account) -> Cookie:
    """Make the cookie of a login without users: the ID token. Raises ProviderError if it is too long."""
    if len(account.token) > _MAX_COOKIE_LENGTH:
        raise ProviderError("the provider's ID token is too long for a cookie; ask for less with auth_oidc_scopes")
    seconds = account.seconds or _MIN_SESSION_SECONDS
    return _cookie(COOKIE, account.token, seconds, secure=_is_secure(connection, oidc))


def redirect_back(connection: Connection, oidc: Oidc, page: str, cookie: Cookie) -> Response[None]:
    """Redirect a browser that has logged in to a page, with the cookie of its login."""
    secure = _is_secure(connection, oidc)
    cleared = [_cookie(name, "", 0, secure=secure) for name in (_STATE, _NONCE, _ORIGIN, _VERIFIER)]
    return _redirect(page, [cookie, *cleared])


def _check_local(url: str) -> None:
    if not _LOCAL_PATH.fullmatch(url):
        raise BadRequestError(f"{_ORIGIN}: is not a page of this server; give a path such as /dags")


def _require(connection: Connection, name: str) -> str:
    value = connection.cookies.get(name)
    if not value:
        raise BadRequestError(f"{name}: its cookie is missing; start again and finish within {_LOGIN_SECONDS} seconds")
    return value


def _redirect(url: str, cookies: list[Cookie]) -> Response[None]:
    headers = {"Location": url, "Cache-Control": "no-store"}
    return Response(None, status_code=302, headers=headers, cookies=cookies, media_type="text/plain")


def _cookie(name: str, value: str, seconds: int, *, secure: bool) -> Cookie:
    return Cookie(key=name, value=value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def _is_secure(connection: Connection, oidc: Oidc) -> bool:
    """Whether the browser uses TLS; behind a proxy that is not trusted only the settings can tell."""
    return connection.scope["scheme"] == "https" or oidc.is_over_tls
