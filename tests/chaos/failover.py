"""Two schedulers on one database: one is killed around a full minute, which the other must not miss (promise R11)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.chaos.experiment import READ_UPTIME, ExperimentError, Figures, Progress, Witness, spread
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, store
from tests.process.server import Server, all_running
from tests.process.waiting import wait_for

_BEFORE, _AFTER = 0.8, 0.3  # seconds around the minute within which a server is killed
_SETTLE_SECONDS = 120
_OWNERS = """
SELECT s.pid, count(*) AS runs FROM schedule_slots o JOIN run_attempts a ON a.run_id = o.run_id
JOIN services s ON s.id = a.owner WHERE o.outcome = 'started' AND o.minute = :minute GROUP BY s.pid
"""
# On a busy machine a run may take longer than a minute; then the next one is skipped, which is correct.
_NOT_STARTED = """
SELECT file_name, minute, outcome || ' ' || COALESCE(reason, '') AS reason FROM schedule_slots
WHERE outcome <> 'started' AND COALESCE(reason, '') <> 'its newest run is still running' ORDER BY minute, file_name
"""


class Lateness(NamedTuple):
    """How late the slots of one minute were settled and their steps started, in seconds."""

    minute: datetime
    seconds: list[float]
    steps: list[float]


class Plan(NamedTuple):
    """The number of rounds, a minute each, and of DAGs that are due every minute.

    In every other round a server is killed at a random moment around the minute. In the others, and in all of them
    with ``always_within``, it is the server that starts the due DAGs, killed when it has started a part of them.
    """

    rounds: int
    dags: int
    seed: int
    always_within: bool = False
    most_seconds: float = 10  # a later slot is a violation


class FailoverExperiment:
    def __init__(self, sandbox: Sandbox, plan: Plan, show: Callable[[str], None] = lambda _: None) -> None:
        self.url = sandbox.url
        self.found: list[Lateness] = []
        self.within = 0  # kills while a part of the DAGs was started
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._witness = Witness(sandbox.directory / "witness")
        self.servers = sandbox.make_servers(2)
        self._progress = Progress(show)

    def run(self) -> list[str]:
        with all_running(self.servers):
            self._store()
            for number in range(self._plan.rounds):
                self._round(number)
            return list(self._violations())

    def figures(self) -> Figures:
        counts = {
            "minutes": len(self.found),
            "scheduled starts": sum(len(late.seconds) for late in self.found),
            "schedulers killed while a part of the DAGs was started": self.within,
        }
        samples = {
            "seconds until the last start of a minute": self._latest(steps=False),
            "seconds until the last step of a minute": self._latest(steps=True),
        }
        return Figures(counts, samples)

    def _latest(self, *, steps: bool) -> list[float]:
        return [max(late.steps if steps else late.seconds, default=0.0) for late in self.found]

    def _store(self) -> None:
        self._progress.now(f"{self._plan.dags} DAGs are stored")
        for number in range(self._plan.dags):
            command = f"{READ_UPTIME}; echo $DAG_RUN_ID $uptime >>{self._witness.path}"
            self.servers[0].api.store(
                f"minutely-{number}", f"schedule: '* * * * *'\nsteps: [{{name: a, shell: sh, command: '{command}'}}]\n"
            )

    def _round(self, number: int) -> None:
        minute = (datetime.now(UTC) + timedelta(minutes=1)).replace(second=0, microsecond=0)
        if (minute - datetime.now(UTC)).total_seconds() < _BEFORE + 1:
            minute += timedelta(minutes=1)
        late = spread(self._latest(steps=False))
        self._progress(f"{number} of {self._plan.rounds} minutes; seconds until their last slots: {late}")
        if number % 2 or self._plan.always_within:
            victim = self._kill_within(minute)
        else:
            victim = self.servers[number // 2 % 2]
            _sleep_until(minute + timedelta(seconds=self._random.uniform(-_BEFORE, _AFTER)))
            victim.kill()
        wait_for("all slots of the minute", lambda: self._is_whole(minute), seconds=_SETTLE_SECONDS)
        wait_for("the end of all runs", lambda: not self._open(), seconds=_SETTLE_SECONDS)
        self.found.append(Lateness(minute, self._late(minute), self._steps_late(minute)))
        if not next(server for server in self.servers if server is not victim).api.health():
            raise ExperimentError("the other server does not answer")
        victim.start()

    def _kill_within(self, minute: datetime) -> Server:
        """Kill the server that starts the due DAGs when it has started some; returns it."""
        _sleep_until(minute)
        time.sleep(self._random.uniform(0, 0.1))  # a random moment within the tick is what is tried
        rows = wait_for(
            "the first slots", lambda: store.query(self.url, _OWNERS, minute=minute), seconds=_SETTLE_SECONDS
        )
        pid = max(rows, key=lambda row: row.runs).pid
        victim = next(server for server in self.servers if server.pid == pid)
        victim.kill()
        self.within += len(self._late(minute)) < self._plan.dags
        return victim

    def _late(self, minute: datetime) -> list[float]:
        settled = "SELECT settled_at FROM schedule_slots WHERE minute = :minute"
        return [(row.settled_at - minute).total_seconds() for row in store.query(self.url, settled, minute=minute)]

    def _steps_late(self, minute: datetime) -> list[float]:
        of_minute = "SELECT r.run_id FROM schedule_slots o JOIN runs r ON r.id = o.run_id WHERE o.minute = :minute"
        runs = {row.run_id for row in store.query(self.url, of_minute, minute=minute)}
        return [at - minute.timestamp() for (run_id,), at in self._witness.timed_lines() if run_id in runs]

    def _is_whole(self, minute: datetime) -> bool:
        return len(self._late(minute)) == self._plan.dags

    def _violations(self) -> Iterator[str]:
        for late in self.found:
            if max(late.seconds) > self._plan.most_seconds:
                yield f"{late.minute:%H:%M} was {max(late.seconds):.1f} s late"
        wait_for("the end of all runs", lambda: not self._open(), seconds=_SETTLE_SECONDS)
        ran = Counter(run_id for (run_id,) in self._witness.lines())
        yield from (f"run {run_id} ran {count} times" for run_id, count in ran.items() if count != 1)
        runs = {row.run_id for row in store.query(self.url, "SELECT run_id FROM runs")}
        yield from (f"run {run_id} did not run" for run_id in runs - ran.keys())
        slots = store.query(self.url, "SELECT minute FROM schedule_slots WHERE outcome = 'started'")
        if len(slots) != len(runs):
            yield f"{len(runs)} runs for {len(slots)} slots"
        yield from (
            f"{row.file_name} at {row.minute:%H:%M}: {row.reason}" for row in store.query(self.url, _NOT_STARTED)
        )
        yield from invariants.find_violations(self.url)

    def _open(self) -> bool:
        return bool(store.query(self.url, "SELECT id FROM runs WHERE status IN (0, 1, 5)"))


def _sleep_until(moment: datetime) -> None:
    time.sleep(max((moment - datetime.now(UTC)).total_seconds(), 0))  # the minute itself is what is tried
