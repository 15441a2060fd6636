"""What the settings make of users, logins and credentials: the parts that belong together, wired."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import msgspec

from app.auth.caller import Caller
from app.auth.passwords import Hasher
from app.auth.roles import Role, Switches
from app.auth.throttle import Throttle, ThrottleLimits
from app.auth.tokens import Signer, validation_error
from app.clock import now
from app.db.database import Database
from app.people.callers import BasicWay, Callers, LocalWay, LoginWay, TokenWay, Way
from app.people.logins import Logins
from app.people.oidc import Client, Oidc, OidcWay, ProviderError
from app.people.refusals import Refusals
from app.people.tokens import PersonalTokens
from app.people.users import Users
from app.settings import Settings, SettingsError

_NONE, _BUILTIN, _OIDC = "none", "builtin", "oidc"
_PROVIDER = ("auth_oidc_issuer", "auth_oidc_client_id", "auth_oidc_client_secret")
CALLBACK = "/oidc-callback"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who people are, and what they may."""

    users: Users
    logins: Logins
    tokens: PersonalTokens
    callers: Callers
    refusals: Refusals
    oidc: Oidc | None
    switches: Switches
    has_users: bool


def make_access(settings: Settings, database: Database, oidc: Oidc | None) -> Access:
    """Wire the parts. ``oidc`` is what ``find_provider`` returned."""
    hasher = Hasher(settings.auth_bcrypt_cost)
    signer = Signer(settings.auth_token_secret, settings.auth_token_ttl_seconds)
    personal, refusals = PersonalTokens(database, now), Refusals(database, now)
    has_users = settings.auth_mode == _BUILTIN
    local = LocalWay(Role.ADMIN if has_users else None)
    ways: list[Way] = [LoginWay(database, signer, personal, now)] if has_users else _fixed_ways(settings, oidc)
    return Access(
        users=Users(database, hasher, now),
        logins=Logins(database, hasher, signer, _throttle(settings), refusals, now),
        tokens=personal,
        callers=_callers(settings, [local, *ways]),
        refusals=refusals,
        oidc=oidc,
        switches=_switches(settings),
        has_users=has_users,
    )


def check_authentication(settings: Settings) -> None:
    """Refuse to start with authentication that could not work or would not hold; raises SettingsError."""
    if settings.auth_mode == _OIDC:
        _require_client(settings)
    wrong = validation_error(settings.auth_token_secret)
    if settings.auth_mode == _BUILTIN and wrong:
        raise SettingsError("auth_token_secret", settings.origins["auth_token_secret"], wrong)


def _require_client(settings: Settings) -> None:
    for name in (*_PROVIDER, "auth_oidc_client_url"):
        if not getattr(settings, name):
            raise SettingsError(name, settings.origins[name], "is missing; auth_mode oidc cannot do without it")


def choose_mode(settings: Settings) -> Settings:
    """Return the settings with ``auth_mode`` oidc where a provider is given and no mode (api-behaviour 2.1)."""
    given = all(getattr(settings, name) for name in _PROVIDER)
    if given and settings.origins["auth_mode"] == "default":
        return msgspec.structs.replace(settings, auth_mode=_OIDC)
    return settings


async def find_provider(settings: Settings) -> Oidc | None:
    """Ask the provider what it is, where there is one; raises SettingsError when it does not say."""
    if settings.auth_mode != _OIDC:
        return None
    client = Client(
        issuer=settings.auth_oidc_issuer,
        id=settings.auth_oidc_client_id,
        secret=settings.auth_oidc_client_secret,
        redirect_uri=f"{settings.auth_oidc_client_url}{CALLBACK}",
        scopes=settings.auth_oidc_scopes,
        whitelist=frozenset(settings.auth_oidc_whitelist),
    )
    try:
        return await Oidc.discover(client)
    except ProviderError as error:
        raise SettingsError("auth_oidc_issuer", settings.origins["auth_oidc_issuer"], error.message) from error


def find_warnings(settings: Settings) -> Iterator[str]:
    """Name what was set and does not count, or counts though it was not said."""
    if settings.auth_mode == _OIDC and settings.origins["auth_mode"] == "default":
        yield "auth_mode is oidc, for a provider is given; set auth_mode to say so"
    if settings.auth_mode == _OIDC and _has_basic(settings):
        yield "nobody can log in at the provider while auth_basic_username and auth_basic_password count"
    if settings.auth_mode == _BUILTIN and (settings.auth_token or _has_basic(settings)):
        yield "auth_token and auth_basic_* do not count while auth_mode is builtin; make personal tokens instead"
    if settings.auth_mode != _BUILTIN and bool(settings.auth_basic_username) != bool(settings.auth_basic_password):
        yield "auth_basic_username and auth_basic_password count only together"


def asks_who_calls(settings: Settings) -> bool:
    """Whether there is authentication at all."""
    return settings.auth_mode != _NONE or bool(settings.auth_token) or _has_basic(settings)


def for_commands(settings: Settings) -> Settings:
    """Return the same settings for a process that only commands can reach: they may do everything, none logs in."""
    return msgspec.structs.replace(settings, auth_mode=_BUILTIN, auth_token_secret=secrets.token_urlsafe())


def _has_basic(settings: Settings) -> bool:
    return bool(settings.auth_basic_username and settings.auth_basic_password)


def _throttle(settings: Settings) -> Throttle:
    limits = ThrottleLimits(
        failures=settings.auth_login_failures,
        window_seconds=settings.auth_login_window_seconds,
        per_minute=settings.auth_logins_per_minute,
    )
    return Throttle(limits, time.monotonic)


def _switches(settings: Settings) -> Switches:
    return Switches(
        write_dags=settings.permissions_write_dags,
        run_dags=settings.permissions_run_dags,
        inline_runs_need_write=settings.inline_runs_need_write,
        metrics_public=settings.metrics == "public",
    )


def _fixed_ways(settings: Settings, oidc: Oidc | None) -> list[Way]:
    """Make the ways without users: token, then pair, and where there is a pair no provider (api-behaviour 2.1)."""
    ways: list[Way] = []
    if settings.auth_token:
        ways.append(TokenWay(settings.auth_token, Caller(via="token", name="api-token")))
    if _has_basic(settings):
        ways.append(BasicWay(settings.auth_basic_username, settings.auth_basic_password))
    elif oidc is not None:
        ways.append(OidcWay(oidc))
    return ways


def _callers(settings: Settings, ways: list[Way]) -> Callers:
    # With users a browser would ask for a name and password over the login page.
    challenge = {_BUILTIN: "Bearer", _OIDC: ""}.get(settings.auth_mode, "Bearer")
    if _has_basic(settings) and settings.auth_mode != _BUILTIN:
        challenge = "Basic"
    return Callers(ways, challenge=challenge, asks=asks_who_calls(settings))
