"""Authentication of requests: a chain of authenticators (api-behaviour 2.1)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Protocol

import msgspec

from dagbook.accounts.ended_tokens import EndedTokenLog, TokenEnd
from dagbook.accounts.tokens import PersonalTokens
from dagbook.auth.audit_context import Actor, Caller
from dagbook.auth.roles import Role
from dagbook.auth.tokens import Signer, hash_of, is_expired, is_personal
from dagbook.clock import Clock
from dagbook.db.database import Database
from dagbook.db.repositories import users
from dagbook.errors import UnauthorizedError

_BEARER, _BASIC = "Bearer ", "Basic "


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of a request, and its address."""

    authorization: str | None = None
    cookie: str | None = None
    address: str = ""
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
            raise UnauthorizedError("log in first: this takes valid credentials", self._challenge)
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
    """The token of the settings."""

    def __init__(self, token: str, caller: Caller) -> None:
        self._token = token.encode()
        self._caller = caller

    async def __call__(self, credentials: Credentials) -> Caller | None:
        """Compare in constant time."""
        bearer = credentials.bearer
        if bearer is None or not hmac.compare_digest(bearer.encode("latin-1"), self._token):
            return None
        return msgspec.structs.replace(self._caller, address=credentials.address)


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
    """Login tokens and personal tokens; the role is the user's current one."""

    def __init__(
        self, database: Database, signer: Signer, personal: PersonalTokens, ended: EndedTokenLog, now: Clock
    ) -> None:
        self._ended = ended
        self._database = database
        self._signer = signer
        self._personal = personal
        self._now = now

    async def __call__(self, credentials: Credentials) -> Caller | None:
        bearer = credentials.bearer
        if bearer is None:
            return None
        if is_personal(bearer):
            return await self._personal.identify(bearer, credentials.address)
        return await self._by_login(bearer, credentials.address)

    async def _by_login(self, token: str, address: str) -> Caller | None:
        now = self._now()
        claims = self._signer.read_signed(token, now)
        if claims is None:
            return None
        user = await self._database.read_inline(lambda connection: users.get(connection, claims.uid))
        credential = hash_of(token)
        end = None
        if is_expired(claims, now):
            end = TokenEnd.EXPIRED
        elif user is not None and claims.gen != user.generation and user.kept_token != credential:
            end = TokenEnd.PASSWORD_CHANGED
        if user is None or end is not None:
            actor = Actor(via="login", user_id=claims.uid, address=address)
            await self._ended.record(actor, claims.username, end or TokenEnd.USER_REMOVED)
            return None
        return Caller(
            via="login",
            name=user.username,
            role=Role(user.role),
            user_id=user.id,
            credential=credential,
            address=address,
        )
