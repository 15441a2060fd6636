"""``dagbook dag``: the revisions of a stored DAG, and its settings outside the definition."""

from __future__ import annotations

import click

from dagbook.api.schemas.dags import (
    Restored,
    RevisionDiff,
    Revisions,
    RevisionText,
    ShownDagAccount,
    ShownDagSettings,
)
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import CommandGroup
from dagbook.cli.complete import complete_dags
from dagbook.cli.output import count_of, echo, echo_output, print_json, print_table, report, wants_json
from dagbook.definitions.settings import CATCHUPS
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.spec.time.duration import duration_seconds

_number = click.IntRange(min=1)
dag_name = click.argument("name", metavar="NAME", shell_complete=complete_dags)


@click.group(cls=CommandGroup, example="dagbook dag list")
def dag() -> None:
    """List, save and edit stored DAGs, show their revisions, and change their settings.

    Goes through the server if one is running.
    """


@dag.command(example="dagbook dag history etl --limit 5")
@dag_name
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of revisions at most."
)
@with_api()
async def history(api: Api, *, name: str, limit: int) -> None:
    """Print the revisions of the DAG NAME, newest first: number, time, author and note."""
    found = (await api.get(revisions_path(name), Revisions, {"perPage": limit})).revisions
    rows = []
    for revision in found:
        note = " ".join((revision.note or "").split())
        redacted = f"redacted by {revision.redacted_by}" if revision.redacted_by else ""
        remarks = "; ".join(part for part in (note, redacted) if part)
        rows.append((str(revision.number), revision.saved_at, revision.author or "", remarks))
    print_table(("NUMBER", "SAVED", "AUTHOR", "NOTE"), rows, {"revisions": found})


@dag.command(example="dagbook dag show etl 3 > etl.yaml")
@dag_name
@click.argument("number", required=False, type=_number, metavar="[NUMBER]")
@with_api()
async def show(api: Api, *, name: str, number: int | None) -> None:
    """Print the text of revision NUMBER of the DAG NAME as it was saved, by default the newest."""
    chosen = number or await _newest(api, name)
    revision = await api.get(f"{revisions_path(name)}/{chosen}", RevisionText)
    if wants_json():
        print_json(revision)
    elif isinstance(revision.spec, str):
        echo_output(revision.spec, nl=False)
    else:
        redacted = f"was redacted at {revision.redacted_at} by {revision.redacted_by}"
        raise click.ClickException(f"revision {chosen} {redacted}: its text is deleted")


@dag.command(example="dagbook dag diff etl 3 5")
@dag_name
@click.argument("old", required=False, type=_number, metavar="[FROM]")
@click.argument("new", required=False, type=_number, metavar="[TO]")
@with_api()
async def diff(api: Api, *, name: str, old: int | None, new: int | None) -> None:
    """Print the difference between revisions FROM and TO of the DAG NAME.

    TO is by default the newest revision, FROM the one before TO.
    """
    last = new or await _newest(api, name)
    first = old or last - 1
    if not first:
        raise click.ClickException(f"the DAG {shorten(name)} has one revision, so there is nothing to compare")
    found = await api.get(f"{revisions_path(name)}/diff", RevisionDiff, {"from": first, "to": last})
    if wants_json():
        print_json(found)
    else:
        echo_output(found.diff, nl=False)


@dag.command(example="dagbook dag restore etl 3 --note 'as before the incident'")
@dag_name
@click.argument("number", type=_number, metavar="NUMBER")
@click.option("--note", default="", help="Reason, stored with the new revision.")
@with_api()
async def restore(api: Api, *, name: str, number: int, note: str) -> int:
    """Save the text of revision NUMBER of the DAG NAME again, as the newest revision."""
    answer = await api.post(f"{revisions_path(name)}/{number}/restore", Restored, {"note": note})
    for problem in answer.errors:
        echo(problem, err=True)
    if answer.errors:
        return 1
    report(f"the DAG {name} has the text of revision {number} again, as revision {answer.revision}", answer)
    return 0


@dag.command(example="dagbook dag settings etl --catchup latest --catchup-window 6h")
@dag_name
@click.option("--catchup", type=click.Choice(CATCHUPS), help="Which missed starts are caught up.")
@click.option("--catchup-window", "window", metavar="TIME", help="Age limit of missed starts, such as 30m or 48h.")
@with_api()
async def settings(api: Api, *, name: str, catchup: str | None, window: str | None) -> None:
    """Change the given settings of the DAG NAME, and print all of them."""
    path = f"{dag_path(name)}/settings"
    seconds = None if window is None else duration_seconds(window)
    if window is not None and (seconds is None or seconds != int(seconds)):
        raise click.ClickException(f"--catchup-window: {shorten(window)} is not a duration such as 30m, 6h or 48h")
    found = await api.get(path, ShownDagSettings)
    if catchup is not None or seconds is not None:
        window_seconds = found.catchup_window_sec if seconds is None else int(seconds)
        changed = {"catchup": catchup or found.catchup, "catchupWindowSec": window_seconds}
        found = await api.put(path, ShownDagSettings, changed)
    report(_saved_text(found), found)


@dag.command("run-as", example="dagbook dag run-as etl etl-user")
@dag_name
@click.argument("account", required=False, metavar="[ACCOUNT]")
@click.option("--default", "reset", is_flag=True, help="Take the account away: the setting run_as counts again.")
@with_api()
async def run_as(api: Api, *, name: str, account: str | None, reset: bool) -> None:
    """Run the commands of the DAG NAME under ACCOUNT, or print its account.

    Admins only. The server has to be allowed to switch users: see Security.
    """
    if reset and account:
        raise click.ClickException("give ACCOUNT or --default, not both")
    path = f"{dag_path(name)}/run-as"
    if reset or account:
        found = await api.put(path, ShownDagAccount, {"account": account or ""})
    else:
        found = await api.get(path, ShownDagAccount)
    source = "set for this DAG" if found.account else "the setting run_as"
    report(f"{found.effective} ({source})" if found.effective else "the account of the server", found)


def _saved_text(found: ShownDagSettings) -> str:
    if found.catchup == "none":
        return "catches up no missed start"
    starts = "the latest missed start"
    if found.catchup == "all":
        starts = f"all missed starts, the newest {found.catchup_most_starts:,} at most"
    return f"catches up {starts}, up to {_in_words(found.catchup_window_sec)} late"


def _in_words(seconds: int) -> str:
    """Return a duration such as 1 day 6 hours."""
    parts = []
    for noun, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(count_of(count, noun))
    return " ".join(parts) or "0 seconds"


async def _newest(api: Api, name: str) -> int:
    return (await api.get(revisions_path(name), Revisions, {"perPage": 1})).pagination.total_records


def revisions_path(name: str) -> str:
    """Return the API path of the revisions of a stored DAG."""
    return f"{dag_path(name)}/revisions"


def dag_path(name: str) -> str:
    """Return the API path of a stored DAG; raises ClickException for an invalid name."""
    file_name = strip_suffix(name)
    if not is_name(file_name):
        raise click.ClickException(f"{shorten(name)} is not a DAG name; give the name that the DAG is stored under")
    return f"/dags/{file_name}"
