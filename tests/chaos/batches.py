"""Servers are killed while they work off a batch (FC1): each scheduled time gets one run or one attempt."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests.chaos.experiment import READ_UPTIME, Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, store
from tests.process.waiting import wait_for

_DAG, _LONGEST_LIFE = "etl", 0.8
_END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=5)
_SETTLED = "SELECT count(*) AS number FROM batch_items WHERE batch_id = 2 AND state NOT IN ('planned', 'begun')"
_RUNS = "SELECT run_id, attempt, status FROM runs"


class BatchPlan(NamedTuple):
    """How many scheduled times a batch has, how many of them have failed before, and how often a server is killed."""

    servers: int
    times: int
    failed: int
    kills: int
    seed: int


class BatchExperiment:
    def __init__(self, sandbox: Sandbox, plan: BatchPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._servers = sandbox.make_servers(plan.servers)
        self._url = self._servers[0].database_url
        self._witness = Witness(sandbox.directory / "witness")
        self._marker = sandbox.directory / "marker"
        self._random = random.Random(plan.seed)
        self._progress = Progress(show)
        self._kills = 0

    def run(self) -> list[str]:
        try:
            for server in self._servers:
                server.start()
            return list(self._run())
        finally:
            for server in self._servers:
                server.clear()

    def figures(self) -> Figures:
        again = {"scheduled times that had failed before": self._plan.failed}
        return Figures({"servers killed": self._kills, "scheduled times": self._plan.times} | again)

    def _run(self) -> Iterator[str]:
        step = f"{READ_UPTIME}; echo $DAG_RUN_SCHEDULED_AT $DAG_RUN_ID $uptime >>{self._witness.path}; sleep 0.4"
        step = f"{step}; test -e {self._marker}"
        spec = f"schedule: 'CRON_TZ=UTC 0 * * * *'\nmaxActiveRuns: 4\nsteps: [{{name: a, command: '{step}'}}]\n"
        self._servers[0].api.store(_DAG, spec)
        self._end_of(self._make(self._plan.failed, parallel=8))
        failed = {row.run_id for row in store.query(self._url, _RUNS)}
        self._witness.path.unlink()
        self._marker.touch()
        batch = self._make(self._plan.times, parallel=4)
        self._kill_all()
        yield from self._find_violations(self._end_of(batch), failed)

    def _make(self, times: int, parallel: int) -> int:
        """Make a batch of the last scheduled times; returns its number."""
        first = (_END - timedelta(hours=times - 1)).isoformat()
        body = {"action": "start", "dag": _DAG, "from": first, "to": _END.isoformat(), "parallel": parallel}
        answer = self._servers[0].api.client.post("/batches", json=body)
        answer.raise_for_status()
        return int(answer.json()["batchId"])

    def _end_of(self, batch: int) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self._servers[0].api.client.get(f"/batches/{batch}").json()
            return found if "endedAt" in found else None

        return wait_for(f"the end of batch {batch}", look, seconds=600)

    def _kill_all(self) -> None:
        """Kill a server in turn, each time after another item has been settled, and at a random moment."""
        for number in range(self._plan.kills):
            met = self._settled()
            if met == self._plan.times:
                break
            wait_for("another item", lambda met=met: self._settled() > met, seconds=120)  # type: ignore[misc]
            time.sleep(self._random.uniform(0, _LONGEST_LIFE))  # a random moment is what is tried
            victim = self._servers[number % len(self._servers)]
            victim.kill()
            self._kills += self._settled() < self._plan.times
            victim.start()
            self._progress(f"{number + 1} of {self._plan.kills} kills; {self._settled()} items are settled")

    def _settled(self) -> int:
        return int(store.query(self._url, _SETTLED)[0].number)

    def _find_violations(self, batch: dict[str, Any], failed: set[str]) -> Iterator[str]:
        if batch["counts"].get("done") != self._plan.times:
            yield f"the batch has {batch['counts']}, not {self._plan.times} done"
        wanted = {(_END - timedelta(hours=number)).isoformat() for number in range(self._plan.times)}
        lines = [(at, run) for at, run in self._witness.lines() if at in wanted]  # not what the schedule starts now
        ran = Counter(at for at, _ in lines)
        for at in sorted(wanted):
            if ran[at] != 1:
                yield f"{at} was executed {ran[at]} times"
        runs = {row.run_id: row for row in store.query(self._url, _RUNS)}
        for _, run in lines:
            attempts = 2 if run in failed else 1
            if runs[run].attempt != attempts:
                yield f"run {run} has {runs[run].attempt} attempts, not {attempts}"
        if missing := failed - {run for _, run in lines}:
            yield f"{len(missing)} runs that had failed were not retried, but replaced"
        yield from invariants.find_violations(self._url)
