"""``dagbook dag list``, ``save``, ``edit``, ``delete``, ``rename``, ``suspend``, ``resume`` and ``tags``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.complete import complete_dags
from dagbook.cli.dag import dag, dag_path, revisions_path
from dagbook.cli.definitions import read_text
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, complete_files, notice, settings_options, wants_json
from dagbook.cli.output import print_json, print_table, report
from dagbook.cli.terminal import echo, echo_output
from dagbook.identifiers import is_name, shorten, strip_suffix

_PAGE = 500
_EDITORS = ("nano", "vi")
_note = click.option("--note", default="", help="Reason, stored with the revision.")
_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
_name = click.argument("name", metavar="NAME", shell_complete=complete_dags)
_names = click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_dags)


@dag.command("list", cls=GlobalOptions, example="dagbook dag list --tag finance")
@click.option("--name", default="", metavar="TEXT", help="Only DAGs whose name contains this text.")
@click.option("--tag", default="", help="Only DAGs with this tag.")
@click.option("--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Number of DAGs at most.")
@settings_options("database_url")
@friendly_errors
def list_dags(*, name: str, tag: str, limit: int) -> None:
    """Print the stored DAGs with their newest run and their schedules."""

    async def work(api: Api) -> None:
        found: list[dict[str, Any]] = []
        more, page = True, 1
        while more and len(found) < limit:
            query: dict[str, Any] = {"page": page, "perPage": min(_PAGE, limit), "name": name, "tag": tag}
            answer = body_of(await api.client.get("/dags", params=query))
            found += answer["dags"]
            more, page = page < answer["pagination"]["totalPages"], page + 1
        found = found[:limit]
        rows = [_row(each) for each in found]
        none = "there are no such DAGs" if name or tag else "there are no DAGs; `dagbook dag save FILE` stores one"
        print_table(("NAME", "STATUS", "LAST RUN", "SCHEDULE", "TAGS"), rows, {"dags": found}, none)

    use_api("dag", work)


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    run = found["latestDAGRun"]
    status = "invalid" if found["errors"] else run["statusLabel"].replace("_", " ")
    schedule = ", ".join(one["expression"] for one in found["dag"].get("schedule", ()))
    if found["suspended"]:
        schedule = f"suspended ({schedule})" if schedule else "suspended"
    return found["fileName"], status, run["startedAt"] or "-", schedule or "-", ", ".join(found["dag"].get("tags", ()))


@dag.command(cls=GlobalOptions, example="dagbook dag tags")
@settings_options("database_url")
@friendly_errors
def tags() -> None:
    """Print the tags of all stored DAGs."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/dags/tags"))["tags"]
        if wants_json():
            print_json({"tags": found})
            return
        for tag in found:
            echo(tag)

    use_api("dag", work)


@dag.command(cls=GlobalOptions, example="dagbook dag save etl.yaml --note 'load in batches'")
@click.argument("file", metavar="FILE|-", shell_complete=complete_files)
@click.option("--name", default="", help="Name to store it under; by default that of the file.")
@click.option("--revision", type=click.IntRange(min=1), help="Save only if this is the DAG's newest revision.")
@click.option("--new", "is_new", is_flag=True, help="Save only if there is no DAG of this name.")
@_note
@settings_options("database_url")
@friendly_errors
def save(*, file: str, name: str, revision: int | None, is_new: bool, note: str) -> int:
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

    async def work(api: Api) -> int:
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        answer = None
        if not is_new:
            answer = await api.client.put(f"{dag_path(name)}/spec", json={"spec": text, "note": note}, headers=headers)
        if answer is None or (answer.status_code == httpx.codes.NOT_FOUND and revision is None):
            return await _create(api, name, text, note)
        return _saved(name, answer)

    return use_api("dag", work)


async def _create(api: Api, name: str, text: str, note: str) -> int:
    checked = body_of(await api.client.post("/dags/validate", json={"spec": text, "name": name}))
    if checked["errors"]:
        return _refused(name, checked["errors"])
    body_of(await api.client.post("/dags", json={"name": name, "spec": text, "note": note}))
    report(f"the DAG {name} is stored, as revision 1", {"name": name, "revision": 1, "created": True})
    return 0


def _saved(name: str, answer: httpx.Response) -> int:
    """Print the outcome of a save; returns the exit status."""
    found = body_of(answer) or {"errors": []}
    if found["errors"]:
        return _refused(name, found["errors"])
    number = int(answer.headers["etag"].strip('"'))
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


