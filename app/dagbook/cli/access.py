"""``dagbook groups``, ``dagbook grants`` and ``dagbook access``: rights of users for single DAGs."""

from __future__ import annotations

from typing import Any

import click
import httpx

from dagbook.auth.roles import GRANTABLE, UserScope
from dagbook.cli.client import Api, body_of, find_user, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.output import print_table, report

_ROLE = click.Choice([role.value for role in GRANTABLE])
_PAGE = 1000


@click.group(cls=CommandGroup, example="dagbook groups list")
def groups() -> None:
    """Create and change groups of users, through the server if one is running; auth_mode must be builtin."""


@groups.command("list", cls=GlobalOptions, example="dagbook groups list")
@settings_options("database_url")
@friendly_errors
def list_groups() -> None:
    """Print all groups with their claims and the number of their members."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/groups"))["groups"]
        rows = [(group["name"], group["claim"] or "-", str(group["members"]), group["id"]) for group in found]
        none = "there are no groups; `dagbook groups add NAME` adds one"
        print_table(("NAME", "CLAIM", "MEMBERS", "ID"), rows, {"groups": found}, none)

    use_api("groups", work)


@groups.command("show", cls=GlobalOptions, example="dagbook groups show night-shift")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def show_group(name: str) -> None:
    """Print the members of a group."""

    async def work(api: Api) -> None:
        group = await _find_group(api.client, name)
        members = body_of(await api.client.get(f"/groups/{group['id']}"))["members"]
        rows = [(member["username"], "claim" if member["byClaim"] else "hand") for member in members]
        print_table(("MEMBER", "BY"), rows, {"members": members}, f"the group {name} has no members")

    use_api("groups", work)


@groups.command("add", cls=GlobalOptions, example="dagbook groups add night-shift --claim groups=night")
@click.argument("name")
@click.option("--claim", default="", metavar="CLAIM=VALUE", help="Accounts of the provider that are its members.")
@settings_options("database_url")
@friendly_errors
def add_group(name: str, claim: str) -> None:
    """Create a group."""

    async def work(api: Api) -> None:
        created = body_of(await api.client.post("/groups", json={"name": name, "claim": claim}))
        report(f"created group {name}", created)

    use_api("groups", work)


@groups.command("remove", cls=GlobalOptions, example="dagbook groups remove night-shift")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def remove_group(name: str) -> None:
    """Delete a group with its grants."""

    async def work(api: Api) -> None:
        group = await _find_group(api.client, name)
        body_of(await api.client.delete(f"/groups/{group['id']}"))
        report(f"deleted group {name} and its grants", {"deleted": name})

    use_api("groups", work)


@groups.command("join", cls=GlobalOptions, example="dagbook groups join night-shift ann bob")
@click.argument("name")
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@settings_options("database_url")
@friendly_errors
def join(name: str, users: tuple[str, ...]) -> None:
    """Make users members of a group."""

    async def work(api: Api) -> None:
        group = await _find_group(api.client, name)
        for username in users:
            user = await find_user(api.client, username)
            body_of(await api.client.put(f"/groups/{group['id']}/members/{user['id']}"))
            report(f"{username} is a member of {name}", {"group": name, "joined": username})

    use_api("groups", work)


@groups.command("leave", cls=GlobalOptions, example="dagbook groups leave night-shift bob")
@click.argument("name")
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@settings_options("database_url")
@friendly_errors
def leave(name: str, users: tuple[str, ...]) -> None:
    """Remove users from a group."""

    async def work(api: Api) -> None:
        group = await _find_group(api.client, name)
        for username in users:
            user = await find_user(api.client, username)
            body_of(await api.client.delete(f"/groups/{group['id']}/members/{user['id']}"))
            report(f"{username} is not a member of {name}", {"group": name, "left": username})

    use_api("groups", work)


async def _find_group(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    for group in body_of(await client.get("/groups"))["groups"]:
        if group["name"] == name:
            found: dict[str, Any] = group
            return found
    raise click.ClickException(f"there is no group named {name!r}; `dagbook groups list` shows them")


@click.group(cls=CommandGroup, example="dagbook grants list")
def grants() -> None:
    """Grant users and groups roles for single DAGs, through the server if one is running; auth_mode must be builtin."""


@grants.command("list", cls=GlobalOptions, example="dagbook grants list --json")
@settings_options("database_url")
@friendly_errors
def list_grants() -> None:
    """Print all grants."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/grants"))["grants"]
        rows = [(*_row(grant), grant["id"]) for grant in found]
        none = "there are no grants; `dagbook grants add` adds one"
        print_table(("TO", "ROLE", "DAGS", "SINCE", "ID"), rows, {"grants": found}, none)

    use_api("grants", work)


