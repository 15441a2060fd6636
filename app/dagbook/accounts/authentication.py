"""Authentication of requests: a chain of authenticators (api-behaviour 2.1)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from dagbook.accounts.sessions import Sessions
from dagbook.accounts.tokens import PersonalTokens
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Role
from dagbook.auth.tokens import is_personal
from dagbook.clock import Clock
from dagbook.errors import UnauthorizedError

_BEARER, _BASIC = "Bearer ", "Basic "


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of a request, and its address."""

    authorization: str | None = None
    cookie: str | None = None  # of a login at a provider
    session_cookie: str | None = None
    address: str = ""
    is_use: bool = True  # of a session, which then is not idle
    local_user: str | None = None  # operating system user of the command that sent the request

    @property
    def bearer(self) -> str | None:
        """The bearer token, if any."""
        given = self.authorization or ""
        return given.removeprefix(_BEARER) if given.startswith(_BEARER) else None


class Authenticator(Protocol):
    """Identifies the caller of a request by one kind of credentials."""

    async def __call__(self, credentials: Credentials) -> Caller | None:
        """Return the caller, or None if these credentials are absent or invalid."""


class AuthenticatorChain:
    """Tries authenticators in order. Without authentication every caller is anonymous."""

    def __init__(self, authenticators: Sequence[Authenticator], *, challenge: str, asks: bool) -> None:
        self._authenticators = authenticators
        self._challenge = challenge
        self._asks = asks

    async def identify(self, credentials: Credentials) -> Caller:
        """Return the caller; raises UnauthorizedError if there is none."""
        for authenticator in self._authenticators:
            if caller := await authenticator(credentials):
                return caller
        if self._asks:
            raise UnauthorizedError("log in first: this needs valid credentials", self._challenge)
        return Caller(via="none", address=credentials.address)


class LocalAuthenticator:
    """The user of this machine who runs the command; an admin if there are roles.

    Only root and the user who owns the database can connect.
    """

    def __init__(self, role: Role | None) -> None:
        self._role = role

    async def __call__(self, credentials: Credentials) -> Caller | None:
        if credentials.local_user is None:
            return None
        return Caller(via="local", name=credentials.local_user, role=self._role)


class StaticTokenAuthenticator:
    """The token of the settings, or the cookie that a browser got for it."""

    def __init__(self, token: str, caller: Caller, now: Clock) -> None:
        self._token = token.encode()
        self._caller = caller
        self._now = now

    async def __call__(self, credentials: Credentials) -> Caller | None:
        """Identify by the header alone where there is one."""
        proof = None
        if credentials.authorization is None:
            until, _, signature = (credentials.session_cookie or "").partition(".")
            is_signed = hmac.compare_digest(signature.encode(), self._sign("cookie", until).encode())
            if not is_signed or self._now().timestamp() >= int(until):
                return None
            proof = self._sign("csrf", until)
        elif not self.is_token((credentials.bearer or "").encode("latin-1")):
            return None
        return msgspec.structs.replace(self._caller, address=credentials.address, proof=proof)

    def is_token(self, token: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(token, self._token)

    def make_cookie(self, expires_at: datetime) -> tuple[str, str]:
        """Return the value of a cookie, which is not the token, and the proof that belongs to it."""
        until = str(int(expires_at.timestamp()))
        return f"{until}.{self._sign('cookie', until)}", self._sign("csrf", until)

    def _sign(self, use: str, until: str) -> str:
        return hmac.new(self._token, f"{use}:{until}".encode(), "sha256").hexdigest()


class BasicAuthenticator:
    """The user name and password of the settings, by HTTP Basic."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._pair = f"{username}:{password}".encode()

    async def __call__(self, credentials: Credentials) -> Caller | None:
        """Compare in constant time."""
        given = credentials.authorization or ""
        if not given.startswith(_BASIC):
            return None
        try:
            pair = base64.b64decode(given.removeprefix(_BASIC), validate=True)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(pair, self._pair):
            return None
        return Caller(via="basic", name=self._username, address=credentials.address)


class LoginAuthenticator:
    """Sessions, by token or cookie, and personal tokens; the role is the user's current one."""

    def __init__(self, sessions: Sessions, personal: PersonalTokens) -> None:
        self._sessions = sessions
        self._personal = personal

    async def __call__(self, credentials: Credentials) -> Caller | None:
        """Identify by the header alone where there is one: a request with two identities would be ambiguous."""
        bearer, is_use = credentials.bearer, credentials.is_use
        if bearer is not None and is_personal(bearer):
            return await self._personal.identify(bearer, credentials.address)
        token = bearer or (credentials.session_cookie if credentials.authorization is None else None)
        if not token:
            return None
        return await self._sessions.identify(token, credentials.address, is_browser=bearer is None, is_use=is_use)
