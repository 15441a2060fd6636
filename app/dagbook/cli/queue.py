"""``dagbook queue``, ``enqueue`` and ``dequeue``: queues listed and changed, runs added and removed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import httpx
from msgspec.structs import replace

from dagbook.cli.client import Api, Mode, body_of, run_path, use_api
from dagbook.cli.complete import complete_dags, complete_runs, complete_what
from dagbook.cli.definitions import get_run
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import (
    PARAMS,
    GlobalOptions,
    ignored_options,
    params_text,
    settings_options,
    wants_json,
)
from dagbook.cli.output import print_json, print_table, report
from dagbook.cli.run import find_source, require_stored, warn_of_undeclared
from dagbook.cli.terminal import echo, style
from dagbook.identifiers import new_run_id, shorten


def items_path(queue: str) -> str:
    """Return the API path of a queue's entries."""
    return f"{_path(queue)}/items"


def _path(queue: str) -> str:
    return f"/queues/{quote(queue, safe='')}"


@click.group(cls=CommandGroup, example="dagbook queue list")
def queue() -> None:
    """Show, pause, resume, reorder or clear queues, through the server if one is running."""


@queue.command("list", cls=GlobalOptions, example="dagbook queue list")
@settings_options("database_url")
@friendly_errors
def list_queues() -> None:
    """Print all queues that are configured, paused or in use, and what the next run of each waits for."""

    async def work(api: Api) -> None:
        rows: list[tuple[str, ...]] = []
        queues = body_of(await api.client.get("/queues"))["queues"]
        for found in queues:
            counts = (str(found.get("maxConcurrency", "none")), str(len(found["running"])), str(len(found["queued"])))
            reason = found["queued"][0]["waitingFor"]["message"] if found["queued"] else ""
            rows.append((found["name"], *counts, _pause(found), reason))
        print_table(
            ("QUEUE", "LIMIT", "RUNNING", "QUEUED", "PAUSED", "NEXT RUN WAITS FOR"),
            rows,
            {"queues": queues},
            "no queue has a run",
        )

    use_api("queue", work, Mode.QUEUE)


def _pause(found: dict[str, Any]) -> str:
    paused = found.get("paused")
    if paused is None:
        return "no"
    return f"since {paused['since']}" + (f" by {paused['by']}" if "by" in paused else "")


