"""``dagbook events``: the history of a run, and the live feed of changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import click
import httpx

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.complete import complete_dags, complete_runs
from dagbook.cli.definitions import find_run, get_run, read_events
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, notice, settings_options, wants_json
from dagbook.cli.output import COLOURS, print_json, print_table
from dagbook.cli.terminal import echo_styled, style

_HEADERS = {"Accept": "text/event-stream"}
_LIMIT = httpx.Timeout(30, read=60)  # the feed has a heartbeat every 20 seconds
_PAUSE_SECONDS = 2.0
_PLAIN = ("number", "at", "attempt", "step", "status", "statusLabel", "actor")


@click.command(cls=GlobalOptions, example="dagbook events -f --json")
@click.argument("name", required=False, default="", metavar="[DAG]", shell_complete=complete_dags)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-f", "--follow", is_flag=True, help="Print changes as they happen, until it is interrupted.")
@click.option("--after", default="", metavar="ID", help="With -f, first print the changes after this event.")
@settings_options("database_url")
@friendly_errors
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
        use_api("events", lambda api: _print_history(api, name, run_id))
        return
    with suppress(KeyboardInterrupt):  # the usual end
        use_api("events", lambda api: _follow(api, name, run_id, after))


async def _print_history(api: Api, name: str, run_id: str) -> None:
    found = await read_events(api, await find_run(api, name, run_id))
    rows = [
        (
            str(event["number"]),
            event["at"],
            str(event["attempt"]),
            event.get("step", "(run)"),
            event.get("statusLabel", "").replace("_", " "),
            _rest(event, _PLAIN) + (f" by {event['actor']}" if "actor" in event else ""),
        )
        for event in found
    ]
    print_table(("NUMBER", "AT", "ATTEMPT", "STEP", "STATUS", "DETAILS"), rows, {"events": found})


def _rest(fields: dict[str, Any], without: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if name not in without)


async def _follow(api: Api, name: str, run_id: str, after: str) -> None:
    """Print the feed; when its connection ends, it is resumed after the last event."""
    if run_id and (answer := await get_run(api, name, run_id)).is_success:  # else it is a run to come
        run_id = answer.json()["dagRunDetails"]["dagRunId"]
    query = {"run": f"{name}/{run_id}"} if run_id else {"dag": name} if name else {}
    headers = dict(_HEADERS)
    while True:
        try:
            async with api.client.stream(
                "GET", "/events", params=query | ({"after": after} if after else {}), headers=headers, timeout=_LIMIT
            ) as response:
                if not response.is_success:
                    await response.aread()
                    body_of(response)
                async for kind, event_id, data in _frames(response.aiter_lines()):
                    after = event_id or after
                    _print_event(kind, after, data)
        except httpx.TransportError:
            notice("the connection ended; it is made again")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _frames(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, id and data of each event of a stream; a heartbeat has no data, and is left out."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(":")
        if line:
            fields[name] = fields.get(name, "") + value.removeprefix(" ")
            continue
        if "data" in fields:
            yield fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"])
        fields = {}


def _print_event(kind: str, event_id: str, data: dict[str, Any]) -> None:
    if wants_json():
        print_json({"event": kind, "id": event_id, "data": data})
        return
    match kind:
        case "ready":
            return
        case "reset":
            notice("some changes are no longer stored; these are the later ones")
        case "run":
            label = "removed" if data.get("removed") else data["statusLabel"].replace("_", " ")
            root = f" (of {data['root']['name']} {data['root']['dagRunId']})" if "root" in data else ""
            run = style(f"{data['at']}  run    {data['name']} {data['dagRunId']}{root}  ")
            echo_styled(run, style(label, fg=COLOURS.get(label)))
        case "dag":
            rest = _rest(data, ("at", "name", "fileName", "what"))
            echo_styled(style(f"{data['at']}  dag    {data['fileName']}  {data['what']}{rest and f'  {rest}'}"))
        case "queue":
            echo_styled(style(f"{data['at']}  queue  {data['queue']}"))
        case "log":
            stream = f"{data['step']} {data['stream']}"
            echo_styled(style(f"{'':24}  log    {data['name']} {data['dagRunId']}  {stream}  {data['lines']} lines"))
