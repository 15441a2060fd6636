"""``dagbook events``: the history of a run, and the live feed of changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import click
import httpx
import msgspec
from msgspec import UNSET

from dagbook.api.schemas.batches import BatchChange
from dagbook.api.schemas.run_logs import RunEvent
from dagbook.api.schemas.runs import ChannelChange, DAGChange, DAGRunAnswer, LogChange, QueueChange, RunChange
from dagbook.cli.api import Api, check, decode, decode_json, use_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.complete import complete_dags, complete_runs
from dagbook.cli.output import COLOURS, echo_styled, notice, print_json, print_table, style, wants_json, words
from dagbook.cli.runs.lookup import find_run, get_run, read_events
from dagbook.cli.settings import with_settings
from dagbook.cli.transport import EVENT_STREAM
from dagbook.engine.status import NodeStatus

_LIMIT = httpx.Timeout(30, read=60)  # the feed has a heartbeat every 20 seconds
_PAUSE_SECONDS = 2.0


@click.command(cls=GlobalOptions, example="dagbook events -f --json")
@click.argument("name", required=False, default="", metavar="[DAG]", shell_complete=complete_dags)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-f", "--follow", is_flag=True, help="Print changes as they happen, until it is interrupted.")
@click.option("--after", default="", metavar="ID", help="With -f, first print the changes after this event.")
@with_settings("database_url")
def events(*, name: str, run_id: str, follow: bool, after: str) -> None:
    """Print the history of run RUN_ID of DAG, of its newest without an id; with -f, changes as they happen.

    With -f, DAG and RUN_ID select the changes of a DAG or of a run; without them, all are printed. It needs a running
    server. With --json each event is one line.
    """
    if not follow and not name:
        raise click.UsageError("give a DAG for the history of its newest run, or -f for changes as they happen")
    if after and not follow:
        raise click.UsageError("--after is for changes as they happen; add -f")
    if not follow:
        use_api(lambda api: _print_history(api, name, run_id))
        return
    with suppress(KeyboardInterrupt):  # the usual end
        use_api(lambda api: _follow(api, name, run_id, after))


async def _print_history(api: Api, name: str, run_id: str) -> None:
    found = await read_events(api, await find_run(api, name, run_id))
    rows = [
        (str(event.number), event.at, str(event.attempt), event.step or "(run)", sentence)
        for event in found
        if (sentence := sentence_of(event))  # an event of the server's own concern, such as the command as it runs
    ]
    print_table(("NUMBER", "AT", "ATTEMPT", "STEP", "EVENT"), rows, {"events": found})


def sentence_of(event: RunEvent) -> str:
    """Return what happened, and details such as an exit code, in the words of the run's page (lib/events.js).

    The name of the step is not among them; empty for an event that the page does not show.
    """
    happened = [*_happened(event)]
    return ", ".join([*happened, *_details(event)]) if happened else ""


def _happened(event: RunEvent) -> Iterator[str]:
    happened = (
        (event.trigger, "accepted"),
        (event.queue, f"queued in {event.queue}"),
        (event.dequeued, "removed from its queue"),
        (event.stop_requested_at, "stop requested"),
        (event.timed_out, "time limit reached"),
        (event.unmet_preconditions, f"preconditions are not met: {'; '.join(event.unmet_preconditions or ())}"),
    )
    yield from (text for has_happened, text in happened if has_happened)
    label = words(event.status_label or "")
    if event.set_by_hand:
        yield f"set to {label} by hand" if label else "changed by hand"
    elif label and not event.queue:
        yield _status_text(event, label)
    if event.due_at:
        yield "will be repeated" if event.retry_count is UNSET else "failed and will be retried"
    elif isinstance(event.execution, int) and event.execution > 1 and not label:
        yield "executed again"


def _status_text(event: RunEvent, label: str) -> str:
    if label == "running":
        return "started"
    if event.step and isinstance(event.status, int) and NodeStatus(event.status).is_final and not event.finished_at:
        return "did not run"
    return label


def _details(event: RunEvent) -> Iterator[str]:
    if event.error:
        first, *others = event.error.removeprefix("not run: ").strip().split("\n")
        yield f"{first} \N{EN DASH} {others[-1]}" if others else first
    elif event.exit_code:
        yield f"exit code {event.exit_code}"
    if event.retry_count:
        yield f"retry {event.retry_count}"
    if isinstance(event.execution, int) and event.execution > 1:
        yield f"execution {event.execution}"
    if event.due_at:
        yield f"at {event.due_at}"
    if event.retried_step:
        yield f"of step {event.retried_step}"
    if event.actor:
        yield f"by {event.actor}"
    if event.trigger and event.trigger != "api":
        yield f"trigger {event.trigger}"


async def _follow(api: Api, name: str, run_id: str, after: str) -> None:
    """Print the feed; when its connection ends, it is resumed after the last event."""
    if run_id and (answer := await get_run(api, name, run_id)).is_success:  # else it is a run to come
        run_id = decode(answer, DAGRunAnswer).dag_run_details.dag_run_id
    query = {"run": f"{name}/{run_id}"} if run_id else {"dag": name} if name else {}
    headers = {"Accept": EVENT_STREAM}
    while True:
        try:
            async with api.client.stream(
                "GET", "/events", params=query | ({"after": after} if after else {}), headers=headers, timeout=_LIMIT
            ) as response:
                if not response.is_success:
                    await response.aread()
                    check(response)
                async for kind, event_id, data in _frames(response.aiter_lines()):
                    after = event_id or after
                    _print_event(kind, after, data, response.url)
        except httpx.TransportError:
            notice("the connection ended; it is made again")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _frames(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str, str]]:
    """Yield kind, id and data of each event of a stream; a heartbeat has no data, and is left out."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(":")
        if line:
            fields[name] = fields.get(name, "") + value.removeprefix(" ")
            continue
        if "data" in fields:
            yield fields.get("event", "message"), fields.get("id", ""), fields["data"]
        fields = {}


