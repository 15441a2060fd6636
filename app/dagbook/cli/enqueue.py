"""``dagbook enqueue`` and ``dagbook dequeue``: runs that wait for their turn, and do not any more."""

from __future__ import annotations

from typing import Any

import click
import httpx

from dagbook.cli.client import Api, body_of, run_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.foreign import PARAMS, ignored_options
from dagbook.cli.options import GlobalOptions, complete_files, settings_options
from dagbook.cli.params import params_text
from dagbook.cli.queue import items_path, use_queues_api
from dagbook.cli.run import find_source, require_stored
from dagbook.identifiers import new_run_id, shorten


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("words", nargs=-1, metavar="[-- PARAMS]")
@click.option("-p", "--params", default="", help="Parameters, as NAME=value words or JSON.")
@click.option("-N", "--name", default="", help="Name of the DAG in place of its own; of a file, when it gives none.")
@click.option("-r", "--run-id", default="", help="Id of the run; made up when it is left out.")
@click.option("-u", "--queue", default="", help="Queue to wait in, in place of the definition's own.")
@click.option("--priority", type=click.IntRange(-1000, 1000), default=0, help="The highest goes first; 0 by default.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@friendly_errors
def enqueue(  # noqa: PLR0913 - one for each option
    *, what: str, words: tuple[str, ...], params: str, name: str, run_id: str, queue: str, priority: int
) -> None:
    """Let a run of the definition in FILE, or of the stored DAG NAME, wait in its queue; a server begins it.

    Where no server works on the database, it waits until there is one.
    """
    source = find_source(what, name)
    run_id = run_id or new_run_id()
    wanted = {"params": params_text(params, words), "dagRunId": run_id, "queue": queue, "priority": priority}

    async def work(api: Api) -> None:
        name = source.name or await require_stored(api, source)
        await api.start(f"{source.path}/enqueue", source.body | wanted, name)
        until = "" if api.transport.is_server else ", until a server begins it"
        click.echo(f"run {run_id} waits in its queue{until}")

    use_queues_api("enqueue", work)


@click.command(cls=GlobalOptions)
@click.argument("queue", metavar="QUEUE")
@click.option(
    "-d", "--dag-run", default="", metavar="NAME:RUN_ID", help="The run to take out, in place of the next one."
)
@settings_options("database_url")
@ignored_options(*PARAMS)
@friendly_errors
def dequeue(*, queue: str, dag_run: str) -> None:
    """Take the run that is next out of QUEUE, or the one that is named."""

    async def work(api: Api) -> None:
        name, run_id = _named(dag_run) if dag_run else await _next(api, queue)
        path = run_path(name, run_id)
        if dag_run:
            await _require_in(api, queue, path, dag_run)
        body_of(await api.client.get(f"{path}/dequeue"))
        click.echo(f"run {run_id} of DAG {name} does not wait any more")

    use_queues_api("dequeue", work)


def _named(dag_run: str) -> tuple[str, str]:
    name, colon, run_id = dag_run.partition(":")
    if not (colon and name and run_id):
        raise click.ClickException(f"{shorten(dag_run)} names no run; write NAME:RUN_ID")
    return name, run_id


async def _next(api: Api, queue: str) -> tuple[str, str]:
    answer = await api.client.get(items_path(queue), params={"perPage": 1})
    found = [] if answer.status_code == httpx.codes.NOT_FOUND else body_of(answer)["items"]
    if not found:
        raise click.ClickException(f"nothing waits in queue {shorten(queue)}")
    return found[0]["name"], found[0]["dagRunId"]


async def _require_in(api: Api, queue: str, path: str, named: str) -> None:
    run: dict[str, Any] = body_of(await api.client.get(path))["dagRunDetails"]
    where = run.get("waitingFor", {}).get("queue", queue)
    if where != queue:
        raise click.ClickException(f"run {named} waits in queue {shorten(where)}, not in {shorten(queue)}")
