"""Tokens: signed ones of logins (JWT, HS256), and personal ones for programs (api-behaviour 2.3)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import jwt
import msgspec

_MIN_SECRET_BYTES = 32
_ALGORITHM = "HS256"
_HEADER = {"alg": _ALGORITHM, "typ": "JWT"}
_MAX_LENGTH = 4096
_SKEW = timedelta(seconds=10)  # between the clocks of servers that share a database
_ID_BYTES = 8
_PERSONAL = "dbk_"
_PERSONAL_BYTES = 32


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The claims of a login token. ``jti``, which is random, names its session; role and name are those at login.

    ``gen`` is that of the user, for servers of before 0.2.0 beside this one.
    """

    sub: str
    uid: str
    username: str
    role: str
    iat: int
    exp: int
    gen: int
    jti: str


def validation_error(secret: str) -> str:
    """Return why a text cannot be the signing secret of logins, or an empty text."""
    fix = f"give it {_MIN_SECRET_BYTES} random characters or more, such as `openssl rand -base64 48` prints"
    if not secret:
        return f"is missing; logins are signed with it: {fix}"
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        return f"is too short; {fix}"
    try:
        jwt.encode({}, secret, algorithm=_ALGORITHM)
    except jwt.PyJWTError:
        return f"is a key pair or a certificate, which others may know; {fix}"
    return ""


class Signer:
    """Signs and verifies login tokens."""

    def __init__(self, secret: str, ttl_seconds: float) -> None:
        self._secret = secret
        self._ttl = timedelta(seconds=ttl_seconds)

    def sign(self, claims: Claims) -> str:
        return jwt.encode(msgspec.to_builtins(claims), self._secret, algorithm=_ALGORITHM, headers=_HEADER)

    def prove(self, jti: str) -> str:
        """Return what a page of this server sends beside the cookie of a session, which another site cannot know."""
        return hmac.new(self._secret.encode(), f"csrf:{jti}".encode(), hashlib.sha256).hexdigest()

    @staticmethod
    def new_id() -> str:
        """Return a random ``jti``."""
        return secrets.token_hex(_ID_BYTES)

    def expiry(self, now: datetime) -> datetime:
        """Return when a token signed now expires."""
        return now + self._ttl

    def read(self, token: str, now: datetime) -> Claims | None:
        """Return the claims of a token, or None if it is invalid or expired."""
        claims = self.read_signed(token, now)
        return None if claims is None or is_expired(claims, now) else claims

    def read_signed(self, token: str, now: datetime) -> Claims | None:
        """Return the claims of a token that was signed here, also of an expired one."""
        if len(token) > _MAX_LENGTH:
            return None
        try:
            if jwt.get_unverified_header(token) != _HEADER:
                return None
            # Times are compared with our own clock below.
            payload = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            claims = msgspec.convert(payload, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, RecursionError):
            return None
        return claims if claims.iat <= (now + _SKEW).timestamp() and claims.sub == claims.uid else None


def is_expired(claims: Claims, now: datetime) -> bool:
    """Whether a token has expired."""
    return now.timestamp() >= claims.exp


def make_personal() -> str:
    """Generate a personal token; it is shown once and stored as its hash."""
    return _PERSONAL + secrets.token_urlsafe(_PERSONAL_BYTES)


def is_personal(token: str) -> bool:
    """Whether a text has the form of a personal token."""
    return token.startswith(_PERSONAL)


def hash_of(token: str) -> str:
    """Return the stored hash of a token. Tokens are random enough to need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
