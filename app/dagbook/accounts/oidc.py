"""OpenID Connect: discovery, code exchange, verification of ID tokens (api-behaviour 2.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import logging
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
import msgspec
from jwt.types import Options

from dagbook.accounts.authentication import Credentials
from dagbook.auth.audit_context import Caller
from dagbook.auth.claims import Claims, RoleRule, role_of
from dagbook.auth.roles import Role
from dagbook.auth.tokens import hash_of
from dagbook.egress.client import EgressClient
from dagbook.egress.rules import Egress
from dagbook.errors import AppError, BadRequestError, ForbiddenError

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 10.0
_KEYS_TTL_SECONDS = 60.0
_SKEW_SECONDS = 10
# Asymmetric ones only: with the others our client secret would be the signing key.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
_OPTIONS: Options = {"require": ["exp", "iat", "sub", "aud", "iss"]}


class ProviderError(AppError):
    """The provider does not answer, or answers wrongly."""

    code, status = "internal_error", 500


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Client data of this server at the provider, and the allowed e-mail addresses; empty allows all.

    With ``trust_unverified`` an address counts also when the provider says nothing about its verification. An account
    without a rule that fits has the ``default_role``; with None it may not log in.
    """

    issuer: str
    id: str
    secret: str
    redirect_uri: str
    scopes: tuple[str, ...]
    whitelist: frozenset[str]
    trust_unverified: bool = False
    rules: tuple[RoleRule, ...] = ()
    default_role: Role | None = Role.VIEWER
    egress: Egress = Egress()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account that has logged in: what ID token and userinfo say of it, its role, and the token with its seconds."""

    token: str
    seconds: int
    claims: Claims
    role: Role

    @property
    def names(self) -> list[str]:
        """Names for people, the best one first."""
        found = [self.claims.get(key) for key in ("preferred_username", "email", "sub")]
        return [name for name in found if isinstance(name, str) and name]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's metadata (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)

    def check_endpoints(self) -> None:
        """Raise ProviderError for an endpoint to which codes, tokens or browsers would be sent without TLS."""
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            url = getattr(self, name)
            if url is not None and not is_protected(url):
                raise ProviderError(f"the provider's {name} {url} is not https")


class Oidc:
    """One provider and its keys."""

    def __init__(self, client: Client, provider: Provider) -> None:
        self._client = client
        self._provider = provider
        self._algorithms = sorted(_ALGORITHMS.intersection(provider.id_token_signing_alg_values_supported))
        self._keys: list[jwt.PyJWK] = []
        self._keys_read_at = -_KEYS_TTL_SECONDS
        self._admitted: dict[str, tuple[float, Role]] = {}  # by hash of the ID token: its end, and the role

    @classmethod
    async def discover(cls, client: Client) -> Oidc:
        """Read the provider's metadata and keys; raises ProviderError."""
        found = await _get(client.egress, f"{client.issuer}/.well-known/openid-configuration")
        try:
            provider = msgspec.convert(found, Provider)
        except msgspec.ValidationError as error:
            raise ProviderError(f"the provider's metadata cannot be used: {error}") from error
        if provider.issuer.rstrip("/") != client.issuer:
            raise ProviderError(f"the provider calls itself {provider.issuer!r}, not {client.issuer!r}")
        provider.check_endpoints()
        oidc = cls(client, provider)
        if not oidc._algorithms:
            raise ProviderError("the provider signs by none of " + ", ".join(sorted(_ALGORITHMS)))
        await oidc._read_keys()
        return oidc

    @property
    def is_over_tls(self) -> bool:
        """Whether browsers reach this server by https, according to the settings."""
        return self._client.redirect_uri.startswith("https:")

    def login_url(self, state: str, nonce: str, verifier: str) -> str:
        """Return the URL to which a browser is sent to log in; the code it brings back is bound to the verifier."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "client_id": self._client.id,
            "redirect_uri": self._client.redirect_uri,
            "response_type": "code",
            "scope": " ".join(self._client.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",  # RFC 7636, 4.2
        }
        joint = "&" if "?" in self._provider.authorization_endpoint else "?"
        return f"{self._provider.authorization_endpoint}{joint}{urlencode(query)}"

    @property
    def issuer(self) -> str:
        """The provider's own name of itself."""
        return self._provider.issuer

    @property
    def has_rules(self) -> bool:
        """Whether claims decide about roles."""
        return bool(self._client.rules)

    async def exchange_code(self, code: str, nonce: str, verifier: str) -> Account:
        """Exchange a code for an account.

        Raises ForbiddenError for an account that is not allowed, BadRequestError for a code that the provider does not
        take, ProviderError for everything else.
        """
        tokens = await self._request_tokens(code, verifier)
        token = tokens.get("id_token")
        claims = await self._read(token) if isinstance(token, str) else None
        if not isinstance(token, str) or claims is None:
            raise ProviderError("the provider's ID token is invalid: signature, times, issuer or audience do not match")
        account = await self._userinfo(tokens, claims)
        if problem := self._refusal(account):
            raise ForbiddenError(f"{account.get('email') or 'an account without e-mail'} is not allowed in: {problem}")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise ProviderError("the provider's ID token was made for another login; try again")
        now, end = time.time(), float(str(claims["exp"]))
        role = self._role_of(account)
        if role is None:
            raise ForbiddenError("this account is not allowed in: no rule of auth_oidc_roles gives it a role")
        self._admitted = {hashed: known for hashed, known in self._admitted.items() if known[0] > now}
        self._admitted[hash_of(token)] = end, role
        return Account(token=token, seconds=max(int(end - now), 0), claims=account, role=role)

    def _role_of(self, account: Claims) -> Role | None:
        return role_of(account, self._client.rules) or self._client.default_role

    async def identify(self, token: str, address: str) -> Caller | None:
        """Return the caller of an ID token, or None if it is invalid or expired."""
        claims = await self._read(token)
        if claims is None:
            return None
        # Another program may have requested this ID token for us: then it must itself say that the account is allowed.
        _, role = self._admitted.get(hash_of(token), (0, None))
        if role is None and self._refusal(claims):
            return None
        role = role or self._role_of(claims)
        if role is None:
            return None
        name = next(str(claims[key]) for key in ("email", "preferred_username", "sub") if claims.get(key))
        # Without rules all have what the settings allow, as in the reference implementation.
        return Caller(via="oidc", name=name, role=role if self.has_rules else None, address=address)

    def _refusal(self, account: Claims) -> str:
        """Return why an account may not log in; empty if it may."""
        email, verified = account.get("email"), _truth(account.get("email_verified"))
        if self._client.whitelist and not (isinstance(email, str) and email in self._client.whitelist):
            return "it is not in auth_oidc_whitelist"
        if email is None or verified or (verified is None and self._client.trust_unverified):
            return ""
        return "the provider does not say that its e-mail address is verified (email_verified)"

    async def _request_tokens(self, code: str, verifier: str) -> Claims:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.redirect_uri,
            "code_verifier": verifier,
        }
        methods = self._provider.token_endpoint_auth_methods_supported
        auth = None
        if "client_secret_basic" in methods or "client_secret_post" not in methods:
            auth = (self._client.id, self._client.secret)
        else:
            form |= {"client_id": self._client.id, "client_secret": self._client.secret}
        try:
            return await _ask(self._client.egress, "POST", self._provider.token_endpoint, data=form, auth=auth)
        except ProviderError as error:
            if _is_code_refused(error.__cause__):
                raise BadRequestError("this login is used already or has expired; start it again") from error
            raise

    async def _userinfo(self, tokens: Claims, claims: Claims) -> Claims:
        """Return what ID token and userinfo say about the account. Raises ProviderError if they contradict."""
        if self._provider.userinfo_endpoint is None:
            return claims
        info = await _get(self._client.egress, self._provider.userinfo_endpoint, str(tokens.get("access_token", "")))
        if info.get("sub") != claims["sub"]:
            raise ProviderError("the provider's userinfo is about another subject than its ID token")
        emails = {repr(said["email"]): said["email"] for said in (claims, info) if said.get("email") is not None}
        if len(emails) > 1:
            raise ProviderError("the provider's userinfo has another e-mail address than its ID token")
        verified = {_truth(said.get("email_verified")) for said in (claims, info)}
        return {
            **info,
            **claims,
            "email": next(iter(emails.values()), None),
            "email_verified": None if verified == {None} else False not in verified,
        }

    async def _read(self, token: str) -> Claims | None:
        key = await self._key_of(token)
        if key is None:
            return None
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._client.id,
                issuer=self._provider.issuer,
                leeway=_SKEW_SECONDS,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, RecursionError, TypeError, ValueError):
            return None
        foreign = isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self._client.id
        return None if foreign else claims

    async def _key_of(self, token: str) -> jwt.PyJWK | None:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError):
            return None
        found = self._find_key(header.get("kid"))
        if found is None and time.monotonic() - self._keys_read_at >= _KEYS_TTL_SECONDS:
            try:
                await self._read_keys()
            except ProviderError as error:
                _log.warning("%s", error)
            found = self._find_key(header.get("kid"))
        return found

    def _find_key(self, kid: object) -> jwt.PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)

    async def _read_keys(self) -> None:
        self._keys_read_at = time.monotonic()
        found = await _get(self._client.egress, self._provider.jwks_uri)
        try:
            self._keys = jwt.PyJWKSet.from_dict(dict(found)).keys
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise ProviderError(f"the provider's keys cannot be used: {error}") from error


