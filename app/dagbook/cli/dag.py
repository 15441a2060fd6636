"""``dagbook dag``: the revisions of a stored DAG, and its settings outside the definition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
import httpx

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.complete import complete_dags
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options, wants_json
from dagbook.cli.output import print_json, print_table, report
from dagbook.cli.terminal import echo, echo_output
from dagbook.definitions.settings import CATCHUPS
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.spec.time.duration import duration_seconds

_number = click.IntRange(min=1)


@click.group(cls=CommandGroup, example="dagbook dag list")
def dag() -> None:
    """List, save and edit stored DAGs, show their revisions, and change their settings.

    Goes through the server if one is running.
    """


@dag.command(cls=GlobalOptions, example="dagbook dag history etl --limit 5")
@click.argument("name", metavar="NAME", shell_complete=complete_dags)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of revisions at most."
)
@settings_options("database_url")
@friendly_errors
def history(*, name: str, limit: int) -> int:
    """Print the revisions of the DAG NAME, newest first: number, time, author and note."""

    async def work(api: Api) -> int:
        found = body_of(await api.client.get(revisions_path(name), params={"perPage": limit}))["revisions"]
        rows: list[tuple[str, ...]] = []
        for revision in found:
            note = " ".join(revision.get("note", "").split())
            redacted = f"redacted by {revision['redactedBy']}" if "redactedBy" in revision else ""
            remarks = "; ".join(part for part in (note, redacted) if part)
            rows.append((str(revision["number"]), revision["savedAt"], revision.get("author", ""), remarks))
        print_table(("NUMBER", "SAVED", "AUTHOR", "NOTE"), rows, {"revisions": found})
        return 0

    return use_api("dag", work)


@dag.command(cls=GlobalOptions, example="dagbook dag show etl 3 > etl.yaml")
@click.argument("name", metavar="NAME", shell_complete=complete_dags)
@click.argument("number", required=False, type=_number, metavar="[NUMBER]")
@settings_options("database_url")
@friendly_errors
def show(*, name: str, number: int | None) -> int:
    """Print the text of revision NUMBER of the DAG NAME as it was saved, by default the newest."""

    async def work(api: Api) -> int:
        chosen = number or await _newest(api.client, name)
        revision = body_of(await api.client.get(f"{revisions_path(name)}/{chosen}"))
        if wants_json():
            print_json(revision)
            return 0
        if "spec" not in revision:
            redacted = f"was redacted at {revision['redactedAt']} by {revision['redactedBy']}"
            raise click.ClickException(f"revision {chosen} {redacted}: its text is deleted")
        echo_output(revision["spec"], nl=False)
        return 0

    return use_api("dag", work)


@dag.command(cls=GlobalOptions, example="dagbook dag diff etl 3 5")
@click.argument("name", metavar="NAME", shell_complete=complete_dags)
@click.argument("old", required=False, type=_number, metavar="[FROM]")
@click.argument("new", required=False, type=_number, metavar="[TO]")
@settings_options("database_url")
@friendly_errors
def diff(*, name: str, old: int | None, new: int | None) -> int:
    """Print the difference between revisions FROM and TO of the DAG NAME.

    TO is by default the newest revision, FROM the one before TO.
    """

    async def work(api: Api) -> int:
        last = new or await _newest(api.client, name)
        first = old or last - 1
        if not first:
            raise click.ClickException(f"the DAG {shorten(name)} has one revision, so there is nothing to compare")
        found = body_of(await api.client.get(f"{revisions_path(name)}/diff", params={"from": first, "to": last}))
        if wants_json():
            print_json(found)
        else:
            echo_output(found["diff"], nl=False)
        return 0

    return use_api("dag", work)


@dag.command(cls=GlobalOptions, example="dagbook dag restore etl 3 --note 'as before the incident'")
@click.argument("name", metavar="NAME", shell_complete=complete_dags)
@click.argument("number", type=_number, metavar="NUMBER")
@click.option("--note", default="", help="Reason, stored with the new revision.")
@settings_options("database_url")
@friendly_errors
def restore(*, name: str, number: int, note: str) -> int:
    """Save the text of revision NUMBER of the DAG NAME again, as the newest revision."""

    async def work(api: Api) -> int:
        answer = body_of(await api.client.post(f"{revisions_path(name)}/{number}/restore", json={"note": note}))
        for problem in answer["errors"]:
            echo(problem, err=True)
        if answer["errors"]:
            return 1
        text = f"the DAG {name} has the text of revision {number} again, as revision {answer['revision']}"
        report(text, answer)
        return 0

    return use_api("dag", work)


@dag.command(cls=GlobalOptions, example="dagbook dag settings etl --catchup latest --catchup-window 6h")
@click.argument("name", metavar="NAME", shell_complete=complete_dags)
@click.option("--catchup", type=click.Choice(CATCHUPS), help="Which missed starts are caught up.")
@click.option("--catchup-window", "window", metavar="TIME", help="Age limit of missed starts, such as 30m or 48h.")
@settings_options("database_url")
@friendly_errors
def settings(*, name: str, catchup: str | None, window: str | None) -> int:
    """Change the given settings of the DAG NAME, and print all of them."""
    path = f"{dag_path(name)}/settings"
    seconds = None if window is None else duration_seconds(window)
    if window is not None and (seconds is None or seconds != int(seconds)):
        raise click.ClickException(f"--catchup-window: {shorten(window)} is not a duration such as 30m, 6h or 48h")
    changed = {"catchup": catchup, "catchupWindowSec": None if seconds is None else int(seconds)}

    async def work(api: Api) -> int:
        found = body_of(await api.client.get(path))
        given = {key: value for key, value in changed.items() if value is not None}
        if given:
            current = {key: found[key] for key in changed}
            found = body_of(await api.client.put(path, json=current | given))
        report(_saved_text(found), found)
        return 0

    return use_api("dag", work)


@dag.command("run-as", cls=GlobalOptions, example="dagbook dag run-as etl etl-user")
@click.argument("name", metavar="NAME", shell_complete=complete_dags)
@click.argument("account", required=False, metavar="[ACCOUNT]")
@click.option("--default", "reset", is_flag=True, help="Take the account away: the setting run_as counts again.")
@settings_options("database_url")
@friendly_errors
def run_as(*, name: str, account: str | None, reset: bool) -> int:
    """Run the commands of the DAG NAME under ACCOUNT, or print its account.

    Admins only. The server has to be allowed to switch users: see Security.
    """
    if reset and account:
        raise click.ClickException("give ACCOUNT or --default, not both")
    path = f"{dag_path(name)}/run-as"

    async def work(api: Api) -> int:
        changed = {"account": account or ""}
        answer = await (api.client.put(path, json=changed) if reset or account else api.client.get(path))
        found = body_of(answer)
        source = "set for this DAG" if found["account"] else "the setting run_as"
        text = f"{found['effective']} ({source})" if found["effective"] else "the account of the server"
        report(text, found)
        return 0

    return use_api("dag", work)


def _saved_text(found: dict[str, Any]) -> str:
    if found["catchup"] == "none":
        return "catchup: none (missed starts are skipped)"
    ago = timedelta(seconds=found["catchupWindowSec"])
    most = 1 if found["catchup"] == "latest" else found["catchupMostStarts"]
    return f"catchup: {found['catchup']} (at most {most:,}, missed at most {ago} ago)"


async def _newest(client: httpx.AsyncClient, name: str) -> int:
    answer = body_of(await client.get(revisions_path(name), params={"perPage": 1}))
    return int(answer["pagination"]["totalRecords"])


def revisions_path(name: str) -> str:
    """Return the API path of the revisions of a stored DAG."""
    return f"{dag_path(name)}/revisions"


def dag_path(name: str) -> str:
    """Return the API path of a stored DAG; raises ClickException for an invalid name."""
    file_name = strip_suffix(name)
    if not is_name(file_name):
        raise click.ClickException(f"{shorten(name)} is not a DAG name; give the name that the DAG is stored under")
    return f"/dags/{file_name}"
