"""``dagbook dag list``, ``save``, ``edit``, ``delete``, ``rename``, ``suspend``, ``resume`` and ``tags``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import httpx
from msgspec import UNSET

from dagbook.api.schemas.dags import (
    CreatedDAG,
    DAGFile,
    DAGFileDetails,
    DAGFiles,
    RevisionDiff,
    RevisionText,
    Spec,
    SpecErrors,
    Suspension,
    Tags,
    Validation,
)
from dagbook.cli.api import Api, check, decode, use_api, with_api
from dagbook.cli.commands import reason_option, until_option
from dagbook.cli.complete import complete_dags, complete_files
from dagbook.cli.dags.files import read_text
from dagbook.cli.dags.revisions import dag, dag_name, dag_path, revisions_path
from dagbook.cli.output import echo, echo_output, notice, print_json, print_table, report, wants_json, words
from dagbook.cli.settings import with_settings
from dagbook.identifiers import is_name, shorten, strip_suffix

_PAGE = 500
_EDITORS = ("nano", "vi")
_note = click.option("--note", default="", help="Reason, stored with the revision.")
_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
_names = click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_dags)


@dag.command("list", example="dagbook dag list --tag finance")
@click.option("--name", default="", metavar="TEXT", help="Only DAGs whose name contains this text.")
@click.option("--tag", default="", help="Only DAGs with this tag.")
@click.option("--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Number of DAGs at most.")
@with_api()
async def list_dags(api: Api, *, name: str, tag: str, limit: int) -> None:
    """Print the stored DAGs with their newest run and their schedules."""
    found: list[DAGFile] = []
    more, page = True, 1
    while more and len(found) < limit:
        query: dict[str, str | int] = {"page": page, "perPage": min(_PAGE, limit), "name": name, "tag": tag}
        answer = await api.get("/dags", DAGFiles, query)
        found += answer.dags
        more, page = page < answer.pagination.total_pages, page + 1
    found = found[:limit]
    none = "there are no such DAGs" if name or tag else "there are no DAGs; `dagbook dag save FILE` stores one"
    head = ("NAME", "STATUS", "LAST RUN", "SCHEDULE", "TAGS")
    print_table(head, [_row(each) for each in found], {"dags": found}, none)


def _row(found: DAGFile) -> tuple[str, ...]:
    run = found.latest_dag_run
    status = "invalid" if found.errors else words(run.status_label)
    schedule = ", ".join(one.expression for one in found.dag.schedule or ())
    if found.suspended:
        end = found.suspension.until if found.suspension else UNSET
        state = f"suspended until {end}" if end else "suspended"
        schedule = f"{state} ({schedule})" if schedule else state
    return found.file_name, status, run.started_at or "-", schedule or "-", ", ".join(found.dag.tags or ())


@dag.command(example="dagbook dag tags")
@with_api()
async def tags(api: Api) -> None:
    """Print the tags of all stored DAGs."""
    found = (await api.get("/dags/tags", Tags)).tags
    if wants_json():
        print_json({"tags": found})
        return
    for tag in found:
        echo(tag)


@dag.command(example="dagbook dag save etl.yaml --note 'load in batches'")
@click.argument("file", metavar="FILE|-", shell_complete=complete_files)
@click.option("--name", default="", help="Name to store it under; by default that of the file.")
@click.option("--revision", type=click.IntRange(min=1), help="Save only if this is the DAG's newest revision.")
@click.option("--new", "is_new", is_flag=True, help="Save only if there is no DAG of this name.")
@_note
@with_api()
def save(api: Api, *, file: str, name: str, revision: int | None, is_new: bool, note: str) -> Awaitable[int]:
    """Store the definition in FILE, or on standard input, as a new DAG or as the next revision of one.

    A definition with problems is not stored, and they are printed; exit status 1.
    """
    if is_new and revision is not None:
        raise click.UsageError("--new and --revision exclude each other; give one of them")
    if file == "-" and not name:
        raise click.UsageError("give --name: a definition on standard input has no file name")
    text = sys.stdin.read() if file == "-" else read_text(Path(file))
    name = strip_suffix(name) if name else Path(strip_suffix(file)).name
    if not is_name(name):
        raise click.ClickException(f"{shorten(name)} cannot be the name of a DAG; give another with --name")

    async def work() -> int:
        if not is_new:
            answer = await _put(api, name, text, note, revision)
            if answer.status_code != httpx.codes.NOT_FOUND or revision is not None:
                return _linked(api, name, _saved(name, answer))
        return _linked(api, name, await _create(api, name, text, note))

    return work()


def _linked(api: Api, name: str, status: int) -> int:
    """Print the address of a saved DAG's page in a terminal, if a server shows it; returns the exit status."""
    address = api.transport.address
    if status == 0 and address.startswith(("http://", "https://")) and sys.stdout.isatty() and not wants_json():
        echo(f"{address.rstrip('/')}/dags/{name}")
    return status


