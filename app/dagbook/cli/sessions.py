"""``dagbook sessions``: the logins of users."""

from __future__ import annotations

import click

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.output import print_table, report


@click.group(cls=CommandGroup, example="dagbook sessions list")
def sessions() -> None:
    """List and end the logins of users, through the server if one is running; auth_mode must be builtin."""


@sessions.command("list", cls=GlobalOptions, example="dagbook sessions list")
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
                session["agent"],
                session["id"],
            )
            for session in found
        ]
        print_table(("USER", "KIND", "ADDRESS", "SINCE", "LAST USE", "PROGRAM", "ID"), rows, {"sessions": found})

    use_api("sessions", work)


@sessions.command("end", cls=GlobalOptions, example="dagbook sessions end --user ann")
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
            report(f"session {session_id} is ended", {"ended": session_id})
        if user is not None:
            ended = body_of(await api.client.delete("/sessions", params={"username": user}))["ended"]
            report(f"{ended} session{'s' if ended != 1 else ''} of {user} ended", {"username": user, "ended": ended})

    use_api("sessions", work)
