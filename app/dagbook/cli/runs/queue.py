"""``dagbook queue`` and ``dequeue``: queues listed and changed, and runs removed from them."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime

import click
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.queues import ClearedQueue, Paused, PauseQueue, Queue, QueueItems, QueuesResponse, QueueState
from dagbook.cli.api import Api, run_path, segment, with_api
from dagbook.cli.commands import PARAMS, CommandGroup, GlobalOptions, reason_option, until_option
from dagbook.cli.complete import complete_dags, complete_runs
from dagbook.cli.output import echo, print_json, print_table, report, style, wants_json
from dagbook.cli.runs.lookup import find_details
from dagbook.cli.transport import Mode
from dagbook.identifiers import shorten

_name = click.argument("name", metavar="NAME")


def _path(queue: str) -> str:
    return f"/queues/{segment(queue)}"


@click.group(cls=CommandGroup, example="dagbook queue list")
def queue() -> None:
    """Show, pause, resume, reorder or clear queues, through the server if one is running."""


@queue.command("list", example="dagbook queue list")
@with_api(mode=Mode.QUEUE)
async def list_queues(api: Api) -> None:
    """Print all queues that are configured, paused or in use, and what the next run of each waits for."""
    found = (await api.get("/queues", QueuesResponse)).queues
    rows = []
    for one in found:
        reason = one.queued[0].waiting_for.message if one.queued and one.queued[0].waiting_for else ""
        rows.append((one.name, _limit(one), str(len(one.running)), str(len(one.queued)), _pause(one.paused), reason))
    head = ("QUEUE", "LIMIT", "RUNNING", "QUEUED", "PAUSED", "NEXT RUN WAITS FOR")
    print_table(head, rows, {"queues": found}, "no queue has a run")


def _limit(found: Queue | QueueItems) -> str:
    return str(found.max_concurrency or "none")


def _pause(paused: Paused | UnsetType) -> str:
    if not paused:
        return "no"
    by, until = f" by {paused.by}" if paused.by else "", f" until {paused.until}" if paused.until else ""
    return f"since {paused.since}{by}{until}" + (f": {paused.reason}" if paused.reason else "")


@queue.command(example="dagbook queue show nightly --limit 10")
@_name
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Number of runs at most.")
@with_api(mode=Mode.QUEUE)
async def show(api: Api, *, name: str, limit: int) -> None:
    """Print the running runs of the queue NAME, and the queued ones in order, each with its wait reason."""
    found = await api.get(f"{_path(name)}/items", QueueItems, {"perPage": limit})
    if wants_json():
        print_json(found)
        return
    echo(f"queue {name}: limit {_limit(found)}, paused: {_pause(found.paused)}")
    for run in found.running:
        echo(f"running: {run.name} {run.dag_run_id} since {run.started_at or 'now'}")
    rows = []
    for run in found.items:
        if wait := run.waiting_for:
            place = (str(wait.position), str(wait.priority))
            rows.append((*place, run.name, run.dag_run_id, run.queued_at or "", wait.message))
    if rows:
        print_table(("POSITION", "PRIORITY", "DAG", "RUN", "SINCE", "WAITS FOR"), rows)
    if (more := found.pagination.total_records - len(rows)) > 0:
        echo(f"and {more} more; --limit shows up to 1000")


@queue.command(example='dagbook queue pause nightly --reason "full disk" --until 06:00')
@_name
@reason_option()
@until_option
@with_api(mode=Mode.QUEUE)
async def pause(api: Api, *, name: str, reason: str, until: datetime | None) -> None:
    """Start no more runs of the queue NAME until it is resumed, or until UNTIL; running runs continue."""
    body = PauseQueue(reason=reason, until=UNSET if until is None else until.isoformat())
    state = await api.post(f"{_path(name)}/pause", QueueState, body)
    report(f"queue {name} is paused {_pause(state.paused)}", state)


@queue.command(example="dagbook queue resume nightly")
@_name
@with_api(mode=Mode.QUEUE)
async def resume(api: Api, *, name: str) -> None:
    """Start runs of the queue NAME again."""
    report(f"queue {name} is resumed", await api.post(f"{_path(name)}/resume", QueueState))


@queue.command(example="dagbook queue clear nightly --confirm nightly")
@_name
@click.option("--confirm", default=None, metavar="NAME", help="Confirm with the queue's name, instead of a prompt.")
@with_api(mode=Mode.QUEUE)
def clear(api: Api, *, name: str, confirm: str | None) -> Awaitable[None]:
    """Remove all queued runs from the queue NAME, after its name is typed once more."""
    typed = (
        click.prompt(f"Type {style(name)} to remove all runs from this queue", err=True) if confirm is None else confirm
    )

    async def work() -> None:
        removed = (await api.post(f"{_path(name)}/clear", ClearedQueue, {"name": typed})).removed
        report(f"removed from queue {name}: {removed}", {"queue": name, "removed": removed})

    return work()


@queue.command(example="dagbook queue priority etl 20300131-1 --front")
@click.argument("name", metavar="DAG", shell_complete=complete_dags)
@click.argument("run_id", metavar="RUN_ID", shell_complete=complete_runs)
@click.argument("value", metavar="[PRIORITY]", required=False, type=click.IntRange(-1000, 1000))
@click.option("--front", is_flag=True, help="Move the run to the front of its queue.")
@with_api(mode=Mode.QUEUE)
async def priority(api: Api, *, name: str, run_id: str, value: int | None, front: bool) -> None:
    """Change the priority of the queued run RUN_ID of DAG, or move it to the front of its queue."""
    run = await find_details(api, name, run_id)
    wait = run.waiting_for
    if not wait:
        raise click.ClickException(f"run {run.dag_run_id} of DAG {name} is not queued, it is {run.status_label}")
    await api.act("PATCH", f"{_path(wait.queue)}/items/{wait.item}", {"priority": value, "toFront": front})
    moved = {"name": name, "dagRunId": run.dag_run_id, "queue": wait.queue}
    report(f"run {run.dag_run_id} of DAG {name} is moved in queue {wait.queue}", moved)


@click.command(cls=GlobalOptions, example="dagbook dequeue nightly --dag-run etl:20300131-1")
@click.argument("queue", metavar="QUEUE")
@click.option("-d", "--dag-run", default="", metavar="NAME:RUN_ID", help="Run to remove, instead of the next one.")
@with_api(mode=Mode.QUEUE, ignored=PARAMS)
async def dequeue(api: Api, *, queue: str, dag_run: str) -> None:
    """Remove the next run from QUEUE, or the one given with --dag-run."""
    if dag_run:
        name, run_id = await _find_named(api, queue, dag_run)
    else:
        found = await api.find(f"{_path(queue)}/items", QueueItems, {"perPage": 1})
        if found is None or not found.items:
            raise click.ClickException(f"queue {shorten(queue)} is empty")
        name, run_id = found.items[0].name, found.items[0].dag_run_id
    await api.act("GET", f"{run_path(name, run_id)}/dequeue")
    report(f"run {run_id} of DAG {name} is removed from its queue", {"name": name, "dagRunId": run_id})


async def _find_named(api: Api, queue: str, dag_run: str) -> tuple[str, str]:
    """Return DAG name and id of the run NAME:RUN_ID; raises ClickException when it is in another queue."""
    name, colon, run_id = dag_run.partition(":")
    if not (colon and name and run_id):
        raise click.ClickException(f"{shorten(dag_run)} is not a run; write NAME:RUN_ID")
    run = await find_details(api, name, run_id)
    actual = run.waiting_for.queue if run.waiting_for else queue
    if actual != queue:
        raise click.ClickException(f"run {dag_run} is in queue {shorten(actual)}, not in {shorten(queue)}")
    return name, run.dag_run_id
