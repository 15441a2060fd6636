"""A fault at every commit of one workflow, one after the other (promise R5).

The workflow has a retry, an approval, a called DAG and a handler. Each point is one run of it, in which the server is
killed just before or just after the commit with a number, or that commit is applied and reported as failed. The last of
these is for PostgreSQL, where a connection can be lost between the two. The client asks again until the run has ended.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

from tests.chaos.experiment import READ_UPTIME, Figures, Progress, Witness
from tests.chaos.faulty import AFTER, BEFORE, FAILED
from tests.chaos.sandbox import Sandbox
from tests.process import invariants
from tests.process.program import ROOT
from tests.process.server import FINAL, Server
from tests.process.waiting import NotInTimeError, wait_for

_RUN_SECONDS = 90
_MISSES = 3  # so many points in a row that no commit has met end the sweep: the number of commits varies
_EXECUTIONS = ("first 1", "retried 1", "retried 2", "called 1", "second 1", "last 1", "onExit 1")
# The arguments of the shim name the execution.
_STEP = rf"""
started=$(tr '\0' '\n' </proc/$PPID/cmdline | sed -n 3p)
execution=${{started%.started}} step=$DAG_RUN_STEP_NAME
number=${{execution##*.}}
{READ_UPTIME}
printf '%s %s %s %s\n' "${{CALLER:-$DAG_RUN_ID}}" "$step" "${{number%-*}}" "$uptime" >>"$WITNESS"
case $step-$number in retried-1|retried-1-*) exit 9 ;; esac
"""


class FaultyServer(Server):
    """A server whose commits can have a fault, which the file ``order`` asks for."""

    def __init__(self, home: Path, url: str, *, log: Path, order: Path) -> None:
        super().__init__(home, url, log=log)
        self._order = order

    def _program(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "tests.chaos.faulty", *words]

    def _environment(self) -> dict[str, str]:
        paths = f"{ROOT / 'app'}:{ROOT}"
        return super()._environment() | {"PYTHONPATH": paths, "CHAOS_FAULT": str(self._order)}


class SweepExperiment:
    """One server, and a run for each point; with ``every`` only one of so many points."""

    def __init__(
        self, sandbox: Sandbox, *, every: int = 1, first: int = 1, show: Callable[[str], None] = lambda _: None
    ) -> None:
        self.points: Counter[str] = Counter()
        self._every = every
        self._first = first
        self._faults: Sequence[str] = (BEFORE, AFTER, FAILED) if sandbox.url else (BEFORE, AFTER)
        self._order = sandbox.directory / "order"
        self._witness = Witness(sandbox.directory / "witness")
        self._script = sandbox.directory / "step.sh"
        self._script.write_text(_STEP)
        log = sandbox.directory / "server.log"
        self._server = FaultyServer(sandbox.directory / "home", sandbox.url, log=log, order=self._order)
        self._deaths = 0
        self._repeated = 0
        self._seconds: list[float] = []
        self._progress = Progress(show)

    def run(self) -> list[str]:
        try:
            self._server.start()
            self._prepare()
            found = [sentence for fault in self._faults for sentence in self._sweep(fault)]
            return [*found, *invariants.find_violations(self._server.database_url)]
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        counts = {
            **{f"points, {_POINTS[fault]}": self.points[fault] for fault in self._faults},
            "servers that died": self._deaths,
            "requests that were sent again": self._repeated,
            "executions": len(self._witness.lines()),
        }
        return Figures(counts, {"seconds from a start to the end of its run": self._seconds})

    def _prepare(self) -> None:
        self._server.api.store("flow", self._spec())

    def _spec(self) -> str:
        env, command = f"env: [{{WITNESS: {self._witness.path}}}]\n", f"command: exec sh {self._script}"
        steps = (
            f"  - {{name: first, {command}, output: FIRST}}\n"
            f"  - {{name: retried, {command}, retryPolicy: {{limit: 1, intervalSec: 0}}}}\n"
            "  - {name: gate, type: hitl}\n"
            "  - {name: calls, call: called, params: 'CALLER=${DAG_RUN_ID}'}\n"
            f"  - {{name: second, {command}}}\n"
            f"  - {{name: last, {command}}}\n"
        )
        called = f"---\nname: called\n{env}steps: [{{name: called, {command}}}]\n"
        return f"type: chain\nmaxActiveRuns: 1000\n{env}handlerOn: {{exit: {{{command}}}}}\nsteps:\n{steps}{called}"

    def _sweep(self, fault: str) -> Iterator[str]:
        number, misses = self._first, 0
        while misses < _MISSES:
            self._progress(f"{sum(self.points.values())} points; a commit {_POINTS[fault]}: number {number}")
            run_id = f"{fault}-{number}"
            self._order.write_text(f"{number} {fault}")
            begin = time.monotonic()
            yield from (f"{_POINTS[fault]}, commit {number}: {sentence}" for sentence in self._drive(run_id))
            self._seconds.append(time.monotonic() - begin)
            met = not self._order.exists()
            self._order.unlink(missing_ok=True)
            self.points[fault] += met
            misses = 0 if met else misses + 1
            number += self._every

    def _drive(self, run_id: str) -> Iterator[str]:
        """Start a run, approve it, and ask until it has ended; returns what is wrong."""
        client = _RunClient(self._server, run_id)
        try:
            label = wait_for(f"the end of {run_id}", client.look, seconds=_RUN_SECONDS)
        except NotInTimeError:
            yield f"stuck: {client.label or 'never started'}"
            return
        finally:
            self._deaths += client.deaths
            self._repeated += client.repeated
        if label != "succeeded":
            yield f"the run is {label}"
        started = Counter(" ".join(words[1:]) for words in self._witness.lines() if words[0] == run_id)
        for name in sorted({*_EXECUTIONS, *started}):
            if started[name] != (name in _EXECUTIONS):
                yield f"started {started[name]} times: {name}"


_POINTS = {
    BEFORE: "killed before it",
    AFTER: "killed after it",
    FAILED: "applied and reported as failed",
}


class StubbornClient:
    """A client that asks again and again, whatever becomes of the server, which it starts again."""

    def __init__(self, server: Server) -> None:
        self.label = ""
        self.deaths = 0
        self.repeated = 0
        self._server = server

    def look(self) -> str | None:
        """Do what is next; returns how it has ended when it has."""
        if not self._server.is_alive():
            self.deaths += 1
            self._server.kill()
            self._server.start()
        try:
            return self._ask()
        except httpx.TransportError:
            self.repeated += 1
            return None

    def _ask(self) -> str | None:
        raise NotImplementedError

    def _is_done(self, answer: httpx.Response, done_before: str) -> bool:
        """Whether a request has had its effect, now or when it was sent before."""
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.repeated += 1
            return False
        if answer.is_error and answer.json().get("code") != done_before:
            answer.raise_for_status()
        return True


class _RunClient(StubbornClient):
    """A client that asks for one run, approves it, and waits for its end."""

    def __init__(self, server: Server, run_id: str) -> None:
        super().__init__(server)
        self._run_id = run_id
        self._is_started = False

    def _ask(self) -> str | None:
        client, run = self._server.api.client, f"/dag-runs/flow/{self._run_id}"
        if not self._is_started:
            answer = client.post("/dags/flow/start", json={"dagRunId": self._run_id})
            self._is_started = self._is_done(answer, "already_exists")
            return None
        answer = client.get(run)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.repeated += 1
            return None
        details = answer.raise_for_status().json()["dagRunDetails"]
        self.label = str(details["statusLabel"])
        if details.get("reason"):
            # Refused when it waits for something else, or was approved by a request whose answer was lost.
            self._is_done(client.post(f"{run}/steps/gate/approve", json={}), "bad_request")
        return self.label if self.label in FINAL else None