class OidcAuthenticator:
    """The ID token in the cookie of a login."""

    def __init__(self, oidc: Oidc) -> None:
        self._oidc = oidc

    async def __call__(self, credentials: Credentials) -> Caller | None:
        """Return the caller if the token is valid and its account allowed."""
        if not credentials.cookie:
            return None
        return await self._oidc.identify(credentials.cookie, credentials.address)


def is_protected(url: str) -> bool:
    """Whether requests to a URL cannot be read on the way: https, or a server on this machine."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return True
        host = parts.hostname or ""
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _truth(claim: object) -> bool | None:
    """Read a boolean claim; some providers write it as text."""
    return None if claim is None else claim is True or claim == "true"


def _is_code_refused(cause: BaseException | None) -> bool:
    """Whether the provider does not take a code (RFC 6749, 5.2), as when the page of the callback is loaded again."""
    if not isinstance(cause, httpx.HTTPStatusError) or cause.response.status_code != httpx.codes.BAD_REQUEST:
        return False
    try:
        return bool(cause.response.json()["error"] == "invalid_grant")
    except (ValueError, KeyError, TypeError):
        return False


async def _get(egress: Egress, url: str, bearer: str = "") -> Claims:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return await _ask(egress, "GET", url, headers=headers)


async def _ask(egress: Egress, method: str, url: str, **values: Any) -> Claims:
    try:
        async with EgressClient(egress, timeout=_TIMEOUT_SECONDS) as client:
            answer = await client.request(method, url, **values)
        answer.raise_for_status()
        found = answer.json()
    except httpx.HTTPStatusError as error:
        raise ProviderError(f"the provider answers {error.response.status_code} at {url}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderError(f"the provider cannot be asked at {url}: {error or type(error).__name__}") from error
    except ValueError as error:
        raise ProviderError(f"the provider answers no JSON at {url}") from error
    if not isinstance(found, dict):
        raise ProviderError(f"the provider answers no JSON object at {url}")
    return found
