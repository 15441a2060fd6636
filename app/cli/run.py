"""``dagbook run``: a definition in this terminal, with live progress and the steps' output."""

from __future__ import annotations

from pathlib import Path

import click
import uvloop

from app.cli.client import body_of, open_api, run_path
from app.cli.failures import said_plainly
from app.cli.options import GlobalOptions, current_settings, settings_options
from app.cli.params import params_text
from app.cli.progress import watch
from app.settings import Settings
from app.spec.load import NO_DOCUMENT, load
from app.telemetry.logging import configure


@click.command(cls=GlobalOptions)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("words", nargs=-1, metavar="[-- PARAMS]")
@click.option("-p", "--params", default="", help="Parameters, as NAME=value words or JSON.")
@click.option("-N", "--name", default="", help="Name of the DAG, when the file does not give one.")
@click.option("-r", "--run-id", default="", help="Id of the run; made up when it is left out.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@said_plainly
def run(*, file: Path, words: tuple[str, ...], params: str, name: str, run_id: str) -> int:
    """Run the definition in FILE; exit status 0 when it succeeds or is stopped, 1 otherwise.

    When a server works on the same SQLite file, the run goes through that server.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    request = {
        "spec": read_file(file),
        "name": name or file.stem,
        "params": params_text(params, words),
        "sourceDirectory": str(file.resolve().parent),
    }
    if run_id:
        request["dagRunId"] = run_id
    return uvloop.run(_run(settings, request))


def read_file(file: Path) -> str:
    """Return the text of a definition; one that cannot be run ends the command."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error.strerror if isinstance(error, OSError) else error}") from error
    loaded = load(text, name=file.stem)
    wrong = loaded.problems or ((NO_DOCUMENT,) if loaded.empty else ())
    if wrong:
        raise click.ClickException("\n".join(f"{file}: {problem}" for problem in wrong))
    return text


async def _run(settings: Settings, request: dict[str, str]) -> int:
    async with open_api(settings, "run") as api:
        run_id = body_of(await api.client.post("/dag-runs", json=request))["dagRunId"]
        return await watch(api.client, run_path(_name_of(request), run_id))


def _name_of(request: dict[str, str]) -> str:
    return load(request["spec"], name=request["name"]).definition.dag.name
