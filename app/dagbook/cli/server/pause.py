"""``dagbook pause`` and ``unpause``: start nothing for a while, with a reason and an end."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import islice
from shlex import quote

import click
from msgspec import UNSET
from msgspec.structs import replace

from dagbook.api.schemas.maintenance import EndedPause, PauseStatus, SetPause
from dagbook.cli.api import Api, decode, with_api
from dagbook.cli.commands import GlobalOptions, reason_option, until_option
from dagbook.cli.output import count_of, echo, notice, report
from dagbook.cli.runs.why import describe_hold, describe_pause, read_hold
from dagbook.cli.transport import Mode

_POLL_SECONDS = 0.5
_MOST_OFFERED = 20  # DAGs


@click.command(cls=GlobalOptions, example='dagbook pause --reason "move of the database" --until 06:00 --wait')
@reason_option(required=True)
@until_option
@click.option("--wait", is_flag=True, help="Return when no run is running any more.")
@with_api(mode=Mode.QUEUE)
async def pause(api: Api, *, reason: str, until: datetime | None, wait: bool) -> None:
    """Start no run on any server until UNTIL, or until `dagbook unpause`; running runs go on to their end.

    What is started meanwhile waits in its queue. Queues and DAGs that are paused or suspended by themselves stay so at
    the end. With --wait the command returns when everything has come to rest; the pause goes on.
    """
    end = UNSET if until is None else until.isoformat()
    state = await api.put("/pause", PauseStatus, SetPause(reason=reason, until=end))
    if (hold := await read_hold(api)) is not None:
        echo(describe_hold(hold), fg="red", err=True)
    if wait and state.running:
        notice(f"waiting for {count_of(state.running, 'run')}")
    while wait and state.running:
        await asyncio.sleep(_POLL_SECONDS)
        state = await api.get("/pause", PauseStatus)
        if not state.paused:
            raise click.ClickException("the pause has ended while runs were running")
    shown = describe_pause(replace(state, until=end))  # in the zone of the terminal
    report(f"{shown}\nrunning: {state.running or 0}, queued: {state.queued or 0}", state)


@click.command(cls=GlobalOptions, example="dagbook unpause")
@with_api(mode=Mode.QUEUE)
async def unpause(api: Api) -> None:
    """End the pause of everything: queued runs start, and schedules from the next minute on.

    DAGs with the setting catchup make up for what the pause has skipped. Of the others the number is printed, with the
    commands that start them.
    """
    done = decode(await api.send("DELETE", "/pause"), EndedPause)
    report(describe_end(done), done)


def describe_end(done: EndedPause) -> str:
    """Return how many starts of schedules a pause has skipped, and the commands that start them."""
    offered = islice(done.skipped, _MOST_OFFERED)
    lines = [
        f"the pause has ended; it skipped {count_of(done.skipped_starts, 'start')} of schedules",
        *(f"  dagbook backfill {quote(name)} --from {done.since} --to {done.ended_at}" for name in offered),
    ]
    if (more := len(done.skipped) - _MOST_OFFERED) > 0:
        lines.append(f"  and {count_of(more, 'more DAG')}")
    return "\n".join(lines)
