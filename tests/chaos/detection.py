"""How long it takes until the runs of a killed server have another owner (promise R6)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tests.chaos.experiment import Figures, Progress, spread
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, store
from tests.process.server import FINAL, all_running
from tests.process.waiting import wait_for

_RUNS = 3
_MOST_SECONDS = 60
_OWNERS = """
SELECT DISTINCT a.owner FROM run_attempts a JOIN runs r ON r.id = a.run_id JOIN services s ON s.id = a.owner
WHERE r.status = 1 AND s.pid = :pid
"""


class DetectionExperiment:
    """In each round one of several servers on one machine is killed while it drives runs."""

    def __init__(
        self, sandbox: Sandbox, *, servers: int, rounds: int, seed: int, show: Callable[[str], None] = lambda _: None
    ) -> None:
        self.seconds: list[float] = []
        self._url = sandbox.url
        self._rounds = rounds
        self._random = random.Random(seed)
        self._directory = sandbox.directory
        self._servers = sandbox.make_servers(servers)
        self._progress = Progress(show)

    def run(self) -> list[str]:
        with all_running(self._servers):
            found = [sentence for number in range(self._rounds) for sentence in self._round(number)]
            return [*found, *invariants.find_violations(self._url)]

    def figures(self) -> Figures:
        counts = {"servers killed": len(self.seconds), "runs that were adopted": _RUNS * len(self.seconds)}
        return Figures(counts, {"seconds until other owners": self.seconds})

    def _round(self, number: int) -> list[str]:
        self._progress(f"{number} of {self._rounds} rounds; seconds until other owners: {spread(self.seconds)}")
        gate = self._directory / f"gate-{number}"
        wait = f"while [ ! -e {gate} ]; do sleep 0.1; done"  # until there are other owners
        spec = f"maxActiveRuns: 100\nsteps:\n  - name: a\n    command: {wait}\n"
        victim, witness = self._random.sample(self._servers, 2)
        runs = [victim.api.start(spec) for _ in range(_RUNS)]
        wait_for("the runs", lambda: all(victim.api.run(run)["statusLabel"] == "running" for run in runs))
        pid = victim.pid
        begin = time.monotonic()
        victim.kill()
        wait_for("other owners", lambda: not store.query(self._url, _OWNERS, pid=pid), seconds=_MOST_SECONDS)
        self.seconds.append(time.monotonic() - begin)
        gate.touch()
        ended = [witness.api.ended(run, seconds=_MOST_SECONDS)["statusLabel"] for run in runs]
        victim.start()
        return [f"a run of round {number} is {label}" for label in ended if label in FINAL - {"succeeded"}]
