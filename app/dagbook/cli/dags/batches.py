"""``dagbook backfill`` and ``dagbook batch``: scheduled times that are started or done again, many at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Mapping

import click

from dagbook.api.schemas.batches import Batch, BatchItem, BatchItems, BatchList, CreatedBatch
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import GlobalOptions, ListingGroup
from dagbook.cli.complete import complete_what
from dagbook.cli.output import count_of, print_json, print_table, report, show_progress, wants_json, words

_POLL_SECONDS = 0.5
_batch_id = click.argument("batch_id", metavar="ID", type=click.IntRange(min=1))
_LIST_EMPTY = "there is no batch; `dagbook backfill DAG --from DAY --to DAY` makes one"


@click.command(cls=GlobalOptions, example="dagbook backfill etl --from 2026-03-01 --to 2026-03-31 --dry-run")
@click.argument("dag", metavar="DAG", shell_complete=complete_what)
@click.option("--from", "first", required=True, metavar="DAY", help="First day of the schedule, or a time with a zone.")
@click.option("--to", "last", required=True, metavar="DAY", help="Last day of the schedule, or a time with a zone.")
@click.option("--only", type=click.Choice(["missing", "failed", "all"]), help="Which times; missing and failed ones.")
@click.option("--unknown", is_flag=True, help="Also times of which nothing is known any more.")
@click.option("--param", "params", multiple=True, metavar="NAME=FORMAT", help="A param, as DAY=%F of the time.")
@click.option("--text", default="current", metavar="TEXT", help="Which text runs: current, original or a revision.")
@click.option("--parallel", type=click.IntRange(1, 100), default=1, metavar="N", help="Runs at a time; 1.")
@click.option(
    "--order", type=click.Choice(["oldest", "newest"]), default="oldest", help="Which times go first; oldest."
)
@click.option(
    "--on-failure", type=click.Choice(["continue", "stop"]), default="continue", help="After a failure; continue."
)
@click.option("--reason", default="", metavar="TEXT", help="Why it is done, for those who ask later.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--wait", is_flag=True, help="Return when all is done; exit status 1 if something has failed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_api()
def backfill(
    api: Api, /, *, dag: str, first: str, last: str, params: tuple[str, ...], text: str, **options: object
) -> Awaitable[int]:
    """Start the scheduled times of a stored DAG that have no run, and do those again that have failed.

    A run that has failed is retried in place if its text is the one to run; else a new run replaces it. Runs wait in
    the queue of the DAG, behind all others.
    """
    dry_run, waits, yes = (options.pop(name) for name in ("dry_run", "wait", "yes"))
    body: dict[str, object] = {
        "action": "start",
        "dag": dag,
        "from": first,
        "to": last,
        "params": dict(map(_pair, params)),
    }
    body |= {"text": int(text) if text.isdecimal() else text, "onFailure": options.pop("on_failure")}
    body |= {name: value for name, value in options.items() if value is not None}

    async def work() -> int:
        planned = await api.post("/batches", CreatedBatch, {**body, "dryRun": True})
        steps = _steps(planned, f"{options['order']} first, {options['parallel']} at a time")
        if dry_run or not planned.counts.planned:
            report(f"{_slots(planned)}\n{steps}", planned)
            return 0
        if not (yes or wants_json() or not sys.stdin.isatty()):
            click.confirm(f"{_slots(planned)}\n{steps}. Go on?", abort=True)
        made = await api.post("/batches", CreatedBatch, body)
        if not isinstance(made.batch_id, int):
            report("nothing is left to do", made)
            return 0
        if not waits:
            report(f"batch {made.batch_id}: {steps.replace('would ', '', 1)}", made)
            return 0
        return await _wait(api, made.batch_id)

    return work()


def _pair(text: str) -> tuple[str, str]:
    name, equals, form = text.partition("=")
    if not equals:
        raise click.UsageError(f"--param: {text!r} is no NAME=FORMAT; write DAY=%F for instance")
    return name, form


def _slots(planned: CreatedBatch) -> str:
    """Return how many scheduled times a range has, and what became of them."""
    found = sorted(planned.slots.items(), key=lambda item: -item[1])
    counts = ", ".join(f"{number} {words(outcome)}" for outcome, number in found)
    head = f"{count_of(sum(planned.slots.values()), 'slot')} ({', '.join(planned.schedule)}, {planned.zone})"
    return f"{head}: {counts}" if counts else head


def _steps(planned: CreatedBatch, how: str) -> str:
    """Return what a batch would do."""
    steps: Mapping[str, int] = planned.steps
    texts = [f"start {count_of(steps['start'], 'run')}"] if steps.get("start") else []
    texts += [f"retry {steps['retry']} (its text is current)"] if steps.get("retry") else []
    texts += [f"run {steps['again']} again with revision {planned.revision}"] if steps.get("again") else []
    held = [f"batch {batch} has {number} of them" for batch, number in planned.held.items()]
    if not texts:
        return "; ".join(["would do nothing", *held])
    *others, last = texts
    before = f"{', '.join(others)}{',' if others[1:] else ''} and " if others else ""
    return "; ".join([f"would {before}{last}", how, *held])


@click.group(cls=ListingGroup, example="dagbook batch show 8")
def batch() -> None:
    """Show, pause, resume, cancel and retry batches. Goes through the server if one is running.

    Without a command it prints the batches.
    """


@batch.command("list", example="dagbook batch list")
@with_api()
async def list_batches(api: Api) -> None:
    """Print the newest batches, and how far each one is."""
    found = await api.get("/batches", BatchList)
    rows = [
        (
            *(str(each.id), each.action, each.dag or each.filter.dag, _state(each)),
            *(str(each.counts.done), str(each.counts.failed), str(each.counts.planned + each.counts.begun)),
            each.created_by or "",
        )
        for each in found.batches
    ]
    head = ("ID", "ACTION", "DAG", "STATE", "DONE", "FAILED", "LEFT", "BY")
    print_table(head, rows, found, _LIST_EMPTY)


@batch.command(example="dagbook batch show 8")
@_batch_id
@with_api()
async def show(api: Api, *, batch_id: int) -> None:
    """Print a batch and its items, each with its run, or with why it has none."""
    found, items = await api.get(f"/batches/{batch_id}", Batch), await _read_items(api, batch_id)
    if wants_json():
        print_json({"batch": found, "items": items})
        return
    report(_sentence(found), found)
    rows = [
        (item.scheduled_at or item.source_run_id or "", words(item.state), item.dag_run_id or "", item.why or "")
        for item in items
    ]
    print_table(("ITEM", "STATE", "RUN", "WHY"), rows, items)


async def _read_items(api: Api, batch_id: int) -> list[BatchItem]:
    found: list[BatchItem] = []
    cursor = ""
    while True:
        page = await api.get(f"/batches/{batch_id}/items", BatchItems, {"cursor": cursor} if cursor else None)
        found += page.items
        if not isinstance(page.next_cursor, str):
            return found
        cursor = page.next_cursor


@batch.command(example="dagbook batch pause 8")
@_batch_id
@with_api()
async def pause(api: Api, *, batch_id: int) -> None:
    """Begin no further item of the batch ID until it is resumed."""
    await _change(api, batch_id, "pause")


@batch.command(example="dagbook batch resume 8")
@_batch_id
@with_api()
async def resume(api: Api, *, batch_id: int) -> None:
    """Go on with the batch ID; items that have failed stay so."""
    await _change(api, batch_id, "resume")


@batch.command(example="dagbook batch cancel 8 --stop-runs")
@_batch_id
@click.option("--stop-runs", is_flag=True, help="Stop its active runs, too.")
@with_api()
async def cancel(api: Api, *, batch_id: int, stop_runs: bool) -> None:
    """Leave out all items of the batch ID that have not begun."""
    await _change(api, batch_id, "cancel", {"stopRuns": stop_runs})


@batch.command(example="dagbook batch retry 8")
@_batch_id
@with_api()
async def retry(api: Api, *, batch_id: int) -> None:
    """Plan the failed items of the batch ID again, and go on."""
    await _change(api, batch_id, "retry")


async def _change(api: Api, batch_id: int, change: str, body: object = None) -> None:
    found = await api.post(f"/batches/{batch_id}/{change}", Batch, body)
    report(_sentence(found), found)


async def _wait(api: Api, batch_id: int) -> int:
    """Wait until a batch has ended, or is paused; returns 1 if an item has failed or is left."""
    if not api.transport.is_server:
        raise click.ClickException(f"batch {batch_id} waits for a server; start `dagbook serve`")
    while True:
        found = await api.get(f"/batches/{batch_id}", Batch)
        show_progress(_sentence(found))
        if found.ended_at or found.paused_at:
            show_progress()
            report(_sentence(found), found)
            return int(not found.ended_at or bool(found.counts.failed))
        await asyncio.sleep(_POLL_SECONDS)


def _sentence(found: Batch) -> str:
    counts = found.counts
    named = {"planned": counts.planned, "begun": counts.begun, "done": counts.done, "failed": counts.failed}
    some = [f"{number} {name}" for name, number in (named | {"left out": counts.left_out}).items() if number]
    return f"batch {found.id} {_state(found)}: {', '.join(some)}"


def _state(found: Batch) -> str:
    if found.ended_at:
        return "cancelled" if found.cancelled_at else "ended"
    if found.paused_at:
        return f"paused ({found.paused_why})" if found.paused_why else "paused"
    return "cancelled" if found.cancelled_at else "open"
