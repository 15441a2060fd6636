"""``dagbook queue``: queues listed, paused, resumed, reordered and cleared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import click

from dagbook.cli.client import Api, body_of, open_api, run_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.cli.people import print_table
from dagbook.cli.server_transport import Mode
from dagbook.telemetry.logging import configure

Work = Callable[[Api], Awaitable[None]]


def use_queues_api(command: str, work: Work) -> None:
    """Run work with the API of the running server, or of this process when there is none."""
    settings = current_settings()
    configure(settings.log_format, "warning")

    async def call() -> None:
        async with open_api(settings, command, Mode.QUEUE) as api:
            await work(api)

    asyncio.run(call())


def items_path(queue: str) -> str:
    """Return the API path of a queue's entries."""
    return f"{_path(queue)}/items"


def _path(queue: str) -> str:
    return f"/queues/{quote(queue, safe='')}"


@click.group(cls=CommandGroup)
def queue() -> None:
    """Show, pause, resume, reorder or clear queues, through the server if one is running."""


@queue.command("list", cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def list_queues() -> None:
    """Print all queues that are configured, paused or in use, and what the next run of each waits for."""

    async def work(api: Api) -> None:
        rows: list[tuple[str, ...]] = []
        for found in body_of(await api.client.get("/queues"))["queues"]:
            counts = (str(found.get("maxConcurrency", "none")), str(len(found["running"])), str(len(found["queued"])))
            reason = found["queued"][0]["waitingFor"]["message"] if found["queued"] else ""
            rows.append((found["name"], *counts, _pause(found), reason))
        print_table(("QUEUE", "LIMIT", "RUNNING", "QUEUED", "PAUSED", "NEXT RUN WAITS FOR"), rows)

    use_queues_api("queue", work)


def _pause(found: dict[str, Any]) -> str:
    paused = found.get("paused")
    if paused is None:
        return "no"
    return f"since {paused['since']}" + (f" by {paused['by']}" if "by" in paused else "")


@queue.command(cls=GlobalOptions)
@click.argument("name", metavar="NAME")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Number of runs at most.")
@settings_options("database_url")
@friendly_errors
def show(*, name: str, limit: int) -> None:
    """Print the running runs of the queue NAME, and the queued ones in order, each with its wait reason."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get(items_path(name), params={"perPage": limit}))
        click.echo(f"queue {name}: limit {found.get('maxConcurrency', 'none')}, paused: {_pause(found)}")
        for run in found["running"]:
            click.echo(f"running: {run['name']} {run['dagRunId']} since {run['startedAt'] or 'now'}")
        rows = [_item(run) for run in found["items"]]
        if rows:
            print_table(("POSITION", "PRIORITY", "DAG", "RUN", "SINCE", "WAITS FOR"), rows)
        if (more := found["pagination"]["totalRecords"] - len(rows)) > 0:
            click.echo(f"and {more} more; --limit shows up to 1000")

    use_queues_api("queue", work)


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


@queue.command(cls=GlobalOptions)
@click.argument("name", metavar="NAME")
@settings_options("database_url")
@friendly_errors
def pause(*, name: str) -> None:
    """Start no more runs of the queue NAME until it is resumed; running runs continue."""

    async def work(api: Api) -> None:
        click.echo(f"queue {name} is paused {_pause(body_of(await api.client.post(f'{_path(name)}/pause')))}")

    use_queues_api("queue", work)


@queue.command(cls=GlobalOptions)
@click.argument("name", metavar="NAME")
@settings_options("database_url")
@friendly_errors
def resume(*, name: str) -> None:
    """Start runs of the queue NAME again."""

    async def work(api: Api) -> None:
        body_of(await api.client.post(f"{_path(name)}/resume"))
        click.echo(f"queue {name} is resumed")

    use_queues_api("queue", work)


@queue.command(cls=GlobalOptions)
@click.argument("name", metavar="NAME")
@click.option("--confirm", default=None, metavar="NAME", help="Confirm with the queue's name, instead of a prompt.")
@settings_options("database_url")
@friendly_errors
def clear(*, name: str, confirm: str | None) -> None:
    """Remove all queued runs from the queue NAME, after its name is typed once more."""
    typed = click.prompt(f"Type {name} to remove all runs from this queue", err=True) if confirm is None else confirm

    async def work(api: Api) -> None:
        removed = body_of(await api.client.post(f"{_path(name)}/clear", json={"name": typed}))["removed"]
        click.echo(f"removed from queue {name}: {removed}")

    use_queues_api("queue", work)


@queue.command(cls=GlobalOptions)
@click.argument("name", metavar="DAG")
@click.argument("run_id", metavar="RUN_ID")
@click.argument("value", metavar="[PRIORITY]", required=False, type=click.IntRange(-1000, 1000))
@click.option("--front", is_flag=True, help="Move the run to the front of its queue.")
@settings_options("database_url")
@friendly_errors
def priority(*, name: str, run_id: str, value: int | None, front: bool) -> None:
    """Change the priority of the queued run RUN_ID of DAG, or move it to the front of its queue."""

    async def work(api: Api) -> None:
        path = run_path(name, run_id)
        run = body_of(await api.client.get(path))["dagRunDetails"]
        wait = run.get("waitingFor")
        if wait is None:
            raise click.ClickException(f"run {run_id} of DAG {name} is not queued, it is {run['statusLabel']}")
        body = {"priority": value, "toFront": front}
        body_of(await api.client.patch(f"{items_path(wait['queue'])}/{wait['item']}", json=body))
        click.echo(f"run {run_id} of DAG {name} is moved in queue {wait['queue']}")

    use_queues_api("queue", work)
