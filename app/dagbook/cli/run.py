"""``dagbook run``: a definition in this terminal, with live progress and the steps' output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx
import msgspec
import uvloop
from msgspec.structs import replace

from dagbook.auth.audit_context import local_actor
from dagbook.auth.roles import Requires, refusal
from dagbook.cli.client import Api, body_of, open_api, run_path
from dagbook.cli.definitions import read_text
from dagbook.cli.failures import friendly_errors
from dagbook.cli.foreign import WORKER_ID, ignored_options
from dagbook.cli.options import GlobalOptions, complete_files, current_settings, settings_options, warn_about_unused
from dagbook.cli.params import params_text
from dagbook.cli.progress import watch
from dagbook.errors import AppError, NotFoundError
from dagbook.identifiers import is_name, new_run_id, strip_suffix
from dagbook.settings import Settings
from dagbook.spec.reading.load import NO_DOCUMENT, load
from dagbook.telemetry.logging import configure

if TYPE_CHECKING:
    from dagbook.main import Server


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("words", nargs=-1, metavar="[-- PARAMS]")
@click.option("-p", "--params", default="", help="Parameters, as NAME=value words or JSON.")
@click.option("-N", "--name", default="", help="Name of the DAG in place of its own; of a file, when it gives none.")
@click.option("-r", "--run-id", default="", help="Id of the run; made up when it is left out.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@ignored_options(*WORKER_ID)
@friendly_errors
def run(*, what: str, words: tuple[str, ...], params: str, name: str, run_id: str) -> int:
    """Run the definition in FILE, or the stored DAG NAME; exit status 0 when it succeeds or is stopped, 1 otherwise.

    When a server or another command works on the same SQLite file, the run goes through that one.
    """
    settings = current_settings()
    if not os.environ.get("DAG_RUN_ID"):  # a step's variables are those of its server, which has told of them
        warn_about_unused(settings)
    configure(settings.log_format, "warning")
    source = find_source(what, name)
    body = source.body | {"params": params_text(params, words), "dagRunId": run_id or new_run_id()}
    return uvloop.run(_run(settings, replace(source, body=body)))


class Source(msgspec.Struct, frozen=True):
    """What is to be run: the path of its runs in the API without the verb, what is sent there, and its DAG's name.

    A stored DAG has no name before the server was asked, and a verb of its own for a start.
    """

    path: str
    body: dict[str, Any]
    name: str = ""


def find_source(what: str, name: str) -> Source:
    """Read a file, or take a stored DAG by its name; ends the command where it is neither."""
    file = Path(what)
    if file.is_file():
        spec, name = read_file(file), name or file.stem
        body = {"spec": spec, "name": name, "sourceDirectory": str(file.resolve().parent)}
        return Source("/dag-runs", body, load(spec, name=name).definition.dag.name)
    if file.exists():
        raise click.ClickException(f"{file} is no file")
    if not is_name(strip_suffix(what)):
        raise click.ClickException(f"there is no file {what!r}, and no DAG can have that name")
    return Source(f"/dags/{strip_suffix(what)}", {"dagName": name})


def read_file(file: Path) -> str:
    """Return the text of a definition; one that cannot be run ends the command."""
    text = read_text(file)
    loaded = load(text, name=file.stem)
    wrong = loaded.problems or ((NO_DOCUMENT,) if loaded.empty else ())
    if wrong:
        raise click.ClickException("\n".join(f"{file}: {problem}" for problem in wrong))
    return text


async def _run(settings: Settings, source: Source) -> int:
    async with open_api(settings, "run") as api:
        if server := await api.transport.enter():
            return await watch(api.client, await _start_here(server, source))
        name = source.name or await require_stored(api, source)
        await api.start(source.path if source.name else f"{source.path}/start", source.body, name)
        return await watch(api.client, run_path(name, source.body["dagRunId"]))


async def _start_here(server: Server, source: Source) -> str:
    """Start the run in this process and return its path; the first step does not wait for the web framework."""
    # Loaded by now; a command that asks another process does not need them.
    from dagbook.db.repositories import dags  # noqa: PLC0415
    from dagbook.runs.options import StartOptions  # noqa: PLC0415

    start = StartOptions(
        params=source.body["params"],
        run_id=source.body["dagRunId"],
        dag_name=source.body.get("dagName", ""),
        source_directory=source.body.get("sourceDirectory"),
        actor=local_actor(),
    )
    launcher, switches = server.parts.run_service, server.parts.auth.switches
    if reason := refusal(Requires.RUN_TEXT if source.name else Requires.RUN, None, switches):
        raise click.ClickException(reason)
    try:
        if source.name:
            return run_path(source.name, await launcher.start_text(source.body["spec"], source.body["name"], start))
        file_name = source.path.rpartition("/")[2]
        run_id = await launcher.start_stored(file_name, start)
    except NotFoundError as error:
        raise _not_found(source) from error
    except AppError as error:
        raise click.ClickException(error.message) from error
    row = await server.parts.database.read_inline(lambda connection: dags.get(connection, file_name))
    return run_path(start.dag_name.strip() or (row and row["dag_name"]) or file_name, run_id)


async def require_stored(api: Api, source: Source) -> str:
    """Return the name under which a stored DAG's run will be found; ends the command where there is no such DAG."""
    answer = await api.client.get(source.path)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise _not_found(source)
    return str(source.body["dagName"] or body_of(answer)["dag"]["name"])


def _not_found(source: Source) -> click.ClickException:
    return click.ClickException(f"there is no file and no stored DAG named {source.path.rpartition('/')[2]!r}")
