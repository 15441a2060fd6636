"""``dagbook groups``, ``dagbook grants`` and ``dagbook access``: rights of users for single DAGs."""

from __future__ import annotations

import click

from dagbook.api.schemas.people import DAGAccess, Grant, GrantedDAG, Grants, Group, GroupMembers, Groups, UserAccess
from dagbook.auth.roles import GRANTABLE, UserScope
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import CommandGroup
from dagbook.cli.output import print_table, report
from dagbook.cli.people.users import find_user

_ROLE = click.Choice([role.value for role in GRANTABLE])
_PAGE = 1000
_users = click.argument("users", metavar="USER...", nargs=-1, required=True)


@click.group(cls=CommandGroup, example="dagbook groups list")
def groups() -> None:
    """Create and change groups of users, through the server if one is running; auth_mode must be builtin."""


@groups.command("list", example="dagbook groups list")
@with_api()
async def list_groups(api: Api) -> None:
    """Print all groups with their claims and the number of their members."""
    found = await api.get("/groups", Groups)
    rows = [(group.name, group.claim or "-", str(group.members), group.id) for group in found.groups]
    print_table(
        ("NAME", "CLAIM", "MEMBERS", "ID"), rows, found, "there are no groups; `dagbook groups add NAME` adds one"
    )


@groups.command("show", example="dagbook groups show night-shift")
@click.argument("name")
@with_api()
async def show_group(api: Api, name: str) -> None:
    """Print the members of a group."""
    group = await _find_group(api, name)
    members = (await api.get(f"/groups/{group.id}", GroupMembers)).members
    rows = [(member.username, "claim" if member.by_claim else "hand") for member in members]
    print_table(("MEMBER", "BY"), rows, {"members": members}, f"the group {name} has no members")


@groups.command("add", example="dagbook groups add night-shift --claim groups=night")
@click.argument("name")
@click.option("--claim", default="", metavar="CLAIM=VALUE", help="Accounts of the provider that are its members.")
@with_api()
async def add_group(api: Api, name: str, claim: str) -> None:
    """Create a group."""
    report(f"created group {name}", await api.post("/groups", Group, {"name": name, "claim": claim}))


@groups.command("remove", example="dagbook groups remove night-shift")
@click.argument("name")
@with_api()
async def remove_group(api: Api, name: str) -> None:
    """Delete a group with its grants."""
    group = await _find_group(api, name)
    await api.act("DELETE", f"/groups/{group.id}")
    report(f"deleted group {name} and its grants", {"deleted": name})


@groups.command("join", example="dagbook groups join night-shift ann bob")
@click.argument("name")
@_users
@with_api()
async def join(api: Api, name: str, users: tuple[str, ...]) -> None:
    """Make users members of a group."""
    group = await _find_group(api, name)
    for username in users:
        user = await find_user(api, username)
        await api.act("PUT", f"/groups/{group.id}/members/{user.id}")
        report(f"{username} is a member of {name}", {"group": name, "joined": username})


@groups.command("leave", example="dagbook groups leave night-shift bob")
@click.argument("name")
@_users
@with_api()
async def leave(api: Api, name: str, users: tuple[str, ...]) -> None:
    """Remove users from a group."""
    group = await _find_group(api, name)
    for username in users:
        user = await find_user(api, username)
        await api.act("DELETE", f"/groups/{group.id}/members/{user.id}")
        report(f"{username} is not a member of {name}", {"group": name, "left": username})


async def _find_group(api: Api, name: str) -> Group:
    for group in (await api.get("/groups", Groups)).groups:
        if group.name == name:
            return group
    raise click.ClickException(f"there is no group named {name!r}; `dagbook groups list` shows them")


@click.group(cls=CommandGroup, example="dagbook grants list")
def grants() -> None:
    """Grant users and groups roles for single DAGs, through the server if one is running; auth_mode must be builtin."""


