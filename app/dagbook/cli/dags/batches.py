"""``dagbook backfill`` and ``dagbook batch``: scheduled times that are started or done again, many at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import reduce
from typing import NamedTuple

import click
from click.decorators import FC

from dagbook.api.schemas.batches import Batch, BatchItem, BatchItems, BatchList, CreatedBatch
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import GlobalOptions, ListingGroup
from dagbook.cli.complete import complete_what
from dagbook.cli.output import count_of, notice, print_json, print_table, report, show_progress, wants_json, words

_POLL_SECONDS = 0.5
_VERBS = ("start", "stop", "dequeue", "delete")
_batch_id = click.argument("batch_id", metavar="ID", type=click.IntRange(min=1))
_LIST_EMPTY = "there is no batch; `dagbook backfill DAG --from DAY --to DAY` makes one"


def running_options(parallel: int = 1) -> Callable[[FC], FC]:
    """Make the options of a batch that makes runs, of which so many run at a time by default."""
    options = (
        click.option("--text", default="current", metavar="TEXT", help="What runs: current, original or a revision."),
        click.option(
            *("--parallel", "parallel"),
            type=click.IntRange(1, 100),
            default=parallel,
            metavar="N",
            help=f"Runs at a time; {parallel}.",
        ),
        click.option(
            "--order", type=click.Choice(["oldest", "newest"]), default="oldest", help="Which go first; oldest."
        ),
        click.option(
            "--on-failure",
            type=click.Choice(["continue", "stop"]),
            default="continue",
            help="After a failure; continue.",
        ),
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def sending_options(command: FC) -> FC:
    """Add the options of how a batch is made."""
    options = (
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        click.option("--wait", is_flag=True, help="Return when all is done; exit status 1 if something has failed."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    )
    return reduce(lambda made, option: option(made), reversed(options), command)


@click.command(cls=GlobalOptions, example="dagbook backfill etl --from 2026-03-01 --to 2026-03-31 --dry-run")
@click.argument("dag", metavar="DAG", shell_complete=complete_what)
@click.option("--from", "first", required=True, metavar="DAY", help="First day of the schedule, or a time with a zone.")
@click.option("--to", "last", required=True, metavar="DAY", help="Last day of the schedule, or a time with a zone.")
@click.option("--only", type=click.Choice(["missing", "failed", "all"]), help="Which times; missing and failed ones.")
@click.option("--unknown", is_flag=True, help="Also times of which nothing is known any more.")
@click.option("--param", "params", multiple=True, metavar="NAME=FORMAT", help="A param, as DAY=%F of the time.")
@running_options()
@click.option("--reason", default="", metavar="TEXT", help="Why it is done, for those who ask later.")
@sending_options
@with_api()
def backfill(
    api: Api, /, *, dag: str, first: str, last: str, params: tuple[str, ...], text: str, **options: object
) -> Awaitable[int]:
    """Start the scheduled times of a stored DAG that have no run, and do those again that have failed.

    A run that has failed is retried in place if its text is the one to run; else a new run replaces it. Runs wait in
    the queue of the DAG, behind all others.
    """
    how = take_sending(options)
    body: dict[str, object] = {
        "action": "start",
        "dag": dag,
        "from": first,
        "to": last,
        "params": dict(map(_pair, params)),
    }
    body |= batch_members({"text": text, **options})
    return send(api, body, _slots, how)


class Sending(NamedTuple):
    """How a command makes a batch."""

    dry_run: bool
    waits: bool
    yes: bool


def take_sending(options: dict[str, object]) -> Sending:
    """Take how a batch is made out of the options of a command."""
    return Sending(*(bool(options.pop(name)) for name in ("dry_run", "wait", "yes")))


def batch_members(options: Mapping[str, object]) -> dict[str, object]:
    """Return the members of a request that options are, those that were given."""
    members = {"on_failure": "onFailure"}
    found = {members.get(name, name): value for name, value in options.items() if value is not None}
    text = found.get("text")
    return found | ({"text": int(text)} if isinstance(text, str) and text.isdecimal() else {})


async def send(
    api: Api, body: Mapping[str, object], head_of: Callable[[CreatedBatch], str], how: Sending, *, counts: bool = False
) -> int:
    """Say what a batch would do, make it after a question, and wait for it; returns the exit status.

    With ``counts`` it is refused if it is not as large any more as the question has said.
    """
    planned = await api.post("/batches", CreatedBatch, {**body, "dryRun": True})
    steps = _steps(planned, body)
    for warning in planned.warnings:
        notice(warning)
    if how.dry_run or not planned.counts.planned:
        report(f"{head_of(planned)}\n{steps}", planned)
        return 0
    if not (how.yes or wants_json() or not sys.stdin.isatty()):
        click.confirm(f"{head_of(planned)}\n{steps}. Go on?", abort=True)
        body = {**body, "expect": planned.counts.planned} if counts else body
    made = await api.post("/batches", CreatedBatch, body)
    if not isinstance(made.batch_id, int):
        report("nothing is left to do", made)
        return 0
    if not how.waits:
        report(f"batch {made.batch_id}: {steps.replace('would ', '', 1)}", made)
        return 0
    return await _wait(api, made.batch_id)


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


def _steps(planned: CreatedBatch, body: Mapping[str, object]) -> str:
    """Return what a batch would do."""
    steps: Mapping[str, int] = planned.steps
    which = "its own text" if body.get("text") == "original" else "the current text"
    text = f"revision {planned.revision}" if planned.revision else which
    texts = [f"{verb} {count_of(steps[verb], 'run')}" for verb in _VERBS if steps.get(verb)]
    texts += [f"retry {steps['retry']} (its text is current)"] if steps.get("retry") else []
    texts += [f"run {steps['again']} again with {text}"] if steps.get("again") else []
    held = [f"batch {batch} has {number} of them" for batch, number in planned.held.items()]
    if not texts:
        return "; ".join(["would do nothing", *held])
    how = [f"{body.get('order', 'oldest')} first, {body['parallel']} at a time"] if "parallel" in body else []
    *others, last = texts
    before = f"{', '.join(others)}{',' if others[1:] else ''} and " if others else ""
    return "; ".join([f"would {before}{last}", *how, *held])


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
            *(str(each.id), each.action, each.dag or each.filter.dag or "", _state(each)),
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
