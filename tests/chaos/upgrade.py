"""Servers are exchanged one by one for those of the next version, while runs are started, queued and due (promise R16).

Until there is a next version it is this one with a revision more. On SQLite, where one server owns the file, the old
server ends before the new one starts.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
from sqlalchemy import select

from dagbook.db.migrations.upgrade import head
from dagbook.db.models.schedule import ScheduleSlot
from dagbook.db.repositories import schedules
from dagbook.engine.status import RunStatus
from tests.chaos.experiment import READ_UPTIME, Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.db.later_version import write_later_migrations
from tests.process import invariants, store
from tests.process.program import ROOT
from tests.process.server import Server
from tests.process.waiting import NotInTimeError, wait_for

_STEPS = ("first", "second")
_SETTLE_SECONDS = 120
_MOST_WITHOUT_OWNER = 15.0  # seconds, beside those in which there is no server that could take it over
_ANSWER_SECONDS = 60
_DOWNGRADE = (
    "import asyncio, sys; from dagbook.db.migrations.upgrade import downgrade; asyncio.run(downgrade(*sys.argv[1:]))"
)
_RUNS = "SELECT run_id, dag_name, status FROM runs"
_OPEN = "SELECT run_id FROM runs WHERE status IN (0, 1, 5)"
_OWNERS = """
SELECT r.run_id, s.pid FROM runs r JOIN run_attempts a ON a.run_id = r.id AND a.number = r.attempt
LEFT JOIN services s ON s.id = a.owner WHERE r.status = 1
"""
_SLOTS = select(ScheduleSlot.minute, ScheduleSlot.outcome, ScheduleSlot.reason)


class UpgradePlan(NamedTuple):
    """Rounds, servers (one on SQLite), seconds before, between and after exchanges, and starts per second."""

    rounds: int
    servers: int
    seconds: float
    seed: int
    starts_per_second: float = 2.0


class NextServer(Server):
    """A server of another version, the next one as a rule, whose code is below ``source``."""

    def __init__(self, source: Path, home: Path, database_url: str, *, log: Path) -> None:
        super().__init__(home, database_url, log=log)
        self._source = source

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"PYTHONPATH": str(self._source)}


class Clients:
    """Clients that start and enqueue runs, one after the other, at servers that are exchanged meanwhile."""

    def __init__(self, plan: UpgradePlan) -> None:
        self.answered: set[str] = set()
        self.refusals: list[str] = []
        self.retries = 0
        self.addresses: list[str] = []
        self.exchanging = False
        self._pause = 1 / plan.starts_per_second
        self._random = random.Random(plan.seed)

    def work(self, name: str, over: threading.Event) -> None:
        number = 0
        while not over.wait(self._pause):
            run_id = f"{name}-{number}"
            self._start(run_id, self._random.choice(("start", "enqueue")))
            number += 1

    def _start(self, run_id: str, how: str) -> None:
        """Ask until there is an answer: a server that is exchanged may take a request and give none."""
        end = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < end:
            exchanging = self.exchanging
            try:
                answer = self._post(self._random.choice(self.addresses), run_id, how)
            except httpx.TransportError:
                refusal = f"{how} of {run_id} was not answered"
            else:
                if answer.is_success or answer.json().get("code") == "already_exists":
                    self.answered.add(run_id)
                    return
                refusal = f"{how} of {run_id} answered {answer.status_code}: {answer.text}"
            if not (exchanging or self.exchanging):
                self.refusals.append(refusal)
                return
            self.retries += 1
            time.sleep(0.1)  # as clients do before they repeat
        self.refusals.append(f"{how} of {run_id} was not answered within {_ANSWER_SECONDS} seconds")

    def _post(self, address: str, run_id: str, how: str) -> httpx.Response:
        return httpx.post(f"{address}dags/flow/{how}", json={"dagRunId": run_id}, timeout=30)


class OwnerWatch:
    """How long a running run was without a live owner, seen from outside twice a second."""

    def __init__(self, url: str, live_pids: Callable[[], set[int]]) -> None:
        self.longest: dict[str, float] = {}
        self._url = url
        self._live_pids = live_pids
        self._since: dict[str, float] = {}

    def work(self, over: threading.Event) -> None:
        while not over.wait(0.5):
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        rows = store.query(self._url, _OWNERS)
        live = self._live_pids()
        without = {row.run_id for row in rows if row.pid not in live}
        self._since = {run: self._since.get(run, now) for run in without}
        for run, since in self._since.items():
            self.longest[run] = max(self.longest.get(run, 0.0), now - since)


class UpgradeExperiment:
    def __init__(self, sandbox: Sandbox, plan: UpgradePlan, show: Callable[[str], None] = lambda _: None) -> None:
        self.url = Server(sandbox.directory / "home", sandbox.url).database_url
        self.exchanges: list[float] = []
        self.answered = 0
        self.retries = 0
        self.longest: list[float] = []  # seconds that a run had no owner, the most of each round
        self._sandbox = sandbox
        self._plan = plan
        self._source = self._make_source(sandbox.directory / "next")
        self._witness = Witness(sandbox.directory / "witness")
        self._progress = Progress(show)
        self._servers: list[Server] = []

    def run(self) -> list[str]:
        found: list[str] = []
        try:
            for number in range(self._plan.rounds):
                self._progress.now(f"round {number + 1} of {self._plan.rounds}")
                found += self._round(number)
        finally:
            for server in self._servers:
                server.clear()
        return found

    def figures(self) -> Figures:
        counts = {
            "servers exchanged": len(self.exchanges),
            "runs answered": self.answered,
            "runs executed": len({words[0] for words in self._witness.lines()}),
            "requests repeated during an exchange": self.retries,
        }
        samples = {"seconds per exchange": self.exchanges, "most seconds of a round without an owner": self.longest}
        return Figures(counts, samples)

    def _round(self, number: int) -> list[str]:
        self._servers = self._make_servers()
        for server in self._servers:
            server.start()
        if number == 0:
            self._store()
        begin = datetime.now(UTC)
        clients = self._make_clients()
        watch = OwnerWatch(self.url, self._live_pids)
        over = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            working = [pool.submit(clients.work, f"round-{number}", over), pool.submit(watch.work, over)]
            try:
                self._exchange_all(clients)
            finally:
                over.set()
        for future in working:
            future.result()
        self.answered += len(clients.answered)
        self.retries += clients.retries
        self.longest.append(max(watch.longest.values(), default=0.0))
        found = [*clients.refusals, *self._stuck(), *self._violations(clients.answered, watch, begin)]
        for server in self._servers:
            server.terminate()
        self._downgrade()
        return found

    def _make_clients(self) -> Clients:
        return Clients(self._plan)

    def _make_servers(self) -> list[Server]:
        return self._sandbox.make_servers(self._plan.servers)

    def _make_next(self, old: Server) -> Server:
        return NextServer(self._source, old.home, self._sandbox.url, log=old.output)

    def _make_source(self, folder: Path) -> Path:
        return _make_next_version(folder)

    def _store(self) -> None:
        steps = [
            f"{{name: {step}, depends: {list(_STEPS[:number])}, shell: sh, command: '{self._command(step)}'}}"
            for number, step in enumerate(_STEPS)
        ]
        body = f"maxActiveRuns: 1000\nsteps: [{', '.join(steps)}]\n"
        self._servers[0].api.store("flow", body)
        self._servers[0].api.store("minutely", f"schedule: '* * * * *'\n{body}")

    def _command(self, step: str) -> str:
        # A second, so that an exchange meets steps.
        return f"{READ_UPTIME}; echo $DAG_RUN_ID {step} $uptime >>{self._witness.path}; sleep 1"

    def _exchange_all(self, clients: Clients) -> None:
        clients.addresses = [str(server.api.client.base_url) for server in self._servers]
        time.sleep(self._plan.seconds)  # in which clients start runs, as after each exchange
        for position in range(len(self._servers)):
            self._progress.now(f"server {position + 1} of {len(self._servers)} is exchanged")
            self._exchange(position, clients)
            time.sleep(self._plan.seconds)  # as above

    def _exchange(self, position: int, clients: Clients) -> None:
        """End one server and start one of the next version in its place; requests to it may fail meanwhile."""
        old = self._servers[position]
        begin = time.monotonic()
        clients.exchanging = True
        old.end(signal.SIGTERM, seconds=40)
        new = self._make_next(old)
        self._servers[position] = new
        new.start()
        clients.addresses[position] = str(new.api.client.base_url)
        self.exchanges.append(time.monotonic() - begin)
        time.sleep(1)  # requests that were under way
        clients.exchanging = False

    def _live_pids(self) -> set[int]:
        return {server.pid for server in list(self._servers) if server.is_alive()}

    def _stuck(self) -> list[str]:
        try:
            wait_for("the end of all runs", lambda: not store.query(self.url, _OPEN), seconds=_SETTLE_SECONDS)
        except NotInTimeError:
            return [f"stuck: {row.run_id}" for row in store.query(self.url, _OPEN)]
        return []

    def _violations(self, answered: set[str], watch: OwnerWatch, begin: datetime) -> Iterator[str]:
        rows = store.query(self.url, _RUNS)
        runs = {row.run_id for row in rows}
        yield from (f"lost: {run} was answered and is not there" for run in answered - runs)
        yield from (f"{row.run_id} has the status {row.status}" for row in rows if row.status != RunStatus.SUCCEEDED)
        ran = Counter((run, step) for run, step in self._witness.lines())
        wanted = {(run, step) for run in runs for step in _STEPS}
        yield from (f"executed {ran[key]} times: {key}" for key in wanted | ran.keys() if ran[key] != 1)
        serverless = max(self.exchanges) if self._plan.servers == 1 else 0.0
        for run, seconds in watch.longest.items():
            if seconds > _MOST_WITHOUT_OWNER + serverless:
                yield f"{run} had no owner for {seconds:.1f} s"
        slots = self._slots()
        for minute in _minutes(begin, datetime.now(UTC)):
            outcome = slots.get(minute, "no slot")
            if outcome != schedules.STARTED:
                yield f"the schedule did not start a run at {minute:%H:%M}: {outcome}"
        yield from invariants.find_violations(self.url)

    def _slots(self) -> dict[datetime, str]:
        """Return the outcome of each minute, with the reason if there is one."""
        rows = store.with_retries(
            self.url, lambda database: database.read(lambda connection: connection.execute(_SLOTS).all())
        )
        return {row.minute: ": ".join(filter(None, (row.outcome, row.reason))) for row in rows}

    def _downgrade(self) -> None:
        subprocess.run(
            [sys.executable, "-P", "-c", _DOWNGRADE, self.url, head()],
            env={"PYTHONPATH": str(self._source)},
            check=True,
        )


def _minutes(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Return the full minutes between two times, without the one that has just begun."""
    minute = begin.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while minute < end - timedelta(seconds=10):
        yield minute
        minute += timedelta(minutes=1)


def _make_next_version(folder: Path) -> Path:
    """Copy the package, with a revision more; returns the root of its source."""
    source = folder / "app"
    shutil.copytree(ROOT / "app" / "dagbook", source / "dagbook", ignore=shutil.ignore_patterns("__pycache__"))
    write_later_migrations(folder)
    return source
