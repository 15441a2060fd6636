"""Two schedulers on one database: one is killed around a full minute, and the other must not miss it (promise R11)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.process import conftest, invariants, store
from tests.process.program import Program
from tests.process.waiting import wait_for

MOST_SECONDS = 10
_DAGS = 20
_BEFORE, _AFTER = 0.8, 0.3  # seconds around the minute within which a server is killed
_SETTLE_SECONDS = 30


class Lateness(NamedTuple):
    """How late the slots of one minute were settled, in seconds."""

    minute: datetime
    seconds: list[float]


class Failover:
    """So many rounds of it, on a PostgreSQL database."""

    def __init__(self, directory: Path, url: str, rounds: int, seed: int) -> None:
        self.rounds = rounds
        self.url = url
        self.found: list[Lateness] = []
        self._luck = random.Random(seed)  # noqa: S311 - a seed is what makes it repeatable
        self._witness = directory / "witness"
        home = directory / "home"
        self.servers = [Program(home, url, log=directory / f"{number}.log") for number in (1, 2)]

    def run(self) -> list[str]:
        """Do it; returns what is wrong in the end."""
        try:
            for server in self.servers:
                server.start()
            self._store()
            for number in range(self.rounds):
                self._round(self.servers[number % 2], self.servers[1 - number % 2])
            return list(self._look())
        finally:
            for server in self.servers:
                conftest.end(server)

    def _store(self) -> None:
        for number in range(_DAGS):
            spec = f"schedule: '* * * * *'\nsteps: [{{name: a, command: 'echo $DAG_RUN_ID >>{self._witness}'}}]\n"
            answer = self.servers[0].api.client.post("/dags", json={"name": f"minutely-{number}", "spec": spec})
            assert answer.is_success, answer.text

    def _round(self, victim: Program, heir: Program) -> None:
        minute = (datetime.now(UTC) + timedelta(minutes=1)).replace(second=0, microsecond=0)
        if (minute - datetime.now(UTC)).total_seconds() < _BEFORE + 1:
            minute += timedelta(minutes=1)
        moment = minute + timedelta(seconds=self._luck.uniform(-_BEFORE, _AFTER))
        time.sleep(max((moment - datetime.now(UTC)).total_seconds(), 0))  # the minute itself is what is tested
        victim.kill()
        wait_for("all slots of the minute", lambda: self._is_whole(minute), seconds=_SETTLE_SECONDS)
        self.found.append(Lateness(minute, self._late(minute)))
        assert heir.api.health()
        victim.start()

    def _late(self, minute: datetime) -> list[float]:
        rows = store.query(self.url, "SELECT minute, settled_at FROM schedule_slots WHERE outcome = 'started'")
        return [(row.settled_at - row.minute).total_seconds() for row in rows if row.minute == minute]

    def _is_whole(self, minute: datetime) -> bool:
        return len(self._late(minute)) == _DAGS

    def _look(self) -> Iterator[str]:
        for late in self.found:
            if max(late.seconds) > MOST_SECONDS:
                yield f"{late.minute:%H:%M} was {max(late.seconds):.1f} s late"
        wait_for("the end of all runs", lambda: not self._open(), seconds=_SETTLE_SECONDS)
        ran = Counter(self._witness.read_text().split())
        yield from (f"run {run_id} ran {count} times" for run_id, count in ran.items() if count != 1)
        runs = {row.run_id for row in store.query(self.url, "SELECT run_id FROM runs")}
        yield from (f"run {run_id} did not run" for run_id in runs - ran.keys())
        begun = store.query(self.url, "SELECT minute FROM schedule_slots WHERE outcome = 'started'")
        if len(begun) != len(runs):
            yield f"{len(runs)} runs for {len(begun)} slots"
        yield from invariants.find_violations(self.url)

    def _open(self) -> bool:
        return bool(store.query(self.url, "SELECT id FROM runs WHERE status IN (0, 1, 5)"))