async def _create(api: Api, name: str, text: str, note: str) -> int:
    checked = await api.post("/dags/validate", Validation, {"spec": text, "name": name})
    if checked.errors:
        return _refused(name, checked.errors)
    await api.post("/dags", CreatedDAG, {"name": name, "spec": text, "note": note})
    report(f"the DAG {name} is stored, as revision 1", {"name": name, "revision": 1, "created": True})
    return 0


def _saved(name: str, answer: httpx.Response) -> int:
    """Print the outcome of a save; returns the exit status."""
    check(answer)
    if answer.content and (problems := decode(answer, SpecErrors).errors):
        return _refused(name, problems)
    number = _revision(answer)
    report(f"the DAG {name} is stored, as revision {number}", {"name": name, "revision": number, "created": False})
    return 0


def _refused(name: str, problems: list[str]) -> int:
    if wants_json():
        print_json({"name": name, "errors": problems})
        return 1
    for problem in problems:
        echo(problem, err=True)
    echo(f"Error: the DAG {name} is not stored; correct the problems and save it again", err=True)
    return 1


@dag.command(example="dagbook dag delete etl --yes")
@_names
@_yes
@with_api()
def delete(api: Api, *, names: tuple[str, ...], yes: bool) -> Awaitable[None]:
    """Delete stored DAGs with their revisions; their runs are kept."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.ClickException("no terminal to ask for confirmation; add --yes")
        click.confirm(f"Delete {', '.join(names)}?", abort=True, err=True)

    async def work() -> None:
        for name in names:
            await api.act("DELETE", dag_path(name))
            report(f"the DAG {name} is deleted; its runs are kept", {"deleted": strip_suffix(name)})

    return work()


@dag.command(example="dagbook dag rename etl etl-daily")
@dag_name
@click.argument("new", metavar="NEW")
@with_api()
async def rename(api: Api, *, name: str, new: str) -> None:
    """Store the DAG NAME under the name NEW; its runs keep the DAG name that they were started with."""
    await api.act("POST", f"{dag_path(name)}/rename", {"newFileName": strip_suffix(new)})
    report(f"the DAG {name} is now {new}", {"name": strip_suffix(new), "before": strip_suffix(name)})


@dag.command(example='dagbook dag suspend etl load --reason "move of the database" --until 06:00')
@_names
@reason_option()
@until_option
@with_api()
async def suspend(api: Api, *, names: tuple[str, ...], reason: str, until: datetime | None) -> None:
    """Suspend the schedules of DAGs until they are resumed, or until UNTIL; they can still be started by hand."""
    end = UNSET if until is None else until.isoformat()
    await _suspend(api, names, Suspension(suspend=True, reason=reason, until=end))


@dag.command(example="dagbook dag resume etl load")
@_names
@with_api()
async def resume(api: Api, *, names: tuple[str, ...]) -> None:
    """Start DAGs by their schedules again."""
    await _suspend(api, names, Suspension(suspend=False))


async def _suspend(api: Api, names: tuple[str, ...], suspension: Suspension) -> None:
    for name in names:
        await api.act("POST", f"{dag_path(name)}/suspend", suspension)
        what = "suspended" if suspension.suspend else "resumed"
        until = f" until {suspension.until}" if suspension.until else ""
        shown = {"name": strip_suffix(name), "suspended": suspension.suspend}
        report(f"the schedules of the DAG {name} are {what}{until}", shown)


class _Stored(NamedTuple):
    """A text as it is stored, and the number of its revision."""

    text: str
    revision: int


@dag.command(example="EDITOR=nano dagbook dag edit etl --note 'load in batches'")
@dag_name
@_note
@with_settings("database_url")
def edit(*, name: str, note: str) -> int:
    """Edit the definition of the DAG NAME in $VISUAL or $EDITOR, and save it as the next revision.

    Problems are shown, and the text can be edited again. A revision that another user saves meanwhile is not
    overwritten: the difference is shown, and the edited text stays in its file.
    """
    name, editor = strip_suffix(name), find_editor()
    stored = use_api(lambda api: _read_editable(api, name))
    with tempfile.NamedTemporaryFile("w", prefix=f"{name}-", suffix=".yaml", encoding="utf-8", delete=False) as file:
        file.write(stored.text)
    path = Path(file.name)
    is_kept = True
    try:
        status = _edit(name, note, stored, path, editor)
        is_kept = status != 0
        return status
    finally:
        if is_kept and path.exists():
            echo(f"the edited text is in {path}", err=True)
        else:
            path.unlink(missing_ok=True)


def _edit(name: str, note: str, stored: _Stored, path: Path, editor: list[str]) -> int:
    while True:
        if subprocess.run([*editor, str(path)], check=False).returncode:  # noqa: S603 - the user's own command
            raise click.ClickException(f"{editor[0]} failed, so nothing is saved; set EDITOR to another editor")
        text = read_text(path)
        if text == stored.text:
            report(f"the DAG {name} is unchanged", {"name": name, "revision": stored.revision, "changed": False})
            return 0
        answer = use_api(partial(_put, name=name, text=text, note=note, revision=stored.revision))
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            newest = use_api(partial(_show_newer, name=name, revision=stored.revision))
            if not _ask("Save it over this revision?"):
                return 1
            stored = newest
            answer = use_api(partial(_put, name=name, text=text, note=note, revision=stored.revision))
        if (status := _saved(name, answer)) == 0 or not _ask("Edit it again?"):
            return status


async def _read_editable(api: Api, name: str) -> _Stored:
    """Return the text to edit; raises ClickException for a DAG whose file is in a source that is not writable."""
    dag = await api.find(dag_path(name), DAGFileDetails)
    if dag is not None and dag.source and not dag.source.writable:
        raise click.ClickException(
            f"the DAG {name} comes from the file {dag.source.path} of the source {dag.source.name}; edit it there, and "
            "`dagbook source sync` reads it"
        )
    return await _read(api, name)


async def _read(api: Api, name: str) -> _Stored:
    answer = await api.send("GET", f"{dag_path(name)}/spec")
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise click.ClickException(f"there is no DAG named {shorten(name)}; `dagbook dag save FILE` stores one")
    return _Stored(decode(answer, Spec).spec, _revision(answer))


async def _put(api: Api, name: str, text: str, note: str, revision: int | None) -> httpx.Response:
    return await api.send("PUT", f"{dag_path(name)}/spec", {"spec": text, "note": note}, revision=revision)


def _revision(answer: httpx.Response) -> int:
    return int(answer.headers["etag"].strip('"'))


async def _show_newer(api: Api, name: str, revision: int) -> _Stored:
    """Print what others have saved since a revision; returns the newest."""
    newest = await _read(api, name)
    saved = await api.get(f"{revisions_path(name)}/{newest.revision}", RevisionText)
    by = f" by {saved.author}" if saved.author else ""
    notice(f"revision {newest.revision} was saved{by} at {saved.saved_at}, while you edited revision {revision}:")
    compared = {"from": revision, "to": newest.revision}
    echo_output((await api.get(f"{revisions_path(name)}/diff", RevisionDiff, compared)).diff, err=True)
    return newest


def _ask(question: str) -> bool:
    """Ask a question; without input the answer is no."""
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort:
        return False


def find_editor() -> list[str]:
    """Return the command of the user's editor; raises ClickException when there is none."""
    for variable in ("VISUAL", "EDITOR"):
        if command := os.environ.get(variable):
            try:
                return shlex.split(command)
            except ValueError as error:
                raise click.ClickException(f"{variable} is not a command: {error}") from error
    for name in _EDITORS:
        if program := shutil.which(name):
            return [program]
    raise click.ClickException("there is no editor; set EDITOR to the command of one")
