"""``dagbook users`` and ``dagbook tokens``: the users of the builtin authentication, and personal API tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from dagbook.auth.roles import Role, Scope, UserScope
from dagbook.cli.client import Api, ask_password, body_of, find_user, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.output import print_table, report

_ROLE = click.Choice([role.value for role in Role])
_SCOPE = click.Choice([scope.value for scope in UserScope])
_UNSCOPED = " (manager: it does not name the scope admin)"
_SCOPE_HELP = "Where the role counts: for all DAGs, or only grants count."


@click.group(cls=CommandGroup, example="dagbook users list")
def users() -> None:
    """Create, change and delete users, through the server if one is running; auth_mode must be builtin."""


@users.command("list", cls=GlobalOptions, example="dagbook users list")
@settings_options("database_url")
@friendly_errors
def list_users() -> None:
    """Print all users with role and id."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/users"))["users"]
        rows = [
            (
                user["username"],
                user["role"]
                + (" (disabled)" if user.get("disabled") else "")
                + (" (only grants count)" if user.get("scope") == UserScope.GRANTED else ""),
                user["createdAt"][:19] + "Z",
                user["id"],
            )
            for user in found
        ]
        print_table(("NAME", "ROLE", "SINCE", "ID"), rows, {"users": found})

    use_api("users", work)


