"""A server is paused (SIGSTOP) and comes back: no healthy step may be marked as failed for it (promise R7)."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tests.chaos.experiment import Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, store
from tests.process.server import Server, all_running
from tests.process.waiting import wait_for

_RUNS = 25  # at each of the two
_SETTLE_SECONDS = 60


class PauseExperiment:
    """Two servers with runs whose steps finish while one of the two is paused, or afterwards.

    The first step of each run finishes during the pause at the latest. The second one is started after it, by the
    paused server when it is back, or by the other one.
    """

    def __init__(
        self, sandbox: Sandbox, *, rounds: int, seconds: float, seed: int, show: Callable[[str], None] = lambda _: None
    ) -> None:
        self._url = sandbox.url
        self._rounds = rounds
        self._seconds = seconds
        self._random = random.Random(seed)
        self._witness = sandbox.directory / "witness"
        self._servers = sandbox.make_servers(2)
        self._progress = Progress(show)
        self._labels: Counter[str] = Counter()
        self._moved = 0
        self._paused = 0

    def run(self) -> list[str]:
        with all_running(self._servers):
            found = [sentence for number in range(self._rounds) for sentence in self._round(number)]
            return [*found, *invariants.find_violations(self._url)]

    def figures(self) -> Figures:
        ended = {f"runs that are {label}": count for label, count in sorted(self._labels.items())}
        return Figures({"pauses": self._paused, **ended, "runs that changed their owner": self._moved})

    def _round(self, number: int) -> Iterator[str]:
        paused = self._random.choice(self._servers)
        runs = [(server, server.api.start(self._spec())) for server in self._servers for _ in range(_RUNS)]
        ids = {run for _, run in runs}
        wait_for("all first steps", lambda: ids <= {line.split()[0] for line in self._lines()})
        before = self._owners()
        self._progress.now(f"round {number + 1} of {self._rounds}: a server is paused for {self._seconds:g} seconds")
        self._pause(paused)
        for server, run in runs:
            label = server.api.ended(run, seconds=_SETTLE_SECONDS)["statusLabel"]
            self._labels[label] += 1
            if label != "succeeded":
                yield f"run {run} is {label}"
        self._moved += sum(before[run] != owner for run, owner in self._owners().items() if run in before)
        yield from self._witness_violations()

    def _spec(self) -> str:
        steps = ""
        for name, seconds in (("first", self._random.uniform(1, self._seconds)), ("second", 0.1)):
            line = f'echo "$DAG_RUN_ID {name}" >>{self._witness}'
            steps += f"  - name: {name}\n    command: {line}; sleep {seconds:.1f}\n"  # some end within a pause
        return f"type: chain\nmaxActiveRuns: 1000\nsteps:\n{steps}"

    def _pause(self, server: Server) -> None:
        server.send(signal.SIGSTOP)
        try:
            time.sleep(self._seconds)  # the length of the pause is what is tried
            self._paused += 1
        finally:
            server.send(signal.SIGCONT)

    def _lines(self) -> list[str]:
        return self._witness.read_text().splitlines() if self._witness.exists() else []

    def _owners(self) -> dict[str, str]:
        rows = store.query(self._url, "SELECT r.run_id, a.owner FROM runs r JOIN run_attempts a ON a.run_id = r.id")
        return {row.run_id: row.owner for row in rows}

    def _witness_violations(self) -> Iterator[str]:
        counts = Counter(self._lines())
        yield from (f"started {count} times: {line}" for line, count in counts.items() if count != 1)
