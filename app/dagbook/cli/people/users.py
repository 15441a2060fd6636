"""``dagbook users``, ``tokens`` and ``sessions``: users of the builtin authentication, their tokens and logins."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

import click
from msgspec import UNSET

from dagbook.api.schemas.people import (
    CreatedToken,
    EndedSessions,
    Sessions,
    Token,
    Tokens,
    User,
    UserResponse,
    UsersListResponse,
)
from dagbook.auth.roles import Role, Scope, UserScope
from dagbook.cli.api import Api, decode, with_api
from dagbook.cli.commands import CommandGroup
from dagbook.cli.output import print_table, report

_ROLE = click.Choice([role.value for role in Role])
_SCOPE = click.Choice([scope.value for scope in UserScope])
_UNSCOPED = " (manager: it does not name the scope admin)"
_SCOPE_HELP = "Where the role counts: for all DAGs, or only grants count."
_PASSWORD_SETTINGS = ("database_url", "auth_bcrypt_cost")


@click.group(cls=CommandGroup, example="dagbook users list")
def users() -> None:
    """Create, change and delete users, through the server if one is running; auth_mode must be builtin."""


@users.command("list", example="dagbook users list")
@with_api()
async def list_users(api: Api) -> None:
    """Print all users with role and id."""
    found = await api.get("/users", UsersListResponse)
    rows = []
    for user in found.users:
        limits = " (disabled)" if user.disabled else ""
        limits += " (only grants count)" if user.scope is UserScope.GRANTED else ""
        rows.append((user.username, user.role + limits, _instant(user.created_at), user.id))
    print_table(("NAME", "ROLE", "SINCE", "ID"), rows, found)


def _instant(text: str) -> str:
    return text[:19] + "Z"


@users.command(example="dagbook users add ann --role operator")
@click.argument("name")
@click.option("--role", type=_ROLE, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@click.option("--scope", type=_SCOPE, default=UserScope.ALL.value, show_default=True, help=_SCOPE_HELP)
@with_api(*_PASSWORD_SETTINGS)
def add(api: Api, name: str, role: str, scope: str) -> Awaitable[None]:
    """Create a user. The password is asked for, or read from standard input."""
    body = {"username": name, "role": role, "password": _ask_password()}
    if scope != UserScope.ALL:
        body["scope"] = scope

    async def work() -> None:
        report(f"created user {name} with role {role}", await api.post("/users", UserResponse, body))

    return work()


@users.command(example="dagbook users passwd ann")
@click.argument("name")
@with_api(*_PASSWORD_SETTINGS)
def passwd(api: Api, name: str) -> Awaitable[None]:
    """Set a user's password, asked for or read from standard input; all tokens of the user are revoked."""
    body = {"newPassword": _ask_password()}

    async def work() -> None:
        user = await find_user(api, name)
        await api.act("POST", f"/users/{user.id}/reset-password", body)
        report(f"{name} has a new password; all tokens of {name} are revoked", {"username": name})

    return work()


def _ask_password() -> str:
    """Prompt twice in a terminal; otherwise read one line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")


@users.command(example="dagbook users role ann manager")
@click.argument("name")
@click.argument("new_role", metavar="ROLE", type=_ROLE)
@with_api()
async def role(api: Api, name: str, new_role: str) -> None:
    """Change a user's role to viewer, operator, manager or admin."""
    report(f"{name} now has the role {new_role}", await _change(api, name, {"role": new_role}))


@users.command(example="dagbook users scope ann granted")
@click.argument("name")
@click.argument("new_scope", metavar="SCOPE", type=_SCOPE)
@with_api()
async def scope(api: Api, name: str, new_scope: str) -> None:
    """Change where a user's role counts: all for all DAGs, granted so that only grants count."""
    changed = await _change(api, name, {"scope": new_scope})
    what = "sees all DAGs in its role" if new_scope == UserScope.ALL else "sees only what is granted"
    report(f"{name} {what}", changed)


@users.command(example="dagbook users disable ann")
@click.argument("name")
@with_api()
async def disable(api: Api, name: str) -> None:
    """Keep a user out: its sessions end, and its password and tokens are refused until it is enabled again."""
    report(f"{name} is disabled", await _change(api, name, {"disabled": True}))


@users.command(example="dagbook users enable ann")
@click.argument("name")
@with_api()
async def enable(api: Api, name: str) -> None:
    """Let a disabled user in again."""
    report(f"{name} is enabled", await _change(api, name, {"disabled": False}))


async def _change(api: Api, name: str, body: dict[str, object]) -> UserResponse:
    user = await find_user(api, name)
    return await api.patch(f"/users/{user.id}", UserResponse, body)


@users.command(example="dagbook users remove ann")
@click.argument("name")
@with_api()
async def remove(api: Api, name: str) -> None:
    """Delete a user and all tokens of that user."""
    user = await find_user(api, name)
    await api.act("DELETE", f"/users/{user.id}")
    report(f"deleted user {name}", {"deleted": name})


