"""How long it takes until a killed server's runs have another owner, or say that they have none (promise R6)."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.process import conftest, store
from tests.process.program import FINAL, Program
from tests.process.waiting import wait_for

_RUNS = 3
_MOST_SECONDS = 60
_OWNERS = """
SELECT DISTINCT a.owner FROM run_attempts a JOIN runs r ON r.id = a.run_id JOIN services s ON s.id = a.owner
WHERE r.status = 1 AND s.pid = :pid
"""


class Detection:
    """So many rounds with several servers on one machine, of which one is killed in each while it drives runs."""

    def __init__(self, directory: Path, url: str, *, servers: int, rounds: int, seed: int) -> None:
        self.seconds: list[float] = []
        self._url = url
        self._rounds = rounds
        self._luck = random.Random(seed)  # noqa: S311 - a seed is what makes it repeatable
        self._directory = directory
        home = directory / "home"
        self._servers = [Program(home, url, log=directory / f"server-{n}.log") for n in range(servers)]

    def run(self) -> list[str]:
        """Do it; returns what is wrong in the end."""
        try:
            for server in self._servers:
                server.start()
            return [sentence for number in range(self._rounds) for sentence in self._round(number)]
        finally:
            for server in self._servers:
                conftest.end(server)

    def _round(self, number: int) -> list[str]:
        gate = self._directory / f"gate-{number}"
        spec = f"maxActiveRuns: 100\nsteps:\n  - name: a\n    command: while [ ! -e {gate} ]; do sleep 0.1; done\n"
        victim, witness = self._luck.sample(self._servers, 2)
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