@dag.command(cls=GlobalOptions, example="dagbook dag delete etl --yes")
@_names
@_yes
@settings_options("database_url")
@friendly_errors
def delete(*, names: tuple[str, ...], yes: bool) -> None:
    """Delete stored DAGs with their revisions; their runs are kept."""
    _confirm(f"Delete {', '.join(names)}?", is_given=yes)

    async def work(api: Api) -> None:
        for name in names:
            body_of(await api.client.delete(dag_path(name)))
            report(f"the DAG {name} is deleted; its runs are kept", {"deleted": strip_suffix(name)})

    use_api("dag", work)


def _confirm(question: str, *, is_given: bool) -> None:
    if is_given:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("no terminal to ask for confirmation; add --yes")
    click.confirm(question, abort=True, err=True)


@dag.command(cls=GlobalOptions, example="dagbook dag rename etl etl-daily")
@_name
@click.argument("new", metavar="NEW")
@settings_options("database_url")
@friendly_errors
def rename(*, name: str, new: str) -> None:
    """Store the DAG NAME under the name NEW; its runs keep the DAG name that they were started with."""

    async def work(api: Api) -> None:
        body_of(await api.client.post(f"{dag_path(name)}/rename", json={"newFileName": strip_suffix(new)}))
        report(f"the DAG {name} is now {new}", {"name": strip_suffix(new), "before": strip_suffix(name)})

    use_api("dag", work)


@dag.command(cls=GlobalOptions, example="dagbook dag suspend etl load")
@_names
@settings_options("database_url")
@friendly_errors
def suspend(*, names: tuple[str, ...]) -> None:
    """Suspend the schedules of DAGs until they are resumed; they can still be started by hand."""
    _suspend(names, is_suspended=True)


@dag.command(cls=GlobalOptions, example="dagbook dag resume etl load")
@_names
@settings_options("database_url")
@friendly_errors
def resume(*, names: tuple[str, ...]) -> None:
    """Start DAGs by their schedules again."""
    _suspend(names, is_suspended=False)


def _suspend(names: tuple[str, ...], *, is_suspended: bool) -> None:
    async def work(api: Api) -> None:
        for name in names:
            body_of(await api.client.post(f"{dag_path(name)}/suspend", json={"suspend": is_suspended}))
            what = "suspended" if is_suspended else "resumed"
            report(
                f"the schedules of the DAG {name} are {what}", {"name": strip_suffix(name), "suspended": is_suspended}
            )

    use_api("dag", work)


class _Stored(NamedTuple):
    """A text as it is stored, and the number of its revision."""

    text: str
    revision: int


@dag.command(cls=GlobalOptions, example="EDITOR=nano dagbook dag edit etl --note 'load in batches'")
@_name
@_note
@settings_options("database_url")
@friendly_errors
def edit(*, name: str, note: str) -> int:
    """Edit the definition of the DAG NAME in $VISUAL or $EDITOR, and save it as the next revision.

    Problems are shown, and the text can be edited again. A revision that another user saves meanwhile is not
    overwritten: the difference is shown, and the edited text stays in its file.
    """
    name, editor = strip_suffix(name), find_editor()
    stored = use_api("dag", lambda api: _read(api, name))
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
        body = {"spec": text, "note": note}
        answer = use_api("dag", partial(_put, name=name, body=body, revision=stored.revision))
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            newest = use_api("dag", partial(_show_newer, name=name, revision=stored.revision))
            if not _ask("Save it over this revision?"):
                return 1
            stored = newest
            answer = use_api("dag", partial(_put, name=name, body=body, revision=stored.revision))
        if (status := _saved(name, answer)) == 0 or not _ask("Edit it again?"):
            return status


async def _read(api: Api, name: str) -> _Stored:
    answer = await api.client.get(f"{dag_path(name)}/spec")
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise click.ClickException(f"there is no DAG named {shorten(name)}; `dagbook dag save FILE` stores one")
    return _Stored(body_of(answer)["spec"], int(answer.headers["etag"].strip('"')))


async def _put(api: Api, name: str, body: dict[str, str], revision: int) -> httpx.Response:
    return await api.client.put(f"{dag_path(name)}/spec", json=body, headers={"If-Match": f'"{revision}"'})


async def _show_newer(api: Api, name: str, revision: int) -> _Stored:
    """Print what others have saved since a revision; returns the newest."""
    newest = await _read(api, name)
    saved = body_of(await api.client.get(f"{revisions_path(name)}/{newest.revision}"))
    by = f" by {saved['author']}" if "author" in saved else ""
    notice(f"revision {newest.revision} was saved{by} at {saved['savedAt']}, while you edited revision {revision}:")
    compared = {"from": revision, "to": newest.revision}
    echo_output(body_of(await api.client.get(f"{revisions_path(name)}/diff", params=compared))["diff"], err=True)
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
