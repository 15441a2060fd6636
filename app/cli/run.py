"""``dagbook run``: a definition in this terminal, with live progress and the steps' output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec
import uvloop
from msgspec.structs import replace

from app.cli.client import Api, body_of, open_api, run_path
from app.cli.definitions import read_text
from app.cli.failures import said_plainly
from app.cli.foreign import WORKER_ID, ignored_options
from app.cli.options import GlobalOptions, complete_files, current_settings, settings_options, tell_unread
from app.cli.params import params_text
from app.cli.progress import watch
from app.names import is_name, strip_suffix
from app.settings import Settings
from app.spec.load import NO_DOCUMENT, load
from app.telemetry.logging import configure


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("words", nargs=-1, metavar="[-- PARAMS]")
@click.option("-p", "--params", default="", help="Parameters, as NAME=value words or JSON.")
@click.option("-N", "--name", default="", help="Name of the DAG in place of its own; of a file, when it gives none.")
@click.option("-r", "--run-id", default="", help="Id of the run; made up when it is left out.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@ignored_options(*WORKER_ID)
@said_plainly
def run(*, what: str, words: tuple[str, ...], params: str, name: str, run_id: str) -> int:
    """Run the definition in FILE, or the stored DAG NAME; exit status 0 when it succeeds or is stopped, 1 otherwise.

    When a server works on the same SQLite file, the run goes through that server.
    """
    settings = current_settings()
    if not os.environ.get("DAG_RUN_ID"):  # a step's variables are those of its server, which has told of them
        tell_unread(settings)
    configure(settings.log_format, "warning")
    source = find_source(what, name)
    body = source.body | {"params": params_text(params, words), "dagRunId": run_id}
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
        path = source.path if source.name else f"{source.path}/start"
        name = source.name or await require_stored(api, source)
        run_id = body_of(await api.client.post(path, json=source.body))["dagRunId"]
        return await watch(api.client, run_path(name, run_id))


async def require_stored(api: Api, source: Source) -> str:
    """Return the name under which a stored DAG's run will be found; ends the command where there is no such DAG."""
    answer = await api.client.get(source.path)
    if answer.status_code == httpx.codes.NOT_FOUND:
        what = source.path.rpartition("/")[2]
        raise click.ClickException(f"there is no file and no stored DAG named {what!r}")
    return str(source.body["dagName"] or body_of(answer)["dag"]["name"])