@queue.command(cls=GlobalOptions, example="dagbook queue show nightly --limit 10")
@click.argument("name", metavar="NAME")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Number of runs at most.")
@settings_options("database_url")
@friendly_errors
def show(*, name: str, limit: int) -> None:
    """Print the running runs of the queue NAME, and the queued ones in order, each with its wait reason."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get(items_path(name), params={"perPage": limit}))
        if wants_json():
            print_json(found)
            return
        echo(f"queue {name}: limit {found.get('maxConcurrency', 'none')}, paused: {_pause(found)}")
        for run in found["running"]:
            echo(f"running: {run['name']} {run['dagRunId']} since {run['startedAt'] or 'now'}")
        rows = [_item(run) for run in found["items"]]
        if rows:
            print_table(("POSITION", "PRIORITY", "DAG", "RUN", "SINCE", "WAITS FOR"), rows)
        if (more := found["pagination"]["totalRecords"] - len(rows)) > 0:
            echo(f"and {more} more; --limit shows up to 1000")

    use_api("queue", work, Mode.QUEUE)


def _item(run: dict[str, Any]) -> tuple[str, ...]:
    wait = run["waitingFor"]
    return (
        str(wait["position"]),
        str(wait["priority"]),
        run["name"],
        run["dagRunId"],
        run.get("queuedAt", ""),
        wait["message"],
    )


@queue.command(cls=GlobalOptions, example="dagbook queue pause nightly")
@click.argument("name", metavar="NAME")
@settings_options("database_url")
@friendly_errors
def pause(*, name: str) -> None:
    """Start no more runs of the queue NAME until it is resumed; running runs continue."""

    async def work(api: Api) -> None:
        paused = body_of(await api.client.post(f"{_path(name)}/pause"))
        report(f"queue {name} is paused {_pause(paused)}", paused)

    use_api("queue", work, Mode.QUEUE)


@queue.command(cls=GlobalOptions, example="dagbook queue resume nightly")
@click.argument("name", metavar="NAME")
@settings_options("database_url")
@friendly_errors
def resume(*, name: str) -> None:
    """Start runs of the queue NAME again."""

    async def work(api: Api) -> None:
        resumed = body_of(await api.client.post(f"{_path(name)}/resume"))
        report(f"queue {name} is resumed", resumed)

    use_api("queue", work, Mode.QUEUE)


@queue.command(cls=GlobalOptions, example="dagbook queue clear nightly --confirm nightly")
@click.argument("name", metavar="NAME")
@click.option("--confirm", default=None, metavar="NAME", help="Confirm with the queue's name, instead of a prompt.")
@settings_options("database_url")
@friendly_errors
def clear(*, name: str, confirm: str | None) -> None:
    """Remove all queued runs from the queue NAME, after its name is typed once more."""
    typed = (
        click.prompt(f"Type {style(name)} to remove all runs from this queue", err=True) if confirm is None else confirm
    )

    async def work(api: Api) -> None:
        removed = body_of(await api.client.post(f"{_path(name)}/clear", json={"name": typed}))["removed"]
        report(f"removed from queue {name}: {removed}", {"queue": name, "removed": removed})

    use_api("queue", work, Mode.QUEUE)


@queue.command(cls=GlobalOptions, example="dagbook queue priority etl 20300131-1 --front")
@click.argument("name", metavar="DAG", shell_complete=complete_dags)
@click.argument("run_id", metavar="RUN_ID", shell_complete=complete_runs)
@click.argument("value", metavar="[PRIORITY]", required=False, type=click.IntRange(-1000, 1000))
@click.option("--front", is_flag=True, help="Move the run to the front of its queue.")
@settings_options("database_url")
@friendly_errors
def priority(*, name: str, run_id: str, value: int | None, front: bool) -> None:
    """Change the priority of the queued run RUN_ID of DAG, or move it to the front of its queue."""

    async def work(api: Api) -> None:
        run = body_of(await get_run(api, name, run_id))["dagRunDetails"]
        wait = run.get("waitingFor")
        if wait is None:
            raise click.ClickException(f"run {run['dagRunId']} of DAG {name} is not queued, it is {run['statusLabel']}")
        body = {"priority": value, "toFront": front}
        body_of(await api.client.patch(f"{items_path(wait['queue'])}/{wait['item']}", json=body))
        moved = {"name": name, "dagRunId": run["dagRunId"], "queue": wait["queue"]}
        report(f"run {run['dagRunId']} of DAG {name} is moved in queue {wait['queue']}", moved)

    use_api("queue", work, Mode.QUEUE)


@click.command(cls=GlobalOptions, example="dagbook enqueue etl --queue nightly -- DATE=2030-01-31")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("words", nargs=-1, metavar="[-- PARAMS]")
@click.option("-p", "--params", default="", help="Parameters, as NAME=value words or JSON.")
@click.option("-N", "--name", default="", help="DAG name; of a file, only used when the file gives none.")
@click.option("-r", "--run-id", default="", help="Run id; generated by default.")
@click.option("-u", "--queue", default="", help="Queue, instead of the one of the definition.")
@click.option("--priority", type=click.IntRange(-1000, 1000), default=0, help="Highest first; 0 by default.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@friendly_errors
def enqueue(  # noqa: PLR0913 - one for each option
    *, what: str, words: tuple[str, ...], params: str, name: str, run_id: str, queue: str, priority: int
) -> None:
    """Add a run of the definition in FILE, or of the stored DAG NAME, to its queue; a server starts it.

    When no server is running, the run stays queued until one is.
    """
    source = find_source(what, name)
    run_id = run_id or new_run_id()
    request = {"params": params_text(params, words), "dagRunId": run_id, "queue": queue, "priority": priority}

    async def work(api: Api) -> None:
        name = source.name or await require_stored(api, source)
        await api.start(f"{source.path}/enqueue", source.body | request, name)
        await warn_of_undeclared(api, replace(source, body=source.body | request))
        until = "" if api.transport.is_server else " until a server starts it"
        report(f"run {run_id} is queued{until}", {"name": name, "dagRunId": run_id})

    use_api("enqueue", work, Mode.QUEUE)


@click.command(cls=GlobalOptions, example="dagbook dequeue nightly --dag-run etl:20300131-1")
@click.argument("queue", metavar="QUEUE")
@click.option("-d", "--dag-run", default="", metavar="NAME:RUN_ID", help="Run to remove, instead of the next one.")
@settings_options("database_url")
@ignored_options(*PARAMS)
@friendly_errors
def dequeue(*, queue: str, dag_run: str) -> None:
    """Remove the next run from QUEUE, or the one given with --dag-run."""

    async def work(api: Api) -> None:
        name, run_id = await (_find_named(api, queue, dag_run) if dag_run else _next(api, queue))
        body_of(await api.client.get(f"{run_path(name, run_id)}/dequeue"))
        removed = {"name": name, "dagRunId": run_id}
        report(f"run {run_id} of DAG {name} is removed from its queue", removed)

    use_api("dequeue", work, Mode.QUEUE)


async def _find_named(api: Api, queue: str, dag_run: str) -> tuple[str, str]:
    """Return DAG name and id of the run NAME:RUN_ID; raises ClickException when it is in another queue."""
    name, colon, run_id = dag_run.partition(":")
    if not (colon and name and run_id):
        raise click.ClickException(f"{shorten(dag_run)} is not a run; write NAME:RUN_ID")
    run: dict[str, Any] = body_of(await get_run(api, name, run_id))["dagRunDetails"]
    actual = run.get("waitingFor", {}).get("queue", queue)
    if actual != queue:
        raise click.ClickException(f"run {dag_run} is in queue {shorten(actual)}, not in {shorten(queue)}")
    return name, run["dagRunId"]


async def _next(api: Api, queue: str) -> tuple[str, str]:
    answer = await api.client.get(items_path(queue), params={"perPage": 1})
    found = [] if answer.status_code == httpx.codes.NOT_FOUND else body_of(answer)["items"]
    if not found:
        raise click.ClickException(f"queue {shorten(queue)} is empty")
    return found[0]["name"], found[0]["dagRunId"]
