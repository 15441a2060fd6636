"""Very many runs fail within seconds (FA7): starts are not slower for it, and a chat is not flooded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import psutil

from tests.chaos.alerts.receiver import Receiver
from tests.chaos.alerts.told import CHAT, FAILS, HOOK, Told, add_channel, add_rule, read_rows, wait_until_told
from tests.chaos.experiment import ExperimentError, Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants
from tests.process.server import Server

_CLIENTS = 8
_MOST_SECONDS = 300.0  # until all runs have ended
_MOST_MESSAGES = 4


class BurstPlan(NamedTuple):
    """How many runs of how many DAGs are started within some seconds; the chat gets one message in an interval."""

    runs: int
    dags: int
    seconds: float
    interval: int = 60


class BurstExperiment:
    """The runs are started twice: without a rule, and, under other names, with one."""

    def __init__(self, sandbox: Sandbox, plan: BurstPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._server = Server(sandbox.directory / "home", sandbox.url)
        self._receiver = Receiver()
        self._progress = Progress(show)
        self._starts: dict[str, list[float]] = {"without": [], "with": []}
        self._work: dict[str, list[float]] = {"without": [], "with": []}
        self._alerts = 0
        self._messages: list[float] = []
        self._telling: list[float] = []

    def run(self) -> list[str]:
        try:
            with self._receiver:
                return list(self._run(self._server.start()))
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        starts = {f"seconds of a start {name} a rule": found for name, found in self._starts.items()}
        work = {f"seconds of a processor of the server {name} a rule": found for name, found in self._work.items()}
        samples = {"messages of a chat about them": self._messages, "seconds until all was told": self._telling}
        counts = {"runs": sum(map(len, self._starts.values())), "alerts": self._alerts}
        return Figures(counts, starts | work | samples)

    def _run(self, server: Server) -> Iterator[str]:
        url = server.database_url
        for name in (HOOK, CHAT):
            interval = self._plan.interval if name == CHAT else 0
            add_channel(server.api, name, self._receiver.url(f"/{name}"), intervalSeconds=interval)
        yield from self._burst(server, "without")
        if found := read_rows(url).deliveries:
            yield f"without a rule there are {len(found)} messages"
        add_rule(server.api, HOOK, CHAT)
        begin = time.monotonic()
        yield from self._burst(server, "with")
        rows = wait_until_told(url, seconds=self._plan.seconds + 10 * self._plan.interval)
        self._telling.append(time.monotonic() - begin)
        # Those of before the rule have no events.
        rows = rows._replace(failed=[run for run in rows.failed if run.dag.startswith("with-")])
        self._alerts = sum(row.channel == HOOK for row in rows.deliveries)
        self._messages.append(len(self._receiver.of(f"/{CHAT}")))
        if self._alerts != self._plan.dags:
            yield f"{self._alerts} alerts of {self._plan.dags} DAGs"
        if self._messages[-1] > _MOST_MESSAGES:
            yield f"{self._messages[-1]:.0f} messages of a chat"
        told = Told(rows, self._receiver.requests)
        if told.repeats:
            yield f"{told.repeats} messages were accepted twice"
        yield from told.find_violations()
        yield from invariants.find_violations(url)

    def _burst(self, server: Server, name: str) -> Iterator[str]:
        begin, pause = time.monotonic(), self._plan.seconds / self._plan.runs
        expected = len(read_rows(server.database_url).failed) + self._plan.runs

        def start(number: int) -> httpx.Response:
            time.sleep(max(begin + number * pause - time.monotonic(), 0))  # a constant rate, if the server keeps up
            asked = time.monotonic()
            answer = server.api.post_run(FAILS, name=f"{name}-{number % self._plan.dags}")
            self._starts[name].append(time.monotonic() - asked)
            return answer

        self._progress.now(f"{self._plan.runs} runs {name} a rule")
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        with ThreadPoolExecutor(_CLIENTS) as threads:
            refused = [answer for answer in threads.map(start, range(self._plan.runs)) if answer.is_error]
        yield from (f"a start was refused: {answer.text}" for answer in refused[:1])
        failed = _wait_for_ends(server.database_url)
        after = process.cpu_times()
        self._work[name].append(after.user + after.system - before.user - before.system)
        if failed != expected:
            yield f"{failed} runs have failed, not {expected}"


def _wait_for_ends(url: str) -> int:
    end = time.monotonic() + _MOST_SECONDS
    while (rows := read_rows(url)).unfinished:
        if time.monotonic() > end:
            raise ExperimentError(f"{rows.unfinished} runs have not ended within {_MOST_SECONDS:g} s")
        time.sleep(1)  # each look reads all runs
    return len(rows.failed)
