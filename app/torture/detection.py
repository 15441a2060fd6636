"""How long it takes until a killed server's runs have another owner, or say that they have none (promise R6)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from app.torture import store
from app.torture.server import FINAL, all_running, make_servers
from app.torture.trial import Ground, Progress, spread
from app.torture.waiting import wait_for

_RUNS = 3
_MOST_SECONDS = 60
_OWNERS = """
SELECT DISTINCT a.owner FROM run_attempts a JOIN runs r ON r.id = a.run_id JOIN services s ON s.id = a.owner
WHERE r.status = 1 AND s.pid = :pid
"""


class Detection:
    """So many rounds with several servers on one machine, of which one is killed in each while it drives runs."""

    def __init__(
        self, ground: Ground, *, servers: int, rounds: int, seed: int, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.seconds: list[float] = []
        self._url = ground.url
        self._rounds = rounds
        self._luck = random.Random(seed)  # noqa: S311 - a seed is what makes it repeatable
        self._directory = ground.directory
        self._servers = make_servers(ground, servers)
        self._progress = Progress(tell)

    def run(self) -> list[str]:
        """Do it; returns what is wrong in the end. Raises TortureError."""
        with all_running(self._servers):
            found = [sentence for number in range(self._rounds) for sentence in self._round(number)]
            return [*found, *store.find_violations(self._url)]

    def figures(self) -> Mapping[str, str]:
        """Give what was measured."""
        return {
            "rounds": str(len(self.seconds)),
            "seconds until taken over, median, p95, most": spread(self.seconds),
        }

    def _round(self, number: int) -> list[str]:
        self._progress(f"{number} of {self._rounds} rounds; seconds until taken over: {spread(self.seconds)}")
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
