"""``dagbook run``: a definition in this terminal, with live progress and the steps' output."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import httpx
import uvloop

from app.cli.failures import said_plainly
from app.cli.options import GlobalOptions, current_settings, settings_options
from app.cli.progress import Progress
from app.cli.serve import own_database
from app.db.owner import DatabaseOwned
from app.db.upgrade import upgrade
from app.engine.status import RunStatus
from app.main import API_PATH, open_server
from app.settings import Settings
from app.spec.load import load
from app.spec.model import Pair
from app.spec.params import quote
from app.telemetry.logging import configure

_LOOK_SECONDS = 0.1


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
        "spec": _read(file),
        "name": name or file.stem,
        "params": params or quote([_pair(word, number) for number, word in enumerate(words, 1)], positions=False),
        "sourceDirectory": str(file.resolve().parent),
    }
    if run_id:
        request["dagRunId"] = run_id
    return uvloop.run(_run(settings, request))


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error.strerror if isinstance(error, OSError) else error}") from error
    problems = load(text, name=file.stem).problems
    if problems:
        raise click.ClickException("\n".join(f"{file}: {problem}" for problem in problems))
    return text


def _pair(word: str, number: int) -> Pair:
    name, equals, value = word.partition("=")
    return Pair(name, value) if equals else Pair(str(number), word)


async def _run(settings: Settings, request: dict[str, str]) -> int:
    async with _client(settings) as client:
        answer = await client.post("/dag-runs", json=request)
        if answer.status_code != httpx.codes.OK:
            raise click.ClickException(answer.json()["message"])
        started = asyncio.create_task(_watch(client, request, answer.json()["dagRunId"]))
        return await started


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the server that owns the database, or of one inside this process."""
    try:
        with own_database(settings, "dagbook run in a terminal"):
            await upgrade(settings.database_url)
            async with open_server(settings, "run", "") as server:
                transport = httpx.ASGITransport(server.app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
                base = f"http://localhost{settings.base_path}{API_PATH}"
                async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                    yield client
    except DatabaseOwned as error:
        if not error.owner.address.startswith("http"):
            raise click.ClickException(str(error)) from error
        async with httpx.AsyncClient(base_url=error.owner.address + API_PATH, timeout=30) as client:
            yield client


async def _watch(client: httpx.AsyncClient, request: dict[str, str], run_id: str) -> int:
    name = _name_of(request)
    path = f"/dag-runs/{name}/{run_id}"
    progress = Progress(client, path)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    asked = False
    while not (status := await progress.look()).is_final:
        if stop.is_set() and not asked:
            asked = True
            click.echo("stopping", err=True)
            await client.post(f"{path}/stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await (asyncio.Event() if asked else stop).wait()
    progress.finish()
    return 0 if status in (RunStatus.SUCCEEDED, RunStatus.ABORTED) else 1


def _name_of(request: dict[str, str]) -> str:
    return load(request["spec"], name=request["name"]).definition.dag.name
