"""``dagbook users``: the users of the builtin authentication."""

from __future__ import annotations

import click
import httpx

from dagbook.auth.roles import Role
from dagbook.cli.client import body_of
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.people import ask_password, find_user, print_table, use_people_api

_ROLE = click.Choice([role.value for role in Role])


@click.group(cls=CommandGroup)
def users() -> None:
    """Create, change and delete users, through the server if one is running; auth_mode must be builtin."""


@users.command("list", cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def list_users() -> None:
    """Print all users with role and id."""

    async def work(client: httpx.AsyncClient) -> None:
        found = body_of(await client.get("/users"))["users"]
        rows = [(user["username"], user["role"], user["createdAt"][:19] + "Z", user["id"]) for user in found]
        print_table(("NAME", "ROLE", "SINCE", "ID"), rows)

    use_people_api(work)


@users.command(cls=GlobalOptions)
@click.argument("name")
@click.option("--role", type=_ROLE, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@settings_options("database_url", "auth_bcrypt_cost")
@friendly_errors
def add(name: str, role: str) -> None:
    """Create a user. The password is asked for, or read from standard input."""
    body = {"username": name, "role": role, "password": ask_password()}

    async def work(client: httpx.AsyncClient) -> None:
        body_of(await client.post("/users", json=body))
        click.echo(f"created user {name} with role {role}")

    use_people_api(work)


@users.command(cls=GlobalOptions)
@click.argument("name")
@settings_options("database_url", "auth_bcrypt_cost")
@friendly_errors
def passwd(name: str) -> None:
    """Set a user's password, asked for or read from standard input; all tokens of the user are revoked."""
    body = {"newPassword": ask_password()}

    async def work(client: httpx.AsyncClient) -> None:
        user = await find_user(client, name)
        body_of(await client.post(f"/users/{user['id']}/reset-password", json=body))
        click.echo(f"{name} has a new password; all tokens of {name} are revoked")

    use_people_api(work)


@users.command(cls=GlobalOptions)
@click.argument("name")
@click.argument("new_role", metavar="ROLE", type=_ROLE)
@settings_options("database_url")
@friendly_errors
def role(name: str, new_role: str) -> None:
    """Change a user's role to viewer, operator, manager or admin."""

    async def work(client: httpx.AsyncClient) -> None:
        user = await find_user(client, name)
        body_of(await client.patch(f"/users/{user['id']}", json={"role": new_role}))
        click.echo(f"{name} now has the role {new_role}")

    use_people_api(work)


@users.command(cls=GlobalOptions)
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def remove(name: str) -> None:
    """Delete a user and all tokens of that user."""

    async def work(client: httpx.AsyncClient) -> None:
        user = await find_user(client, name)
        body_of(await client.delete(f"/users/{user['id']}"))
        click.echo(f"deleted user {name}")

    use_people_api(work)
