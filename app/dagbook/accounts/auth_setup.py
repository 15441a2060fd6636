"""Builds authentication from the settings."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import msgspec

from dagbook.accounts.access import Access
from dagbook.accounts.authentication import (
    Authenticator,
    AuthenticatorChain,
    BasicAuthenticator,
    LocalAuthenticator,
    LoginAuthenticator,
    StaticTokenAuthenticator,
)
from dagbook.accounts.ended_tokens import EndedTokenLog
from dagbook.accounts.login_throttle import Buckets, CredentialThrottle, LoginThrottle
from dagbook.accounts.logins import Logins
from dagbook.accounts.oidc import Client, Oidc, OidcAuthenticator, ProviderError, is_protected
from dagbook.accounts.provider_accounts import ProviderAccounts
from dagbook.accounts.refusal_log import RefusalLog
from dagbook.accounts.sessions import SessionLimits, Sessions
from dagbook.accounts.tokens import PersonalTokens
from dagbook.accounts.users import Users
from dagbook.auth.audit_context import Caller
from dagbook.auth.claims import RoleRule, read_rule
from dagbook.auth.passwords import Hasher
from dagbook.auth.roles import Role, Switches, UserScope
from dagbook.auth.tokens import Signer, validation_error
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.egress.rules import Egress
from dagbook.settings import Settings, SettingsError

_NONE, _BUILTIN, _OIDC = "none", "builtin", "oidc"
_PROVIDER = ("auth_oidc_issuer", "auth_oidc_client_id", "auth_oidc_client_secret")
_MIN_TOKEN, _MIN_PASSWORD = 24, 12  # characters
CALLBACK = "/oidc-callback"


class AuthServices(msgspec.Struct, frozen=True, kw_only=True):
    """The authentication services."""

    users: Users
    access: Access
    logins: Logins
    sessions: Sessions
    tokens: PersonalTokens
    callers: AuthenticatorChain
    refusals: RefusalLog
    credential_throttle: CredentialThrottle
    oidc: Oidc | None
    provider_accounts: ProviderAccounts
    switches: Switches
    has_users: bool
    static_token: StaticTokenAuthenticator | None
    metrics_token: StaticTokenAuthenticator | None

    @property
    def redirects_pages(self) -> bool:
        """Whether a browser without a login is sent to the provider; with users there is a login page."""
        return self.oidc is not None and not self.has_users


def make_auth_services(settings: Settings, database: Database, oidc: Oidc | None) -> AuthServices:
    """Build the services. ``oidc`` is the result of ``find_provider``."""
    hasher = Hasher(settings.auth_bcrypt_cost)
    signer = Signer(settings.auth_token_secret, settings.auth_token_ttl_seconds)
    ended, refusals = EndedTokenLog(database, now), RefusalLog(database, now)
    session_limits = SessionLimits(settings.auth_session_idle_seconds, settings.auth_fresh_login_seconds)
    sessions = Sessions(database, signer, ended, session_limits, now)
    personal = PersonalTokens(database, ended, settings.auth_personal_token_days, now)
    failures_of_sites = Buckets(time.monotonic)
    throttle = LoginThrottle(failures_of_sites, settings.auth_logins_per_minute)
    has_users = settings.auth_mode == _BUILTIN
    static = None if has_users else _token_authenticator(settings.auth_token, "api-token")
    local = LocalAuthenticator(Role.ADMIN if has_users else None)
    authenticators: list[Authenticator] = (
        [LoginAuthenticator(sessions, personal)] if has_users else _static_authenticators(settings, static, oidc)
    )
    return AuthServices(
        users=Users(database, hasher, now),
        access=Access(database, now),
        logins=Logins(database, hasher, sessions, throttle, refusals, now),
        sessions=sessions,
        tokens=personal,
        callers=_chain(settings, [local, *authenticators]),
        refusals=refusals,
        credential_throttle=CredentialThrottle(failures_of_sites),
        oidc=oidc,
        provider_accounts=ProviderAccounts(
            database,
            sessions,
            now,
            has_rules=oidc is not None and oidc.has_rules,
            scope=UserScope(settings.auth_oidc_default_scope),
        ),
        switches=_switches(settings),
        has_users=has_users,
        static_token=static,
        metrics_token=_token_authenticator(settings.metrics_token, "metrics-token"),
    )


def asks_provider(settings: Settings) -> bool:
    """Whether people log in at a provider: they alone, or beside local users."""
    return settings.auth_mode == _OIDC or (settings.auth_mode == _BUILTIN and bool(settings.auth_oidc_issuer))


def check_authentication(settings: Settings) -> None:
    """Refuse to start with authentication that cannot work or is not secure; raises SettingsError."""
    if asks_provider(settings):
        for name in (*_PROVIDER, "auth_oidc_client_url"):
            if not getattr(settings, name):
                raise SettingsError(name, settings.origins[name], "is missing; logins at a provider require it")
        _check_provider_settings(settings)
    wrong = validation_error(settings.auth_token_secret)
    if settings.auth_mode == _BUILTIN and wrong:
        raise SettingsError("auth_token_secret", settings.origins["auth_token_secret"], wrong)


def _check_provider_settings(settings: Settings) -> None:
    if not is_protected(settings.auth_oidc_issuer):
        problem = "is not https; plain http is accepted for a provider on this machine only"
        raise SettingsError("auth_oidc_issuer", settings.origins["auth_oidc_issuer"], problem)
    _read_rules(settings)
    if not settings.auth_oidc_whitelist and not settings.auth_oidc_allow_everybody:
        problem = (
            "is empty; list the e-mail addresses that may log in, "
            "or set auth_oidc_allow_everybody to let in every account of the provider"
        )
        raise SettingsError("auth_oidc_whitelist", settings.origins["auth_oidc_whitelist"], problem)


def check_strength(settings: Settings) -> None:
    """Refuse credentials that can be guessed, on an address that other machines can reach; raises SettingsError."""
    shortest = {"metrics_token": _MIN_TOKEN}
    if settings.auth_mode != _BUILTIN:
        shortest["auth_token"] = _MIN_TOKEN
        if _has_basic(settings):
            shortest["auth_basic_password"] = _MIN_PASSWORD
    for name, least in shortest.items():
        if 0 < len(getattr(settings, name)) < least:
            raise SettingsError(
                name,
                settings.origins[name],
                f"is shorter than {least} characters, which is not enough where {settings.host} can be reached from "
                f"other machines; write {least} random characters or more, such as those of `openssl rand -hex 16`",
            )


def choose_mode(settings: Settings) -> Settings:
    """Return the settings with ``auth_mode`` oidc if a provider is given and no mode (api-behaviour 2.1)."""
    given = all(getattr(settings, name) for name in _PROVIDER)
    if given and settings.origins["auth_mode"] == "default":
        return settings.replace(auth_mode=_OIDC)
    return settings


def _read_rules(settings: Settings) -> tuple[RoleRule, ...]:
    try:
        return tuple(map(read_rule, settings.auth_oidc_roles))
    except ValueError as error:
        raise SettingsError("auth_oidc_roles", settings.origins["auth_oidc_roles"], str(error)) from error


async def find_provider(settings: Settings) -> Oidc | None:
    """Discover the provider, if there is one; raises SettingsError if that fails."""
    if not asks_provider(settings):
        return None
    client = Client(
        issuer=settings.auth_oidc_issuer,
        id=settings.auth_oidc_client_id,
        secret=settings.auth_oidc_client_secret,
        redirect_uri=f"{settings.auth_oidc_client_url}{CALLBACK}",
        scopes=settings.auth_oidc_scopes,
        whitelist=frozenset(settings.auth_oidc_whitelist),
        trust_unverified=settings.auth_oidc_trust_unverified,
        rules=_read_rules(settings),
        default_role=None if settings.auth_oidc_default_role == _NONE else Role(settings.auth_oidc_default_role),
        egress=Egress(settings.egress_deny),
    )
    try:
        return await Oidc.discover(client)
    except ProviderError as error:
        raise SettingsError("auth_oidc_issuer", settings.origins["auth_oidc_issuer"], error.message) from error


def find_warnings(settings: Settings) -> Iterator[str]:
    """Warn of settings that are ignored, and of a mode that is chosen implicitly."""
    if settings.auth_mode == _OIDC and settings.origins["auth_mode"] == "default":
        yield "auth_mode is oidc because a provider is given; set auth_mode explicitly"
    if asks_provider(settings) and settings.auth_oidc_whitelist and settings.auth_oidc_allow_everybody:
        yield "auth_oidc_allow_everybody is ignored: only the addresses in auth_oidc_whitelist may log in"
    if asks_provider(settings) and not is_protected(settings.auth_oidc_client_url):
        yield "auth_oidc_client_url is not https: cookies of logins can be read on the way to this server"
    if settings.auth_mode == _OIDC and _has_basic(settings):
        yield "logins at the provider are disabled while auth_basic_username and auth_basic_password are set"
    if settings.auth_mode == _BUILTIN and (settings.auth_token or _has_basic(settings)):
        yield "auth_token and auth_basic_* are ignored while auth_mode is builtin; create personal tokens instead"
    if settings.auth_mode != _BUILTIN and bool(settings.auth_basic_username) != bool(settings.auth_basic_password):
        yield "auth_basic_username and auth_basic_password only have an effect together"


def requires_authentication(settings: Settings) -> bool:
    """Whether there is authentication at all."""
    return settings.auth_mode != _NONE or bool(settings.auth_token) or _has_basic(settings)


def command_settings(settings: Settings) -> Settings:
    """Return the settings for a process that only commands can reach: they may do everything, logins are impossible."""
    return settings.replace(auth_mode=_BUILTIN, auth_token_secret=secrets.token_urlsafe())


def _has_basic(settings: Settings) -> bool:
    return bool(settings.auth_basic_username and settings.auth_basic_password)


def _switches(settings: Settings) -> Switches:
    return Switches(
        write_dags=settings.permissions_write_dags,
        run_dags=settings.permissions_run_dags,
        inline_runs_need_write=settings.inline_runs_need_write,
        metrics_public=settings.metrics == "public",
    )


def _token_authenticator(token: str, name: str) -> StaticTokenAuthenticator | None:
    return StaticTokenAuthenticator(token, Caller(via="token", name=name), now) if token else None


def _static_authenticators(
    settings: Settings, static: StaticTokenAuthenticator | None, oidc: Oidc | None
) -> list[Authenticator]:
    """Build the authenticators without users: token, then Basic, and without Basic the provider (api-behaviour 2.1)."""
    authenticators: list[Authenticator] = []
    if static is not None:
        authenticators.append(static)
    if _has_basic(settings):
        authenticators.append(BasicAuthenticator(settings.auth_basic_username, settings.auth_basic_password))
    elif oidc is not None:
        authenticators.append(OidcAuthenticator(oidc))
    return authenticators


def _chain(settings: Settings, authenticators: list[Authenticator]) -> AuthenticatorChain:
    # With Basic a browser would show its own password prompt over the login page.
    challenge = {_BUILTIN: "Bearer", _OIDC: ""}.get(settings.auth_mode, "Bearer")
    if _has_basic(settings) and settings.auth_mode != _BUILTIN:
        challenge = "Basic"
    return AuthenticatorChain(authenticators, challenge=challenge, asks=requires_authentication(settings))