@grants.command("list", example="dagbook grants list --json")
@with_api()
async def list_grants(api: Api) -> None:
    """Print all grants."""
    found = await api.get("/grants", Grants)
    rows = [(*_row(grant), grant.created_at[:10], grant.id) for grant in found.grants]
    none = "there are no grants; `dagbook grants add` adds one"
    print_table(("TO", "ROLE", "DAGS", "SINCE", "ID"), rows, found, none)


def _row(grant: Grant) -> tuple[str, str, str]:
    subject = f"user {grant.username}" if grant.username else f"group {grant.group_name}"
    return subject, grant.role, grant.pattern or f"tag {grant.tag}"


@grants.command("add", example="dagbook grants add operator --group night-shift --dags 'etl-*'")
@click.argument("role", type=_ROLE)
@click.option("--user", metavar="NAME", help="The user who gets the role.")
@click.option("--group", "group_name", metavar="NAME", help="The group that gets the role.")
@click.option("--dags", metavar="PATTERN", help="Names of the DAGs, such as 'etl-*'.")
@click.option("--tag", metavar="TAG", help="Tag of the DAGs.")
@with_api()
async def add_grant(
    api: Api, role: str, user: str | None, group_name: str | None, dags: str | None, tag: str | None
) -> None:
    """Grant a user or a group the ROLE viewer, operator or manager for DAGs by name or tag."""
    if (user is None) == (group_name is None):
        raise click.UsageError("give --user NAME or --group NAME")
    if (dags is None) == (tag is None):
        raise click.UsageError("give --dags PATTERN or --tag TAG")
    body = {"role": role, "pattern": dags or "", "tag": tag or ""}
    if user is not None:
        body["userId"] = (await find_user(api, user)).id
    else:
        body["groupId"] = (await _find_group(api, group_name or "")).id
    grant = await api.post("/grants", Grant, body)
    report("granted: " + ", ".join(_row(grant)), grant)


@grants.command("remove", example="dagbook grants remove 3f2b8c1e-2a7d-4d0a-9a51-0c8e4f6d7b21")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@with_api()
async def remove_grants(api: Api, ids: tuple[str, ...]) -> None:
    """Delete the grants with these IDs, as `dagbook grants list` prints them."""
    for grant_id in ids:
        await api.act("DELETE", f"/grants/{grant_id}")
        report(f"grant {grant_id} is deleted", {"deleted": grant_id})


@click.group(cls=CommandGroup, example="dagbook access user ann")
def access() -> None:
    """Show what a user sees, and who may do what with a DAG; auth_mode must be builtin."""


@access.command("user", example="dagbook access user ann")
@click.argument("name")
@with_api()
async def access_of_user(api: Api, name: str) -> None:
    """Print the DAGs that a user sees, with the role there."""
    user = await find_user(api, name)
    if user.scope is not UserScope.GRANTED:
        report(f"{name} sees all DAGs, as {user.role}", {"scope": "all", "role": user.role})
        return
    dags: list[GrantedDAG] = []
    more, page = True, 1
    while more:
        found = await api.get(f"/users/{user.id}/access", UserAccess, {"page": page, "perPage": _PAGE})
        dags += found.dags
        more, page = found.more, page + 1
    none = f"{name} sees no DAG; `dagbook grants add` grants some"
    print_table(("DAG", "ROLE"), [(dag.name, dag.role) for dag in dags], {"scope": "granted", "dags": dags}, none)


@access.command("dag", example="dagbook access dag etl")
@click.argument("name")
@with_api()
async def access_of_dag(api: Api, name: str) -> None:
    """Print who may do what with a stored DAG."""
    found = await api.get(f"/dags/{name}/access", DAGAccess)
    everywhere = [(f"user {user.username}", user.role, "all") for user in found.everywhere]
    print_table(("WHO", "ROLE", "BY"), [*everywhere, *map(_row, found.grants)], found)
