"""The clock of one of two servers is wrong by an hour while both send (FA5)."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.chaos.alerts.receiver import Receiver
from tests.chaos.alerts.told import CHAT, FAILS, HOOK, SUCCEEDS, Told, add_channel, add_rule, wait_until_told
from tests.chaos.experiment import Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants
from tests.process.program import ROOT
from tests.process.server import Server, all_running

_HOUR = 3600
_LATE, _DELAY = "late", 8.0
_SHARE = 3  # of so many DAGs one succeeds before its escalation is due


class ClockPlan(NamedTuple):
    """How often the clock is wrong, each time the other way, and how many DAGs fail then."""

    rounds: int
    dags: int
    seed: int


class ShiftedServer(Server):
    """A server whose clock is wrong by some seconds."""

    def __init__(self, home: Path, url: str, *, log: Path, seconds: float) -> None:
        super().__init__(home, url, log=log)
        self._seconds = seconds

    def _program(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "tests.chaos.alerts.shifted", *words]

    def _environment(self) -> dict[str, str]:
        paths = f"{ROOT / 'app'}:{ROOT}"
        return super()._environment() | {"PYTHONPATH": paths, "CHAOS_CLOCK": str(self._seconds)}


class ClockExperiment:
    """A third channel is told late: whom it is told of shows by which clock messages are due."""

    def __init__(self, sandbox: Sandbox, plan: ClockPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._sandbox = sandbox
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._receiver = Receiver()
        self._progress = Progress(show)
        self._repeats = 0
        self._runs = 0
        self._delays: list[float] = []

    def run(self) -> list[str]:
        found: list[str] = []
        with self._receiver:
            for number in range(self._plan.rounds):
                self._progress.now(f"round {number + 1} of {self._plan.rounds}")
                found += self._round(number)
        return found

    def figures(self) -> Figures:
        counts = {
            "runs": self._runs,
            "requests to receivers": len(self._receiver.requests),
            "messages that a receiver got twice": self._repeats,
        }
        return Figures(counts, {f"seconds from a start to the channel that is told {_DELAY:g} s later": self._delays})

    def _round(self, number: int) -> Iterator[str]:
        seconds = _HOUR if number % 2 else -_HOUR
        home, log = self._sandbox.directory / "home", self._sandbox.directory / "shifted.log"
        [right], wrong = self._sandbox.make_servers(1), ShiftedServer(home, self._sandbox.url, log=log, seconds=seconds)
        with all_running([right, wrong]):
            for name in (HOOK, CHAT, _LATE):
                add_channel(right.api, name, self._receiver.url(f"/{name}"), intervalSeconds=0)
            add_rule(right.api, HOOK, CHAT, f"{_LATE} +{_DELAY:g}s")
            dags = [f"round-{number}-dag-{index}" for index in range(self._plan.dags)]
            begins, ended = self._run_all([right, wrong], dags)
            time.sleep(_DELAY)  # until the last escalation is due
            rows = wait_until_told(right.database_url)
            told = Told(rows, self._receiver.requests)
            yield from told.find_violations()
            yield from self._late_violations(begins, ended)
            yield from invariants.find_violations(right.database_url)
        if told.repeats > self._repeats:
            yield f"{told.repeats - self._repeats} messages came twice with a clock that is wrong by {seconds} s"
        self._repeats = told.repeats

    def _run_all(self, servers: list[Server], dags: list[str]) -> tuple[dict[str, float], set[str]]:
        """Let all DAGs fail at one of the servers, and some succeed at one; returns when they began, and which did."""
        begins: dict[str, float] = {}
        ended = set(dags[::_SHARE])
        chosen = [(dag, self._random.choice(servers), self._random.choice(servers)) for dag in dags]

        def drive(dag: str, first: Server, second: Server) -> None:
            begins[dag] = time.time()
            first.api.ended(first.api.start(FAILS, name=dag), name=dag)
            if dag in ended:
                second.api.ended(second.api.start(SUCCEEDS, name=dag), name=dag)

        with ThreadPoolExecutor(2) as threads:
            for future in [threads.submit(drive, *each) for each in chosen]:
                future.result()
        self._runs += len(dags) + len(ended)
        return begins, ended

    def _late_violations(self, begins: dict[str, float], ended: set[str]) -> Iterator[str]:
        over = {
            each.body["data"]["dag"] for each in self._receiver.of(f"/{HOOK}") if each.body["type"] == "alert.closed"
        }
        yield from (f"the end of the alert of {dag} was not told" for dag in ended - over)
        late = {
            each.body["data"]["dag"]: each.at
            for each in reversed(self._receiver.of(f"/{_LATE}"))
            if each.body["type"] == "alert.opened"
        }
        for dag, begin in begins.items():
            if (dag in late) == (dag in ended):
                yield f"the late channel was {'' if dag in late else 'not '}told of {dag}"
            elif dag in late:
                self._delays.append(late[dag] - begin)
                if self._delays[-1] < _DELAY:
                    yield f"the late channel was told of {dag} after {self._delays[-1]:.1f} s"