async def find_user(api: Api, name: str) -> User:
    """Return a user by name; raises ClickException when there is none."""
    for user in (await api.get("/users", UsersListResponse)).users:
        if user.username == name:
            return user
    raise click.ClickException(f"there is no user named {name!r}; `dagbook users list` shows them")


@click.group(cls=CommandGroup, example="dagbook tokens list")
def tokens() -> None:
    """Create and revoke personal API tokens, through the server if one is running; auth_mode must be builtin."""


@tokens.command("list", example="dagbook tokens list")
@with_api()
async def list_tokens(api: Api) -> None:
    """Print the tokens of all users, revoked ones too.

    The role of a token from a version in which it did not have to name the scope admin is followed by what it is now.
    """
    found = await api.get("/tokens", Tokens, {"all": "true"})
    rows = []
    for one in found.tokens:
        role = one.role + (_UNSCOPED if one.role is Role.ADMIN and one.scopes is UNSET else "")
        rows.append((one.username, one.name, role, _state(one), (one.last_used_at or "never")[:19], one.id))
    print_table(("USER", "NAME", "ROLE", "STATE", "LAST USE", "ID"), rows, found, "there are no tokens")


def _state(token: Token) -> str:
    if token.revoked_at:
        return "revoked"
    if not token.expires_at:
        return "valid"
    expired = datetime.fromisoformat(token.expires_at) <= datetime.now(UTC)
    return "expired" if expired else f"until {token.expires_at[:10]}"


@tokens.command("add", example="dagbook tokens add ann ci --role operator --days 90")
@click.argument("user")
@click.argument("name")
@click.option(
    "--role",
    type=_ROLE,
    default=None,
    help="What the token may do; the user's by default, without the scope admin manager at most.",
)
@click.option(
    "--days", type=click.IntRange(1, 36500), default=None, help="Days until the token expires; never by default."
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    help="What the token may do; may be repeated. All but admin by default.",
)
@click.option(
    "--address",
    "addresses",
    metavar="NETWORK",
    multiple=True,
    help="Address or network from which the token is accepted; may be repeated. Any by default.",
)
@click.option(
    "--dags",
    metavar="PATTERN",
    multiple=True,
    help="Pattern of the names of the DAGs that it may see, such as 'etl-*'; may be repeated. All by default.",
)
@with_api()
async def add_token(
    api: Api, /, user: str, name: str, role: str | None, days: int | None, **limits: tuple[str, ...]
) -> None:
    """Create a token NAME for USER and print it; it cannot be shown again."""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat() if days else None
    body: dict[str, object] = {"username": user, "name": name, "role": role, "expiresAt": expires}
    body |= {kind: list(values) or None for kind, values in limits.items()}
    created = await api.post("/tokens", CreatedToken, body)
    report(created.token, created)


@tokens.command(example="dagbook tokens revoke ann ci")
@click.argument("user")
@click.argument("name")
@with_api()
async def revoke(api: Api, user: str, name: str) -> None:
    """Revoke the token NAME of USER."""
    found = (await api.get("/tokens", Tokens, {"all": "true"})).tokens
    ids = [one.id for one in found if (one.username, one.name) == (user, name) and not one.revoked_at]
    if not ids:
        raise click.ClickException(f"{user!r} has no token named {name!r}; `dagbook tokens list` shows them")
    await api.act("DELETE", f"/tokens/{ids[0]}")
    report(f"the token {name} of {user} is revoked", {"username": user, "revoked": name})


@click.group(cls=CommandGroup, example="dagbook sessions list")
def sessions() -> None:
    """List and end the logins of users, through the server if one is running; auth_mode must be builtin."""


@sessions.command("list", example="dagbook sessions list")
@with_api()
async def list_sessions(api: Api) -> None:
    """Print the open sessions of all users, the last used first, at most 1000."""
    found = await api.get("/sessions", Sessions, {"all": "true"})
    rows = []
    for one in found.sessions:
        kind, since, last_use = (
            "browser" if one.browser else "token",
            _instant(one.created_at),
            _instant(one.last_used_at),
        )
        rows.append((one.username, kind, one.address, since, last_use, one.agent, one.id))
    print_table(("USER", "KIND", "ADDRESS", "SINCE", "LAST USE", "PROGRAM", "ID"), rows, found)


@sessions.command("end", example="dagbook sessions end --user ann")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--user", metavar="NAME", help="End all sessions of this user.")
@with_api()
async def end_sessions(api: Api, ids: tuple[str, ...], user: str | None) -> None:
    """End the sessions with these IDs, or all of a user: they have to log in again. Personal tokens stay valid."""
    if bool(ids) == (user is not None):
        raise click.UsageError("give the ids of sessions, as `dagbook sessions list` prints them, or --user NAME")
    for session_id in ids:
        await api.act("DELETE", f"/sessions/{session_id}")
        report(f"session {session_id} is ended", {"ended": session_id})
    if user is not None:
        answer = await api.send("DELETE", "/sessions", query={"username": user})
        ended = decode(answer, EndedSessions).ended
        report(f"{ended} session{'s' if ended != 1 else ''} of {user} ended", {"username": user, "ended": ended})
