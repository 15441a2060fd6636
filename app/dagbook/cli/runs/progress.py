"""Progress of a run in the terminal: each step as it starts and finishes, and its output line by line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Collection

from dagbook.api.schemas.runs import DAGRunDetails, Log, Node
from dagbook.cli.api import Api, decode, segment
from dagbook.cli.output import echo, echo_output, echo_styled, print_json, style, wants_json, words
from dagbook.cli.runs.lookup import NEVER, nodes_of, read_details
from dagbook.engine.status import NodeStatus, RunStatus

_MARKS = {
    NodeStatus.RUNNING: ("▶", "blue"),
    NodeStatus.FAILED: ("✗", "red"),
    NodeStatus.ABORTED: ("■", "red"),
    NodeStatus.SUCCEEDED: ("✓", "green"),
    NodeStatus.SKIPPED: ("↷", "yellow"),
    NodeStatus.PARTIALLY_SUCCEEDED: ("✓", "yellow"),
}


class Progress:
    """Polls a run through the API and prints what changed."""

    def __init__(self, api: Api, path: str, hidden: Collection[str] = ()) -> None:
        self._api = api
        self._path = path
        self._hidden = hidden
        self._seen: dict[str, NodeStatus] = {}
        self._lines: dict[tuple[str, str], int] = {}
        self._waits_for = ""

    async def show(self, run: DAGRunDetails, *, is_first: bool) -> None:
        """Print the changes since the last poll."""
        if is_first:
            echo(f"{run.name}  {run.dag_run_id}", bold=True)
        if run.waiting_for and run.waiting_for.message != self._waits_for:
            self._waits_for = run.waiting_for.message
            echo(f"waiting: {self._waits_for}", err=True)
        for node in nodes_of(run):
            if node.step.name not in self._hidden:
                await self._show(node)

    async def _show(self, node: Node) -> None:
        name, status = node.step.name, node.status
        before = self._seen.get(name, NodeStatus.NOT_STARTED)
        if before is NodeStatus.NOT_STARTED and (status is NodeStatus.RUNNING or node.started_at not in NEVER):
            _mark(name, NodeStatus.RUNNING)
        if node.stdout and not before.is_final:
            for stream in ("stdout", "stderr"):
                await self._print_new_lines(name, stream)
        if status is not before and status.is_final:
            _mark(name, status, node.error or "")
        self._seen[name] = status

    async def _print_new_lines(self, name: str, stream: str) -> None:
        more = True
        while more:
            offset = self._lines.get((name, stream), 0) + 1
            query: dict[str, str | int] = {"stream": stream, "offset": offset, "limit": 1000}
            answer = await self._api.send("GET", f"{self._path}/steps/{segment(name)}/log", query=query)
            if not answer.is_success:
                return
            page = decode(answer, Log)
            count = page.line_count or 0
            for line in page.content.split("\n") if count else ():
                echo_output(f"  {line}", err=stream == "stderr")
            more = bool(page.has_more) and count > 0
            self._lines[name, stream] = offset - 1 + count


def _mark(name: str, status: NodeStatus, error: str = "") -> None:
    mark, colour = _MARKS[status]
    first = error.partition("\n")[0]
    echo_styled(style(mark, fg=colour), style(f" {name}{f'  {first}' if first else ''}"))


async def watch(api: Api, path: str, hidden: Collection[str] = ()) -> int:
    """Print the progress of a run until it is finished and return the exit status; an interrupt stops the run.

    It removes a run that waits from its queue. Nothing is printed of the steps named in ``hidden``. JSON is printed at
    the end, of the finished run.
    """
    progress = Progress(api, path, hidden)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    requested, run = False, None
    while True:
        is_first, run = run is None, await read_details(api, path)
        if not wants_json():
            await progress.show(run, is_first=is_first)
        if run.status.is_final:
            break
        if stop.is_set() and not requested:
            if run.status is RunStatus.QUEUED and (await api.send("GET", f"{path}/dequeue")).is_success:
                echo("removed from its queue", err=True)
                return 1
            requested = True
            echo("stopping", err=True)
            await api.send("POST", f"{path}/stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(api.transport.poll_seconds):
                await (asyncio.Event() if requested else stop).wait()
    _print_end(run)
    return 0 if run.status in (RunStatus.SUCCEEDED, RunStatus.ABORTED) else 1


def _print_end(run: DAGRunDetails) -> None:
    """Print the final status, and the error of a run that no step has failed."""
    if wants_json():
        print_json({"dagRunDetails": run})
        return
    if run.error:
        echo_output(run.error, err=True)
    good = run.status in (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)
    echo(words(run.status.label), fg="green" if good else "red", bold=True)


async def wait_finished(api: Api, path: str) -> RunStatus:
    """Wait until a run is finished, and return its final status."""
    while True:
        status = (await read_details(api, path)).status
        if status.is_final:
            return status
        await asyncio.sleep(api.transport.poll_seconds)
