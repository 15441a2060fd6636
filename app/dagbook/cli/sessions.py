"""``dagbook sessions``: the logins of users."""

from __future__ import annotations

import click

from dagbook.cli.client import Api, body_of, print_table, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.terminal import echo

_AGENT_WIDTH = 40  # characters of a table


@click.group(cls=CommandGroup)
def sessions() -> None:
    """List and end the logins of users, through the server if one is running; auth_mode must be builtin."""


@sessions.command("list", cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def list_sessions() -> None:
    """Print the open sessions of all users, the last used first, at most 1000."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/sessions", params={"all": "true"}))["sessions"]
        rows = [
            (
                session["username"],
                "browser" if session["browser"] else "token",
                session["address"],
                *(session[name][:19] + "Z" for name in ("createdAt", "lastUsedAt")),
                session["agent"][:_AGENT_WIDTH],
                session["id"],
            )
            for session in found
        ]
        print_table(("USER", "KIND", "ADDRESS", "SINCE", "LAST USE", "PROGRAM", "ID"), rows)

    use_api("sessions", work)


@sessions.command("end", cls=GlobalOptions)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--user", metavar="NAME", help="End all sessions of this user.")
@settings_options("database_url")
@friendly_errors
def end_sessions(ids: tuple[str, ...], user: str | None) -> None:
    """End the sessions with these IDs, or all of a user: they have to log in again. Personal tokens stay valid."""
    if bool(ids) == (user is not None):
        raise click.UsageError("give the ids of sessions, as `dagbook sessions list` prints them, or --user NAME")

    async def work(api: Api) -> None:
        for session_id in ids:
            body_of(await api.client.delete(f"/sessions/{session_id}"))
            echo(f"session {session_id} is ended")
        if user is not None:
            ended = body_of(await api.client.delete("/sessions", params={"username": user}))["ended"]
            echo(f"{ended} session{'s' if ended != 1 else ''} of {user} ended")

    use_api("sessions", work)