@users.command(cls=GlobalOptions, example="dagbook users add ann --role operator")
@click.argument("name")
@click.option("--role", type=_ROLE, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@click.option("--scope", type=_SCOPE, default=UserScope.ALL.value, show_default=True, help=_SCOPE_HELP)
@settings_options("database_url", "auth_bcrypt_cost")
@friendly_errors
def add(name: str, role: str, scope: str) -> None:
    """Create a user. The password is asked for, or read from standard input."""
    body = {"username": name, "role": role, "password": ask_password()}
    if scope != UserScope.ALL:
        body["scope"] = scope

    async def work(api: Api) -> None:
        created = body_of(await api.client.post("/users", json=body))
        report(f"created user {name} with role {role}", created)

    use_api("users", work)


@users.command(cls=GlobalOptions, example="dagbook users passwd ann")
@click.argument("name")
@settings_options("database_url", "auth_bcrypt_cost")
@friendly_errors
def passwd(name: str) -> None:
    """Set a user's password, asked for or read from standard input; all tokens of the user are revoked."""
    body = {"newPassword": ask_password()}

    async def work(api: Api) -> None:
        user = await find_user(api.client, name)
        body_of(await api.client.post(f"/users/{user['id']}/reset-password", json=body))
        report(f"{name} has a new password; all tokens of {name} are revoked", {"username": name})

    use_api("users", work)


@users.command(cls=GlobalOptions, example="dagbook users role ann manager")
@click.argument("name")
@click.argument("new_role", metavar="ROLE", type=_ROLE)
@settings_options("database_url")
@friendly_errors
def role(name: str, new_role: str) -> None:
    """Change a user's role to viewer, operator, manager or admin."""

    async def work(api: Api) -> None:
        user = await find_user(api.client, name)
        changed = body_of(await api.client.patch(f"/users/{user['id']}", json={"role": new_role}))
        report(f"{name} now has the role {new_role}", changed)

    use_api("users", work)


@users.command(cls=GlobalOptions, example="dagbook users scope ann granted")
@click.argument("name")
@click.argument("new_scope", metavar="SCOPE", type=_SCOPE)
@settings_options("database_url")
@friendly_errors
def scope(name: str, new_scope: str) -> None:
    """Change where a user's role counts: all for all DAGs, granted so that only grants count."""

    async def work(api: Api) -> None:
        user = await find_user(api.client, name)
        changed = body_of(await api.client.patch(f"/users/{user['id']}", json={"scope": new_scope}))
        what = "sees all DAGs in its role" if new_scope == UserScope.ALL else "sees only what is granted"
        report(f"{name} {what}", changed)

    use_api("users", work)


@users.command(cls=GlobalOptions, example="dagbook users disable ann")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def disable(name: str) -> None:
    """Keep a user out: its sessions end, and its password and tokens are refused until it is enabled again."""
    _set_disabled(name, disabled=True)


@users.command(cls=GlobalOptions, example="dagbook users enable ann")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def enable(name: str) -> None:
    """Let a disabled user in again."""
    _set_disabled(name, disabled=False)


def _set_disabled(name: str, *, disabled: bool) -> None:
    async def work(api: Api) -> None:
        user = await find_user(api.client, name)
        changed = body_of(await api.client.patch(f"/users/{user['id']}", json={"disabled": disabled}))
        report(f"{name} is {'disabled' if disabled else 'enabled'}", changed)

    use_api("users", work)


@users.command(cls=GlobalOptions, example="dagbook users remove ann")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def remove(name: str) -> None:
    """Delete a user and all tokens of that user."""

    async def work(api: Api) -> None:
        user = await find_user(api.client, name)
        body_of(await api.client.delete(f"/users/{user['id']}"))
        report(f"deleted user {name}", {"deleted": name})

    use_api("users", work)


@click.group(cls=CommandGroup, example="dagbook tokens list")
def tokens() -> None:
    """Create and revoke personal API tokens, through the server if one is running; auth_mode must be builtin."""


@tokens.command("list", cls=GlobalOptions, example="dagbook tokens list")
@settings_options("database_url")
@friendly_errors
def list_tokens() -> None:
    """Print the tokens of all users, revoked ones too.

    The role of a token from a version in which it did not have to name the scope admin is followed by what it is now.
    """

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/tokens", params={"all": "true"}))["tokens"]
        rows = [
            (
                one["username"],
                one["name"],
                one["role"] + (_UNSCOPED if one["role"] == Role.ADMIN and "scopes" not in one else ""),
                _state(one),
                one.get("lastUsedAt", "never")[:19],
                one["id"],
            )
            for one in found
        ]
        print_table(("USER", "NAME", "ROLE", "STATE", "LAST USE", "ID"), rows, {"tokens": found}, "there are no tokens")

    use_api("users", work)


def _state(token: dict[str, str]) -> str:
    if "revokedAt" in token:
        return "revoked"
    if "expiresAt" not in token:
        return "valid"
    expired = datetime.fromisoformat(token["expiresAt"]) <= datetime.now(UTC)
    return "expired" if expired else f"until {token['expiresAt'][:10]}"


@tokens.command("add", cls=GlobalOptions, example="dagbook tokens add ann ci --role operator --days 90")
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
@settings_options("database_url")
@friendly_errors
def add_token(
    user: str,
    name: str,
    role: str | None,
    days: int | None,
    **limits: tuple[str, ...],
) -> None:
    """Create a token NAME for USER and print it; it cannot be shown again."""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat() if days else None
    body: dict[str, object] = {"username": user, "name": name, "role": role, "expiresAt": expires}
    body |= {kind: list(values) or None for kind, values in limits.items()}

    async def work(api: Api) -> None:
        created = body_of(await api.client.post("/tokens", json=body))
        report(created["token"], created)

    use_api("users", work)


@tokens.command(cls=GlobalOptions, example="dagbook tokens revoke ann ci")
@click.argument("user")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def revoke(user: str, name: str) -> None:
    """Revoke the token NAME of USER."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/tokens", params={"all": "true"}))["tokens"]
        ids = [one["id"] for one in found if (one["username"], one["name"]) == (user, name) and "revokedAt" not in one]
        if not ids:
            raise click.ClickException(f"{user!r} has no token named {name!r}; `dagbook tokens list` shows them")
        body_of(await api.client.delete(f"/tokens/{ids[0]}"))
        report(f"the token {name} of {user} is revoked", {"username": user, "revoked": name})

    use_api("users", work)
