"""``dagbook tokens``: personal API tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import httpx

from dagbook.auth.roles import Role
from dagbook.cli.client import body_of
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.people import print_table, use_people_api


@click.group(cls=CommandGroup)
def tokens() -> None:
    """Create and revoke personal API tokens, through the server if one is running; auth_mode must be builtin."""


@tokens.command("list", cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def list_tokens() -> None:
    """Print the tokens of all users, revoked ones too."""

    async def work(client: httpx.AsyncClient) -> None:
        found = body_of(await client.get("/tokens", params={"all": "true"}))["tokens"]
        rows = [
            (one["username"], one["name"], one["role"], _state(one), one.get("lastUsedAt", "never")[:19], one["id"])
            for one in found
        ]
        print_table(("USER", "NAME", "ROLE", "STATE", "LAST USE", "ID"), rows)

    use_people_api(work)


def _state(token: dict[str, str]) -> str:
    if "revokedAt" in token:
        return "revoked"
    if "expiresAt" not in token:
        return "valid"
    expired = datetime.fromisoformat(token["expiresAt"]) <= datetime.now(UTC)
    return "expired" if expired else f"until {token['expiresAt'][:10]}"


@tokens.command(cls=GlobalOptions)
@click.argument("user")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=None,
    help="What the token may do; the user's by default.",
)
@click.option(
    "--days", type=click.IntRange(1, 36500), default=None, help="Days until the token expires; never by default."
)
@settings_options("database_url")
@friendly_errors
def add(user: str, name: str, role: str | None, days: int | None) -> None:
    """Create a token NAME for USER and print it; it cannot be shown again."""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat() if days else None
    body = {"username": user, "name": name, "role": role, "expiresAt": expires}

    async def work(client: httpx.AsyncClient) -> None:
        click.echo(body_of(await client.post("/tokens", json=body))["token"])

    use_people_api(work)


@tokens.command(cls=GlobalOptions)
@click.argument("user")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def revoke(user: str, name: str) -> None:
    """Revoke the token NAME of USER."""

    async def work(client: httpx.AsyncClient) -> None:
        found = body_of(await client.get("/tokens", params={"all": "true"}))["tokens"]
        ids = [one["id"] for one in found if (one["username"], one["name"]) == (user, name) and "revokedAt" not in one]
        if not ids:
            raise click.ClickException(f"{user!r} has no token named {name!r}; `dagbook tokens list` shows them")
        body_of(await client.delete(f"/tokens/{ids[0]}"))
        click.echo(f"the token {name} of {user} is revoked")

    use_people_api(work)
