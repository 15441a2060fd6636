"""A server that sleeps and comes back: no step that is well may be marked as failed for it (promise R7)."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from app.torture import store
from app.torture.server import Server, all_running, make_servers
from app.torture.trial import Ground, Progress
from app.torture.waiting import wait_for

_RUNS = 25  # at each of the two
_SETTLE_SECONDS = 60


class Sleeping:
    """Two servers, each with runs whose steps end while one of the two sleeps, or after it.

    Of each run the first step ends within the sleep at the latest, and the second one begins after it: by the one
    that sleeps when it is back, or by the other.
    """

    def __init__(
        self, ground: Ground, *, rounds: int, seconds: float, seed: int, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._url = ground.url
        self._rounds = rounds
        self._seconds = seconds
        self._luck = random.Random(seed)  # noqa: S311 - a seed is what makes it repeatable
        self._witness = ground.directory / "witness"
        self._servers = make_servers(ground, 2)
        self._progress = Progress(tell)
        self._labels: Counter[str] = Counter()
        self._moved = 0

    def run(self) -> list[str]:
        """Do it; returns what is wrong in the end. Raises TortureError."""
        with all_running(self._servers):
            found = [sentence for number in range(self._rounds) for sentence in self._round(number)]
            return [*found, *store.find_violations(self._url)]

    def figures(self) -> Mapping[str, str]:
        """Give what was counted."""
        ended = ", ".join(f"{count} {label}" for label, count in sorted(self._labels.items()))
        return {"seconds of sleep": f"{self._seconds:g}", "runs": ended, "runs that changed owner": str(self._moved)}

    def _round(self, number: int) -> Iterator[str]:
        sleeper = self._luck.choice(self._servers)
        runs = [(server, server.api.start(self._spec())) for server in self._servers for _ in range(_RUNS)]
        ids = {run for _, run in runs}
        wait_for("all first steps", lambda: ids <= {line.split()[0] for line in self._lines()})
        before = self._owners()
        self._progress.now(f"round {number + 1} of {self._rounds}: a server sleeps for {self._seconds:g} seconds")
        self._sleep(sleeper)
        for server, run in runs:
            label = server.api.ended(run, seconds=_SETTLE_SECONDS)["statusLabel"]
            self._labels[label] += 1
            if label != "succeeded":
                yield f"run {run} is {label}"
        self._moved += sum(before[run] != owner for run, owner in self._owners().items() if run in before)
        yield from self._look_at_witness()

    def _spec(self) -> str:
        steps = ""
        for name, seconds in (("first", self._luck.uniform(1, self._seconds)), ("second", 0.1)):
            line = f'echo "$DAG_RUN_ID {name}" >>{self._witness}'
            steps += f"  - name: {name}\n    command: {line}; sleep {seconds:.1f}\n"
        return f"type: chain\nmaxActiveRuns: 1000\nsteps:\n{steps}"

    def _sleep(self, server: Server) -> None:
        server.send(signal.SIGSTOP)
        try:
            time.sleep(self._seconds)  # to sleep so long is what is tried
        finally:
            server.send(signal.SIGCONT)

    def _lines(self) -> list[str]:
        return self._witness.read_text().splitlines() if self._witness.exists() else []

    def _owners(self) -> dict[str, str]:
        rows = store.query(self._url, "SELECT r.run_id, a.owner FROM runs r JOIN run_attempts a ON a.run_id = r.id")
        return {row.run_id: row.owner for row in rows}

    def _look_at_witness(self) -> Iterator[str]:
        counts = Counter(self._lines())
        yield from (f"begun {count} times: {line}" for line, count in counts.items() if count != 1)
