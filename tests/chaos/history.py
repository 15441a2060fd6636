"""Concurrent clients start, stop, approve, retry and remove runs; some order has to explain all answers (promise R13).

Every client records each request with its answer, begin and end. The queues of half of the DAGs are paused and resumed
meanwhile, so that runs stay queued. The model and the search are in ``run_model``.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx

from tests.chaos.experiment import ExperimentError, Figures, Progress
from tests.chaos.run_model import Operation, UndecidedError, describe, explain
from tests.chaos.sandbox import Sandbox
from tests.process import invariants
from tests.process.server import all_running
from tests.process.waiting import NotInTimeError, wait_for

_DAG = """
type: chain
maxActiveRuns: 1000
steps:
  - {name: work, command: 'true'}
  - {name: gate, type: hitl}
  - {name: last, command: 'true'}
"""
_KINDS = {"start": 2, "enqueue": 3, "stop": 2, "retry": 2, "approve": 3, "dequeue": 2, "read": 3}  # and their weights
_PER_RUN = 30  # requests about one run, before the clients turn to the next one of its DAG
_HOT_SECONDS = 0.5  # for so long half of the requests are about runs of one DAG
_HOT_SHARE = 0.5
_PAUSE_SECONDS = 0.3
_SETTLE_SECONDS = 90
_SETTLED = frozenset({"waiting", "succeeded", "aborted"})
_ANSWER_SECONDS = 60

Key = tuple[str, str]  # DAG and run id


class HistoryPlan(NamedTuple):
    """The number of requests, and who sends them to how many servers about how many DAGs."""

    operations: int
    seed: int
    servers: int = 1
    clients: int = 16
    dags: int = 20


class _Client:
    """One client: sends a request, and returns what was answered and when."""

    def __init__(self, addresses: list[str], chance: random.Random) -> None:
        self._clients = [httpx.Client(base_url=address, timeout=_ANSWER_SECONDS) for address in addresses]
        self._random = chance

    def ask(self, kind: str, key: Key) -> Operation:
        begin = time.monotonic()
        try:
            answer = _read_answer(kind, self._send(kind, key))
        except httpx.TransportError:
            return Operation(kind, "", begin)
        return Operation(kind, answer, begin, time.monotonic())

    def _send(self, kind: str, key: Key) -> httpx.Response:
        name, run_id = key
        client = self._random.choice(self._clients)
        run = f"/dag-runs/{name}/{run_id}"
        match kind:
            case "start" | "enqueue":
                return client.post(f"/dags/{name}/{kind}", json={"dagRunId": run_id})
            case "read":
                return client.get(run)
            case "dequeue":
                return client.get(f"{run}/dequeue")
            case "approve":
                return client.post(f"{run}/steps/gate/approve", json={})
            case _:
                return client.post(f"{run}/{kind}", json={"dagRunId": run_id})

    def close(self) -> None:
        for client in self._clients:
            client.close()


def _read_answer(kind: str, response: httpx.Response) -> str:
    if not response.is_success:
        try:
            return str(response.json()["code"])
        except (ValueError, KeyError):
            return f"status {response.status_code}"
    if kind != "read":
        return "ok"
    run = response.json()["dagRunDetails"]
    label = str(run["statusLabel"])
    return "waiting" if label == "running" and run.get("reason") else label


class HistoryExperiment:
    """Clients in threads, and servers on one database."""

    def __init__(self, sandbox: Sandbox, plan: HistoryPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self.histories: dict[Key, list[Operation]] = defaultdict(list)
        self._plan = plan
        self._servers = sandbox.make_servers(plan.servers)
        self._names = [f"dag-{number}" for number in range(plan.dags)]
        self._random = random.Random(plan.seed)
        self._lock = threading.Lock()
        self._sent = 0
        self._current: dict[str, int] = dict.fromkeys(self._names, 0)
        self._asked: Counter[Key] = Counter()
        self._progress = Progress(show)
        self._url = self._servers[0].database_url

    def run(self) -> list[str]:
        with all_running(self._servers):
            for number, name in enumerate(self._names):
                queue = f"queue: {name}\n" if number % 2 else ""
                self._servers[0].api.store(name, f"{queue}{_DAG}")
            over = threading.Event()
            with ThreadPoolExecutor(self._plan.clients + 1) as pool:
                pausing = pool.submit(self._pause_queues, over)
                working = [pool.submit(self._work, self._random.random()) for _ in range(self._plan.clients)]
                try:
                    for work in working:
                        work.result()
                finally:
                    over.set()
                pausing.result()
            return [*self._settle(), *self._violations(), *invariants.find_violations(self._url)]

    def figures(self) -> Figures:
        operations = [one for history in self.histories.values() for one in history]
        answers = Counter(f"answers to {one.kind}: {one.answer or 'none'}" for one in operations)
        counts = {
            "requests": len(operations),
            "runs": len(self.histories),
            "requests that overlapped another one about the same run": sum(map(_overlapping, self.histories.values())),
            **dict(sorted(answers.items())),
        }
        seconds = sorted(one.end - one.begin for one in operations if one.answer)
        # A tenth of a percent each: all of them would be most of a result file.
        shares = [seconds[len(seconds) * number // 1000] for number in range(1000)] if len(seconds) > 1000 else seconds
        return Figures(counts, {"seconds until an answer": shares})

    # -- requests --------------------------------------------------------------------------------------------

    def _work(self, seed: float) -> None:
        chance = random.Random(seed)
        client = _Client([str(server.api.client.base_url) for server in self._servers], chance)
        kinds, weights = list(_KINDS), list(_KINDS.values())
        try:
            while (key := self._next_key(chance)) is not None:
                self._record(key, client.ask(chance.choices(kinds, weights)[0], key))
        finally:
            client.close()

    def _next_key(self, chance: random.Random) -> Key | None:
        """Choose the run of the next request; None when all requests have been sent."""
        hot = self._names[int(time.monotonic() / _HOT_SECONDS) % len(self._names)]
        name = hot if chance.random() < _HOT_SHARE else chance.choice(self._names)
        with self._lock:
            if self._sent >= self._plan.operations:
                return None
            self._sent += 1
            self._progress(f"{self._sent} of {self._plan.operations} requests")
            key = (name, f"run-{self._current[name]}")
            self._asked[key] += 1
            if self._asked[key] >= _PER_RUN:
                self._current[name] += 1
            return key

    def _record(self, key: Key, operation: Operation) -> None:
        with self._lock:
            self.histories[key].append(operation)

    def _pause_queues(self, over: threading.Event) -> None:
        chance = random.Random(self._plan.seed)
        client = self._servers[0].api.client
        queues = self._names[1::2]
        while not over.wait(_PAUSE_SECONDS):
            word = chance.choice(("pause", "resume"))
            self._switch(client, chance.choice(queues), word)
        for queue in queues:
            self._switch(client, queue, "resume")

    def _switch(self, client: httpx.Client, queue: str, word: str) -> None:
        answer = client.post(f"/queues/{queue}/{word}")
        # A queue exists once it has a run.
        if not answer.is_success and answer.status_code != httpx.codes.NOT_FOUND:
            raise ExperimentError(f"{word} of the queue {queue} answered {answer.status_code}: {answer.text}")

    # -- checking --------------------------------------------------------------------------------------------

    def _settle(self) -> Iterator[str]:
        """Add to each history what became of the run, once it has become what the model says: a stop takes a while."""
        self._progress.now(f"all requests are answered; {len(self.histories)} runs have to settle")
        client = _Client([str(self._servers[0].api.client.base_url)], self._random)
        end = time.monotonic() + _SETTLE_SECONDS
        for key, history in self.histories.items():

            def look(key: Key = key, history: list[Operation] = history) -> Operation | None:
                found = client.ask("read", key)
                found = found._replace(kind="settled") if found.answer in _SETTLED else found
                if found.answer not in _SETTLED | {"not_found"} or not _is_possible([*history, found]):
                    return None
                return found

            try:
                history.append(wait_for("the end of a run", look, seconds=max(end - time.monotonic(), 1)))
            except NotInTimeError:
                yield f"{key} is {client.ask('read', key).answer} in the end; {describe(history)}"
        client.close()

    def _violations(self) -> Iterator[str]:
        self._progress.now("searching an order for each run")
        for key, history in self.histories.items():
            try:
                if explain(history) is None:
                    yield f"no order explains the answers about {key}: {describe(history)}"
            except UndecidedError as error:
                yield f"not decided for {key}: {error}"


def _is_possible(history: list[Operation]) -> bool:
    try:
        return explain(history) is not None
    except UndecidedError:
        return True  # which is reported at the end


def _overlapping(history: list[Operation]) -> int:
    """Count the requests that began before an earlier one had ended."""
    count, latest = 0, 0.0
    for one in sorted(history, key=lambda one: one.begin):
        count += one.begin < latest
        latest = max(latest, one.end)
    return count
