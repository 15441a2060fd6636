"""A server is killed at random moments while runs are started, and everything is checked afterwards (R1, R4).

Each step appends ``run step execution pid uptime`` to the witness file, steps of sub-runs under the id of the calling
run. One step fails at first and is retried, one calls a DAG for several items.
"""

from __future__ import annotations

import json
import math
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import NamedTuple

import httpx
from sqlalchemy import select

from dagbook.db.models.run import Run
from tests.chaos.experiment import READ_UPTIME, Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, processes, store
from tests.process.server import FINAL, Server
from tests.process.waiting import NotInTimeError, wait_for

STEPS = ("a", "b", "c", "d", "calls", "retried", "e")
ITEMS = ("one", "two", "three")
MASK = "*******"
CALLED = tuple(f"called-{item}" for item in ITEMS)
NAME = "chaos"
_SHORTEST_LIFE = 0.05
_SETTLE_SECONDS = 60
_SETTLE_POLL_SECONDS = 0.5  # a list of hundreds of runs, from a server that is busy with them
_CLOCK_SECONDS = 0.1  # the two clocks that are compared may differ by this
_WHILE_STARTING = 6  # every sixth kill hits a server that does not answer yet

# The arguments of the shim name the execution.
_STEP = rf"""
started=$(tr '\0' '\n' </proc/$PPID/cmdline | sed -n 3p)
execution=${{started%.started}}
run=${{CALLER:-$DAG_RUN_ID}} step=$DAG_RUN_STEP_NAME${{ITEM:+-$ITEM}}
{READ_UPTIME}
printf '%s %s %s %s %s\n' "$run" "$step" "${{execution##*.}}" $$ "$uptime" >>"$WITNESS"
line=1
while [ $line -le "$1" ]; do
  echo "$run $step $line $TOKEN"
  echo "$run $step $line $TOKEN aside" >&2
  line=$((line + 1))
  sleep "$2"  # so that a kill meets running steps
done
if [ "$step" = e ]; then printf '%s' "$FIRST"; fi
case $step-${{execution##*.}} in retried-1|retried-1-*) exit 9 ;; esac  # 1-2: the second execution was renamed
"""


class Size(NamedTuple):
    """The size of an experiment, and the seed that draws its moments."""

    kills: int
    runs: int
    seed: int
    longest_life: float = 3.0  # seconds from the first answer of a server to its kill


class Flow(NamedTuple):
    """One run: its id, how many lines each step prints, and whether its steps run one after the other."""

    run_id: str
    lines: dict[str, int]
    pauses: dict[str, float]
    is_chain: bool

    def depends(self, step: str) -> list[str]:
        """Return the steps that have to finish before a step starts."""
        number = STEPS.index(step)
        if self.is_chain:
            return list(STEPS[max(number - 1, 0) : number])
        return [] if step == "a" else list(STEPS[1:-1]) if step == "e" else ["a"]

    def executions(self) -> Iterator[tuple[str, str, str]]:
        """Return every expected execution: run, step and number."""
        for step in (*STEPS, *CALLED):
            if step != "calls":
                yield self.run_id, step, "1"
        yield self.run_id, "retried", "2"

    def expected(self, step: str, *, aside: bool = False) -> str:
        """Return the expected output of a step, on stderr if ``aside``."""
        own = [f"{self.run_id} {step} {line} {MASK}{' aside' * aside}" for line in range(1, self.lines[step] + 1)]
        own *= 2 if step == "retried" else 1
        return "\n".join([*own, self.expected("a")] if step == "e" and not aside else own)


class StartedExecution(NamedTuple):
    """A line of the witness."""

    run_id: str
    step: str
    execution: str
    pid: str


