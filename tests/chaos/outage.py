"""PostgreSQL is stopped hard again and again while runs are started, and the server goes on (promise R3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import httpx

from tests.chaos.experiment import ExperimentError, Figures
from tests.chaos.kill import Flow, KillExperiment, Size
from tests.chaos.sandbox import Sandbox
from tests.process.waiting import wait_for

_MOST_DOWN = 2.0  # seconds
_BACK_SECONDS = 60


class OutagePlan(NamedTuple):
    """The stops and runs, the seed, and the seconds from one stop to the next, drawn between the two."""

    stops: int
    runs: int
    seed: int
    shortest: float = 5
    longest: float = 40


class OutageExperiment(KillExperiment):
    """The runs and checks of ``kill``, but what is stopped is the database, as by a crash of its machine."""

    def __init__(self, sandbox: Sandbox, plan: OutagePlan, show: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(sandbox, Size(plan.stops, plan.runs, plan.seed), show)
        if sandbox.cluster is None:
            raise ExperimentError("a PostgreSQL server of the experiment's own is needed: it is stopped")
        self._cluster = sandbox.cluster
        self._plan = plan
        self._refused = 0
        self._down: list[float] = []

    def _interfere(self) -> None:
        self._start()
        self.restarts.clear()
        for number in range(self._plan.stops):
            self._live(number)
            self._show_progress(number)

    def _show_progress(self, life: int) -> None:
        met = f"which met {self.hit} running steps"
        self._progress(f"{life + 1} of {self._plan.stops} stops, {met}; {len(self.answered)} of {self._plan.runs} runs")

    def figures(self) -> Figures:
        counts = {
            "stops of PostgreSQL": len(self._down),
            "runs answered": len(self.answered),
            "requests without an answer, or refused with 503": self._refused,
            "steps started": len(self.witness.lines()),
            "steps running at a stop": self.hit,
        }
        samples = {
            "seconds that PostgreSQL was down": self._down,
            "seconds from its start until the server was healthy": self.restarts,
            "seconds from the last stop until all runs had finished": self.settling,
        }
        return Figures(counts, samples)

    def _live(self, life: int) -> None:
        with self._posting(life, self._random.uniform(self._plan.shortest, self._plan.longest), _MOST_DOWN):
            self.hit += len(self._live_steps())
            begin = time.monotonic()
            self._cluster.stop()
            time.sleep(self._random.uniform(0, _MOST_DOWN))  # how long it is down is what is tried
            self._cluster.start()
            back = time.monotonic()
            self._down.append(back - begin)
            wait_for("health", lambda: self.server.api.health() == httpx.codes.OK, seconds=_BACK_SECONDS)
            self.restarts.append(time.monotonic() - back)
        if not self.server.is_alive():
            raise ExperimentError("the server has ended by itself")

    def _record(self, flow: Flow, answer: Future[httpx.Response]) -> bool:
        """Record the answer to a start; one that was refused because there is no database is sent again."""
        refused = answer.exception() is None and answer.result().status_code == httpx.codes.SERVICE_UNAVAILABLE
        recorded = not refused and super()._record(flow, answer)
        self._refused += not recorded
        return recorded
