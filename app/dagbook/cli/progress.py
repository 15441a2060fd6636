"""Progress of a run in the terminal: each step as it starts and finishes, and its output line by line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import httpx

from dagbook.cli.client import Api
from dagbook.cli.options import wants_json
from dagbook.cli.output import print_json
from dagbook.cli.reasons import nodes_of
from dagbook.cli.terminal import echo, echo_output, echo_styled, style
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

    def __init__(self, client: httpx.AsyncClient, path: str, hidden: Collection[str] = ()) -> None:
        self._client = client
        self._path = path
        self._hidden = hidden
        self._seen: dict[str, NodeStatus] = {}
        self._lines: dict[tuple[str, str], int] = {}
        self._run: dict[str, Any] = {}

    async def read(self) -> RunStatus:
        """Read the run and return its status."""
        answer = await self._client.get(self._path)
        answer.raise_for_status()
        self._run = answer.json()["dagRunDetails"]
        return RunStatus(self._run["status"])

    async def poll(self) -> RunStatus:
        """Print the changes since the last poll and return the run's status."""
        is_first = not self._run
        status = await self.read()
        run = self._run
        if is_first:
            echo(f"{run['name']}  {run['dagRunId']}", bold=True)
        for node in nodes_of(run):
            if node["step"]["name"] not in self._hidden:
                await self._show(node)
        return status

    async def _show(self, node: dict[str, Any]) -> None:
        name, status = node["step"]["name"], NodeStatus(node["status"])
        before = self._seen.get(name, NodeStatus.NOT_STARTED)
        if before is NodeStatus.NOT_STARTED and (status is NodeStatus.RUNNING or node["startedAt"] not in ("", "-")):
            self._mark(name, NodeStatus.RUNNING)
        if node["stdout"] and not before.is_final:
            for stream in ("stdout", "stderr"):
                await self._print_new_lines(name, stream)
        if status is not before and status.is_final:
            self._mark(name, status, node.get("error", ""))
        self._seen[name] = status

    @staticmethod
    def _mark(name: str, status: NodeStatus, error: str = "") -> None:
        mark, colour = _MARKS[status]
        first = error.partition("\n")[0]
        echo_styled(style(mark, fg=colour), style(f" {name}{f'  {first}' if first else ''}"))

    async def _print_new_lines(self, name: str, stream: str) -> None:
        more = True
        while more:
            offset = self._lines.get((name, stream), 0) + 1
            path = f"{self._path}/steps/{quote(name, safe='')}/log"
            answer = await self._client.get(path, params={"stream": stream, "offset": offset, "limit": 1000})
            if answer.status_code != httpx.codes.OK:
                return
            page = answer.json()
            for line in page["content"].split("\n") if page["lineCount"] else ():
                echo_output(f"  {line}", err=stream == "stderr")
            more = page["hasMore"] and page["lineCount"] > 0
            self._lines[name, stream] = offset - 1 + page["lineCount"]

    async def finish(self) -> None:
        """Print the final status, and the error of a run that no step has failed."""
        if wants_json():
            print_json({"dagRunDetails": self._run})
            return
        status = RunStatus(self._run["status"])
        if "error" in self._run:
            echo_output(self._run["error"], err=True)
        good = status in (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)
        echo(status.label.replace("_", " "), fg="green" if good else "red", bold=True)


async def watch(api: Api, path: str, hidden: Collection[str] = ()) -> int:
    """Print the progress of a run until it is finished and return the exit status; an interrupt stops the run.

    Nothing is printed of the steps named in ``hidden``. JSON is printed at the end, of the finished run.
    """
    progress = Progress(api.client, path, hidden)
    poll = progress.read if wants_json() else progress.poll
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    requested = False
    while not (status := await poll()).is_final:
        if stop.is_set() and not requested:
            requested = True
            echo("stopping", err=True)
            await api.client.post(f"{path}/stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(api.transport.poll_seconds):
                await (asyncio.Event() if requested else stop).wait()
    await progress.finish()
    return 0 if status in (RunStatus.SUCCEEDED, RunStatus.ABORTED) else 1


async def wait_finished(api: Api, path: str) -> RunStatus:
    """Wait until a run is finished, and return its final status."""
    while True:
        answer = await api.client.get(path)
        answer.raise_for_status()
        status = RunStatus(answer.json()["dagRunDetails"]["status"])
        if status.is_final:
            return status
        await asyncio.sleep(api.transport.poll_seconds)
