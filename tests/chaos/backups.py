"""A database is backed up while runs are started, queued and due, and restored into another place.

Each step appends ``run step execution spool uptime`` to the witness file, steps of sub-runs under the id of the calling
run. A restored place lives through a full minute while it is held; then its queues are cleared and it is resumed.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import make_url

from dagbook.engine.status import RunStatus
from tests.chaos.experiment import READ_UPTIME, Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, store
from tests.process.server import FINAL, Server
from tests.process.waiting import NotInTimeError, wait_for

_QUEUED = 12  # runs that are enqueued just before each backup, for a queue that executes one at a time
_SETTLE_SECONDS = 240
_BACKUP_SECONDS = range(15, 36)  # of a minute, so that the restored place lives when the next one begins
_AFTER_MINUTE_SECONDS = 3
_RUNS = "SELECT run_id, status FROM runs WHERE root_id IS NULL"
_OPEN = f"{_RUNS} AND status IN (0, 1, 5)"
_STATE = {  # what nothing may change in a place that is held
    "runs": "SELECT id, status, attempt FROM runs ORDER BY id",
    "nodes": "SELECT run_id, attempt, position, status FROM nodes ORDER BY 1, 2, 3",
    "slots": "SELECT count(*) FROM schedule_slots",
    "entries": "SELECT run_id FROM queue_entries ORDER BY run_id",
    "log": "SELECT count(*), sum(length(text)) FROM log_chunks",
}
_OUTPUT = """
SELECT r.run_id, sum(length(c.text)) AS output FROM runs r JOIN log_chunks c ON c.run_id = r.id
WHERE r.root_id IS NULL AND r.status = 4 GROUP BY r.run_id
"""
_SLOTS = "SELECT count(*) FROM schedule_slots"
# The arguments of the shim name the execution and its spool.
_STEP = rf"""
started=$(tr '\0' '\n' </proc/$PPID/cmdline | sed -n 3p)
execution=${{started%.started}} step=$DAG_RUN_STEP_NAME
number=${{execution##*.}}
{READ_UPTIME}
printf '%s %s %s %s %s\n' "${{CALLER:-$DAG_RUN_ID}}" "$step" "${{number%-*}}" "$started" "$uptime" >>"$WITNESS"
echo "$step has begun"
sleep "$1"  # so that a backup meets running steps
echo "$step has ended"
case $step-$number in retried-1|retried-1-*) exit 9 ;; esac
"""


class BackupPlan(NamedTuple):
    """Rounds, starts per second, and whether each restored place lives through a full minute before it is resumed."""

    rounds: int
    seed: int
    starts_per_second: float = 1.0
    awaits_minute: bool = True


class _Seen(NamedTuple):
    """What was known before a backup began: the runs that were answered, and the output of those that succeeded."""

    answered: set[str]
    outputs: dict[str, int]


class BackupExperiment:
    """One server under load, a backup of its database in each round, and a server on what was restored from it."""

    def __init__(self, sandbox: Sandbox, plan: BackupPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self.in_backups: Counter[str] = Counter()  # runs by what they were
        self.backup_seconds: list[float] = []
        self.restore_seconds: list[float] = []
        self.answered: set[str] = set()
        self._sandbox = sandbox
        self._plan = plan
        self._random = random.Random(plan.seed)
        (self._server,) = sandbox.make_servers(1)
        self._witness = Witness(sandbox.directory / "witness")
        self._script = sandbox.directory / "step.sh"
        self._script.write_text(_STEP)
        self._sizes: list[float] = []
        self._slots = 0
        self._progress = Progress(show)

    def run(self) -> list[str]:
        over = threading.Event()
        try:
            self._server.start()
            self._store()
            with ThreadPoolExecutor(1) as pool:
                load = pool.submit(self._start_runs, over)
                try:
                    found = [sentence for number in range(self._plan.rounds) for sentence in self._round(number, load)]
                finally:
                    over.set()
            load.result()
            return [*found, *self._stuck(), *self._final_violations()]
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        counts = {
            "backups restored": len(self.restore_seconds),
            "runs answered": len(self.answered),
            "steps started": len(self._witness.lines()),
            **{f"runs in the backups, {kind}": count for kind, count in sorted(self.in_backups.items())},
            "minutes that the original started while a place was held": self._slots,
        }
        samples = {
            "bytes of a backup": self._sizes,
            "seconds per backup": self.backup_seconds,
            "seconds per restore": self.restore_seconds,
        }
        return Figures(counts, samples)

    # -- load ------------------------------------------------------------------------------------------------

    def _store(self) -> None:
        env = f"env: [{{WITNESS: {self._witness.path}}}]\n"
        command = f"exec sh {self._script}"
        called = f"---\nname: called\n{env}steps: [{{name: called, command: {command} 0.3}}]\n"
        steps = (
            f"  - {{name: first, command: {command} 0.5}}\n"
            f"  - {{name: retried, command: {command} 0.2, retryPolicy: {{limit: 1, intervalSec: 0}}}}\n"
            "  - {name: calls, call: called, params: 'CALLER=${DAG_RUN_ID}'}\n"
            f"  - {{name: last, command: {command} 1}}\n"
        )
        one_step = f"{env}steps: [{{name: only, command: {command} 1}}]\n"
        api = self._server.api
        api.store("flow", f"type: chain\nmaxActiveRuns: 1000\n{env}steps:\n{steps}{called}")
        api.store("waits", f"maxActiveRuns: 1\n{one_step}")
        api.store("minutely", f"schedule: '* * * * *'\n{one_step}")

    def _start_runs(self, over: threading.Event) -> None:
        number = 0
        while not over.wait(self._random.expovariate(self._plan.starts_per_second)):
            self._start("flow", f"flow-{number}", "start")
            number += 1

    def _start(self, name: str, run_id: str, how: str, server: Server | None = None) -> None:
        client = (server or self._server).api.client
        client.post(f"/dags/{name}/{how}", json={"dagRunId": run_id}).raise_for_status()
        if server is None:
            self.answered.add(run_id)

    # -- one round -------------------------------------------------------------------------------------------

    def _round(self, number: int, load: Future[None]) -> Iterator[str]:
        if load.done():
            load.result()  # raises what ended it
        self._progress.now(f"round {number + 1} of {self._plan.rounds}, {len(self.answered)} runs answered")
        if self._plan.awaits_minute:
            wait_for("the time of the backup", lambda: datetime.now(UTC).second in _BACKUP_SECONDS)
        for queued in range(_QUEUED):
            self._start("waits", f"waits-{number}-{queued}", "enqueue")
        time.sleep(self._random.uniform(0, 1))  # the moment of the backup is what is drawn
        outputs = {row.run_id: row.output for row in store.query(self._server.database_url, _OUTPUT)}
        seen = _Seen(set(self.answered), outputs)
        backup = self._sandbox.directory / f"backup-{number}"
        self._sizes.append(self._measure(self._server, self.backup_seconds, "backup", backup)["bytes"])
        with self._place(number) as place:
            self._measure(place, self.restore_seconds, "restore", backup)
            backup.unlink()
            yield from (f"round {number + 1}: {sentence}" for sentence in self._violations(place, seen))

    @contextmanager
    def _place(self, number: int) -> Iterator[Server]:
        """Yield a server that is not started, with an empty home and database of its own."""
        home, url = self._sandbox.directory / f"restored-{number}", self._sandbox.url
        place = Server(home, url and store.make_database(url), log=self._sandbox.directory / "restored.log")
        try:
            yield place
        finally:
            place.clear()
            shutil.rmtree(home, ignore_errors=True)
            if url:
                store.execute(url, f"DROP DATABASE {make_url(place.database_url).database} WITH (FORCE)")

    def _measure(self, server: Server, seconds: list[float], word: str, file: Path) -> dict[str, Any]:
        begin = time.monotonic()
        said: dict[str, Any] = json.loads(server.command(word, str(file), "--json"))
        seconds.append(time.monotonic() - begin)
        return said

    def _violations(self, place: Server, seen: _Seen) -> Iterator[str]:
        before = store.query_all(place.database_url, _STATE)
        runs = {row.run_id: RunStatus(row.status) for row in store.query(place.database_url, _RUNS)}
        self.in_backups.update("finished" if status.label in FINAL else status.label for status in runs.values())
        yield from (f"lost: {run} was answered before the backup" for run in sorted(seen.answered - runs.keys()))
        outputs = {row.run_id: row.output for row in store.query(place.database_url, _OUTPUT)}
        for run, output in seen.outputs.items():
            if outputs.get(run) != output:
                yield f"{run} had succeeded with {output} characters of output, and has {outputs.get(run)}"
        yield from self._held_violations(place, before)
        yield from self._resumed_violations(place, runs)

    def _held_violations(self, place: Server, before: Mapping[str, Any]) -> Iterator[str]:
        fired = self._count_slots()
        place.start()
        if place.api.client.get("/health").json().get("runs") != "held":
            yield "the restored place is not held"
        if self._plan.awaits_minute:
            minute = datetime.now(UTC).minute
            wait_for("the next minute", lambda: datetime.now(UTC).minute != minute)
            wait_for("the schedule of the original", lambda: self._count_slots() > fired)
            time.sleep(_AFTER_MINUTE_SECONDS)  # in which a schedule that fires here would be seen
        self._slots += self._count_slots() - fired
        after = store.query_all(place.database_url, _STATE)
        yield from (f"held, and changed: {name}" for name, rows in after.items() if rows != before[name])
        yield from (f"held, and started: {line}" for line in self._lines_of(place))
        yield from (f"held: {sentence}" for sentence in invariants.find_violations(place.database_url))

    def _resumed_violations(self, place: Server, runs: Mapping[str, RunStatus]) -> Iterator[str]:
        place.api.client.post("/queues/waits/clear", json={"name": "waits"}).raise_for_status()
        self._start("waits", "new", "enqueue", place)
        answer = place.api.client.post("/hold/resume")
        if not answer.is_success:
            yield f"not resumed: {answer.text}"
            return
        if (label := place.api.ended("new", name="waits")["statusLabel"]) != "succeeded":
            yield f"resumed, and a new run is {label}"
        left = {row.run_id for row in store.query(place.database_url, _OPEN)} & runs.keys()
        yield from (f"resumed, and still open: {run}" for run in left)
        yield from (f"resumed, and started: {line}" for line in self._lines_of(place) if line[0] in runs)
        yield from (f"resumed: {sentence}" for sentence in invariants.find_violations(place.database_url))

    def _lines_of(self, place: Server) -> list[list[str]]:
        return [line for line in self._witness.lines() if line[3].startswith(f"{place.home}/")]

    def _count_slots(self) -> int:
        count: int = store.query(self._server.database_url, _SLOTS)[0][0]
        return count

    # -- the end ---------------------------------------------------------------------------------------------

    def _stuck(self) -> list[str]:
        url = self._server.database_url
        self._progress.now(f"all runs of the original have to finish within {_SETTLE_SECONDS} seconds")
        try:
            wait_for("the end of all runs", lambda: not store.query(url, _OPEN), seconds=_SETTLE_SECONDS)
        except NotInTimeError:
            return [f"stuck: {row.run_id}" for row in store.query(url, _OPEN)]
        return []

    def _final_violations(self) -> Iterator[str]:
        url = self._server.database_url
        runs = {row.run_id: RunStatus(row.status) for row in store.query(url, _RUNS)}
        yield from (f"lost: {run} was answered and is not there" for run in sorted(self.answered - runs.keys()))
        yield from (f"{run} is {status.label}" for run, status in runs.items() if status is not RunStatus.SUCCEEDED)
        home = f"{self._server.home}/"
        ran = Counter(tuple(line[:3]) for line in self._witness.lines() if line[0] in runs)
        wanted = {key for run in runs for key in _executions(run)}
        yield from (f"started {ran[key]} times: {key}" for key in sorted(wanted | ran.keys()) if ran[key] != 1)
        strange = [line for line in self._witness.lines() if line[0] in runs and not line[3].startswith(home)]
        yield from (f"started elsewhere: {line}" for line in strange)
        yield from invariants.find_violations(url)


def _executions(run: str) -> Iterator[tuple[str, ...]]:
    """Return the executions of a run of the original: run, step and number."""
    if not run.startswith("flow-"):
        yield run, "only", "1"
        return
    yield from ((run, step, "1") for step in ("first", "retried", "called", "last"))
    yield run, "retried", "2"