class KillExperiment:
    """One server, killed and started again while runs are posted."""

    def __init__(self, sandbox: Sandbox, size: Size, show: Callable[[str], None] = lambda _: None) -> None:
        directory = sandbox.directory
        self.size = size
        self.server = Server(directory / "home", sandbox.url)
        self.witness = Witness(directory / "witness")
        self.answered: set[str] = set()
        self.restarts: list[float] = []
        self.settling: list[float] = []
        self.hit = 0
        self._random = random.Random(size.seed)
        self._mark = f"chaos-{secrets.token_hex(8)}"
        self._script = directory / "step.sh"
        self._script.write_text(_STEP)
        self._secret = secrets.token_urlsafe(24)
        self._secret_file = directory / "secret"
        self._secret_file.write_text(self._secret)
        self._flows = {flow.run_id: flow for flow in self._make_flows()}
        self._waiting = list(self._flows.values())
        self._refusals: list[str] = []
        self._progress = Progress(show)

    def _make_flows(self) -> Iterator[Flow]:
        for number in range(self.size.runs):
            lines = {step: self._random.randint(2, 6) for step in STEPS}
            pauses = {step: self._random.uniform(0.025, 0.05) for step in STEPS}
            yield Flow(f"run-{number}", lines, pauses, is_chain=self._random.choice((True, False)))

    def _spec(self, flow: Flow) -> str:
        env = f"env:\n  - WITNESS: {self.witness.path}\n  - MARK: {self._mark}\n"
        head = f"type: graph\nmaxActiveRuns: {self.size.runs}\n{env}"
        head += f"secrets:\n  - {{name: TOKEN, provider: file, key: {self._secret_file}}}\n"
        called = f"---\nname: called\n{env}"
        called += "  - TOKEN: ${TOKEN}\nsteps:\n"
        called += f"  - name: called\n    command: '{self._command(flow, 'calls')}'\n"
        return f"{head}steps:\n" + "".join(self._step(flow, step) for step in STEPS) + called

    def _step(self, flow: Flow, step: str) -> str:
        head = f"  - name: {step}\n    depends: {flow.depends(step)}\n"
        match step:
            case "calls":
                items = f"{{items: {list(ITEMS)}, maxConcurrent: 2}}"
                params = "CALLER=${DAG_RUN_ID} ITEM=${ITEM}"
                return f"{head}    call: called\n    parallel: {items}\n    params: {params}\n"
            case "retried":
                more = "    retryPolicy: {limit: 1, intervalSec: 0}\n"
            case "a":
                more = "    output: FIRST\n"
            case _:
                more = ""
        return f"{head}    command: '{self._command(flow, step)}'\n{more}"

    def _command(self, flow: Flow, step: str) -> str:
        return f"exec sh {self._script} {flow.lines[step]} {flow.pauses[step]:.3f}"

    # -- running ---------------------------------------------------------------------------------------------

    def run(self) -> list[str]:
        try:
            self._interfere()
            self._post_all()
            return [*self._wait(), *self._violations()]
        finally:
            for server in self._all():
                server.clear()

    def _all(self) -> list[Server]:
        """Return the processes of the experiment, which it removes at the end."""
        return [self.server]

    def _interfere(self) -> None:
        """Start runs and kill the server meanwhile; at the end it works."""
        for life in range(self.size.kills):
            self._live(life)
            self._show_progress(life)
        self._start()

    def figures(self) -> Figures:
        counts = {
            "runs answered": len(self.answered),
            "steps started": len(self.witness.lines()),
            "kills": self.size.kills,
            "steps running when their server was killed": self.hit,
        }
        samples = {
            "seconds until a server was back": self.restarts,
            "seconds from the last kill until all runs had finished": self.settling,
        }
        return Figures(counts, samples)

    def _show_progress(self, life: int) -> None:
        met = f"which met {self.hit} running steps"
        self._progress(f"{life + 1} of {self.size.kills} kills, {met}; {len(self.answered)} of {self.size.runs} runs")

    def _start(self) -> None:
        begin = time.monotonic()
        self.server.start()
        self.restarts.append(time.monotonic() - begin)

    def _live(self, life: int) -> None:
        if life % _WHILE_STARTING == _WHILE_STARTING - 1:
            self.server.launch()
            time.sleep(self._random.uniform(0.2, 1.0))  # a random moment of its start is what is tried
            self.server.kill()
            return
        self._start()
        with self._posting(life, self._random.uniform(_SHORTEST_LIFE, self.size.longest_life)):
            self.server.crash()
            self.hit += len(self._live_steps())
        self.server.kill()

    @contextmanager
    def _posting(self, life: int, span: float, longer: float = 0) -> Iterator[None]:
        """Post a share of the runs over a time; at its end, or ``longer`` before the last, the body interferes."""
        share = -(-len(self._waiting) // (self.size.kills - life))
        posted, self._waiting = self._waiting[:share], self._waiting[share:]
        end = time.monotonic() + span
        with ThreadPoolExecutor(max(share, 1)) as threads:
            delays = [(flow, self._random.uniform(0, span + longer)) for flow in posted]
            answers = [(flow, threads.submit(self._post, flow, delay)) for flow, delay in delays]
            time.sleep(max(end - time.monotonic(), 0))  # how long a server lives is drawn
            self._wait_for_step()
            yield
            self._waiting += [flow for flow, answer in answers if not self._record(flow, answer)]

    def _wait_for_step(self) -> None:
        """Wait for a running step until one was met: a busy machine starts steps late, and a quick one ends them."""
        if not self.hit:
            with suppress(NotInTimeError):  # all may have ended
                wait_for("a running step", self._live_steps, seconds=_SETTLE_SECONDS)

    def _post(self, flow: Flow, delay: float) -> httpx.Response:
        api = self._choose().api
        time.sleep(delay)  # starts are spread over the life of the server
        return api.post_run(self._spec(flow), name=NAME, run_id=flow.run_id)

    def _choose(self) -> Server:
        """Choose the server that gets a request."""
        return self.server

    def _record(self, flow: Flow, answer: Future[httpx.Response]) -> bool:
        """Record the answer to a start; returns False when it was lost and the run has to be posted again."""
        try:
            response = answer.result()
        except httpx.TransportError:
            return False
        if response.status_code == httpx.codes.OK or response.json().get("code") == "already_exists":
            self.answered.add(flow.run_id)
            return True
        self._refusals.append(f"start of {flow.run_id} answered {response.status_code}: {response.text}")
        return True

    def _post_all(self) -> None:
        with ThreadPoolExecutor(4) as threads:
            answers = [(flow, threads.submit(self._post, flow, 0)) for flow in self._waiting]
            self._waiting = [flow for flow, answer in answers if not self._record(flow, answer)]
        self._refusals += [
            f"start of {flow.run_id} was not answered though no server was killed" for flow in self._waiting
        ]

    def _live_steps(self) -> list[int]:
        return [pid for pid in processes.with_variable("MARK", self._mark) if processes.leads_session(pid)]

    # -- checking --------------------------------------------------------------------------------------------

    def _wait(self) -> list[str]:
        """Wait for the end of all runs; those that are left are stuck when none of them has advanced for a minute.

        How long it takes until all have finished depends on the machine, and is measured.
        """
        self._progress.now(f"all runs have to finish, with progress every {_SETTLE_SECONDS} seconds")
        begin = advanced = time.monotonic()
        seen = (0, 0)
        while left := self._open():
            progress = (len(self.witness.lines()), len(left))
            if progress != seen:
                seen, advanced = progress, time.monotonic()
            elif time.monotonic() - advanced > _SETTLE_SECONDS:
                return [f"stuck: {run_id} is {label}" for run_id, label in left.items()]
            time.sleep(_SETTLE_POLL_SECONDS)  # the bound is the time without progress
        self.settling.append(time.monotonic() - begin)
        return []

    def _open(self) -> dict[str, str]:
        labels = self._labels()
        return {run_id: label for run_id, label in labels.items() if label not in FINAL}

    def _labels(self) -> dict[str, str]:
        listed = self.server.api.client.get(f"/dag-runs/{NAME}").json()["dagRuns"]
        return {run["dagRunId"]: run["statusLabel"] for run in listed}

    def _violations(self) -> list[str]:
        self._progress.now("checking runs, output, processes, files and the database")
        labels = self._labels()
        found = [*self._refusals]
        found += [f"lost: {run_id} was answered and is not there" for run_id in self.answered - labels.keys()]
        found += [f"{run_id} is {label}" for run_id, label in labels.items() if label != "succeeded"]
        found += self._witness_violations(labels)
        for run_id in labels:
            found += self._output_violations(self._flows[run_id])
        found += [f"left over: process {pid}" for pid in processes.with_variable("MARK", self._mark)]
        found += invariants.find_violations(self.server.database_url)
        if self._secret.encode() in store.everything(self.server.database_url, self.server.home):
            found.append("unmasked in the database")
        if self._secret in self.server.log_text():
            found.append("unmasked in what the servers logged")
        self.server.terminate()
        found += [f"left over: {path}" for path in self.server.spooled()]
        return found

    def _witness_violations(self, labels: dict[str, str]) -> Iterator[str]:
        lines = self.witness.timed_lines()
        started = [StartedExecution(*words) for words, _ in lines]
        counts = Counter((one.run_id, one.step, one.execution.partition("-")[0]) for one in started)
        wanted = {key for run_id in labels for key in self._flows[run_id].executions()}
        yield from (f"started {counts[key]} times: {key}" for key in sorted(wanted | counts.keys()) if counts[key] != 1)
        order = {(one.run_id, one.step): number for number, one in enumerate(started)}
        for (run_id, step), number in order.items():
            for above in self._flows[run_id].depends(step) if step in STEPS else ():
                if order.get((run_id, above), 0) > number:
                    yield f"{run_id}: {step} started before {above}"
        ends = _finish_times(self.server.database_url)
        for one, (_, at) in zip(started, lines, strict=True):
            late = at - ends.get(one.run_id, math.inf)
            if late > _CLOCK_SECONDS:
                yield f"late: {one.step} of {one.run_id} started {late:.2f} s after the end of the run"

    def _output_violations(self, flow: Flow) -> Iterator[str]:
        for step in STEPS:
            if step == "calls":
                yield from self._call_violations(flow)
                continue
            for stream, aside in (("stdout", False), ("stderr", True)):
                query = f"/dag-runs/{NAME}/{flow.run_id}/steps/{step}/log"
                answer = self.server.api.client.get(query, params={"stream": stream}).json()
                if answer.get("content") != flow.expected(step, aside=aside):
                    yield f"output of {flow.run_id} {step} {stream} is not complete: {answer}"

    def _call_violations(self, flow: Flow) -> Iterator[str]:
        result = self.server.api.log(flow.run_id, "calls", name=NAME)
        if json.loads(result)["summary"] != {"total": len(ITEMS), "succeeded": len(ITEMS), "failed": 0}:
            yield f"calls of {flow.run_id}: {result}"


def _finish_times(url: str) -> dict[str, float]:
    """Return when the runs finished, in seconds since 1970, by their ids."""
    finished = select(Run.run_id, Run.finished_at).where(Run.dag_name == NAME, Run.finished_at.is_not(None))
    rows = store.with_retries(
        url, lambda database: database.read(lambda connection: connection.execute(finished).all())
    )
    return {row.run_id: row.finished_at.timestamp() for row in rows}