def _row(grant: dict[str, Any]) -> tuple[str, str, str, str]:
    subject = f"user {grant['username']}" if "username" in grant else f"group {grant['groupName']}"
    dags = grant["pattern"] if "pattern" in grant else f"tag {grant['tag']}"
    return subject, grant["role"], dags, grant["createdAt"][:10]


@grants.command("add", cls=GlobalOptions, example="dagbook grants add operator --group night-shift --dags 'etl-*'")
@click.argument("role", type=_ROLE)
@click.option("--user", metavar="NAME", help="The user who gets the role.")
@click.option("--group", "group_name", metavar="NAME", help="The group that gets the role.")
@click.option("--dags", metavar="PATTERN", help="Names of the DAGs, such as 'etl-*'.")
@click.option("--tag", metavar="TAG", help="Tag of the DAGs.")
@settings_options("database_url")
@friendly_errors
def add_grant(role: str, user: str | None, group_name: str | None, dags: str | None, tag: str | None) -> None:
    """Grant a user or a group the ROLE viewer, operator or manager for DAGs by name or tag."""
    if (user is None) == (group_name is None):
        raise click.UsageError("give --user NAME or --group NAME")
    if (dags is None) == (tag is None):
        raise click.UsageError("give --dags PATTERN or --tag TAG")

    async def work(api: Api) -> None:
        body = {"role": role, "pattern": dags or "", "tag": tag or ""}
        if user is not None:
            body["userId"] = (await find_user(api.client, user))["id"]
        else:
            body["groupId"] = (await _find_group(api.client, group_name or ""))["id"]
        grant = body_of(await api.client.post("/grants", json=body))
        report("granted: " + ", ".join(_row(grant)[:3]), grant)

    use_api("grants", work)


@grants.command("remove", cls=GlobalOptions, example="dagbook grants remove 3f2b8c1e-2a7d-4d0a-9a51-0c8e4f6d7b21")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@settings_options("database_url")
@friendly_errors
def remove_grants(ids: tuple[str, ...]) -> None:
    """Delete the grants with these IDs, as `dagbook grants list` prints them."""

    async def work(api: Api) -> None:
        for grant_id in ids:
            body_of(await api.client.delete(f"/grants/{grant_id}"))
            report(f"grant {grant_id} is deleted", {"deleted": grant_id})

    use_api("grants", work)


@click.group(cls=CommandGroup, example="dagbook access user ann")
def access() -> None:
    """Show what a user sees, and who may do what with a DAG; auth_mode must be builtin."""


@access.command("user", cls=GlobalOptions, example="dagbook access user ann")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def access_of_user(name: str) -> None:
    """Print the DAGs that a user sees, with the role there."""

    async def work(api: Api) -> None:
        user = await find_user(api.client, name)
        if user.get("scope", UserScope.ALL) == UserScope.ALL:
            report(f"{name} sees all DAGs, as {user['role']}", {"scope": "all", "role": user["role"]})
            return
        dags: list[dict[str, Any]] = []
        more, page = True, 1
        while more:
            params = {"page": page, "perPage": _PAGE}
            found = body_of(await api.client.get(f"/users/{user['id']}/access", params=params))
            dags += found["dags"]
            more, page = found["more"], page + 1
        rows = [(dag["name"], dag["role"]) for dag in dags]
        none = f"{name} sees no DAG; `dagbook grants add` grants some"
        print_table(("DAG", "ROLE"), rows, {"scope": "granted", "dags": dags}, none)

    use_api("access", work)


@access.command("dag", cls=GlobalOptions, example="dagbook access dag etl")
@click.argument("name")
@settings_options("database_url")
@friendly_errors
def access_of_dag(name: str) -> None:
    """Print who may do what with a stored DAG."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get(f"/dags/{name}/access"))
        everywhere = [(f"user {user['username']}", user["role"], "all") for user in found["everywhere"]]
        rows = [*everywhere, *(_row(grant)[:3] for grant in found["grants"])]
        print_table(("WHO", "ROLE", "BY"), rows, found)

    use_api("access", work)