def _print_event(kind: str, event_id: str, data: str, url: httpx.URL) -> None:
    if wants_json():
        print_json({"event": kind, "id": event_id, "data": decode_json(data, dict, url)})
        return
    match kind:
        case "reset":
            notice("some changes are no longer stored; these are the later ones")
        case "run":
            run = decode_json(data, RunChange, url)
            label = "removed" if run.removed else words(run.status_label)
            root = f" (of {run.root.name} {run.root.dag_run_id})" if run.root else ""
            text = style(f"{run.at}  run    {run.name} {run.dag_run_id}{root}  ")
            echo_styled(text, style(label, fg=COLOURS.get(label)))
        case "dag":
            dag = decode_json(data, DAGChange, url)
            plain = ("at", "name", "fileName", "what")
            more = {name: value for name, value in msgspec.to_builtins(dag).items() if name not in plain}
            rest = ", ".join(f"{name} {value}" for name, value in more.items())
            echo_styled(style(f"{dag.at}  dag    {dag.file_name}  {dag.what}{rest and f'  {rest}'}"))
        case "queue":
            queue = decode_json(data, QueueChange, url)
            echo_styled(style(f"{queue.at}  queue  {queue.queue}"))
        case "channel":
            change = decode_json(data, ChannelChange, url)
            echo_styled(style(f"{change.at}  channel of alerts"))
        case "batch":
            batch = decode_json(data, BatchChange, url)
            echo_styled(style(f"{batch.at}  batch  {batch.name or 'of several DAGs'}"))
        case "log":
            log = decode_json(data, LogChange, url)
            stream = f"{log.step} {log.stream}"
            echo_styled(style(f"{'':24}  log    {log.name} {log.dag_run_id}  {stream}  {log.lines} lines"))
