"""Servers and workers on a durable PostgreSQL server of their own, with stored DAGs, runs, open pages and a history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from scripts.measuring.capacity.meter import UNSEEN, Meter, make_cluster
from tests.process import store
from tests.process.program import ROOT
from tests.process.server import Server, Worker, all_running
from tests.process.waiting import wait_for

SELECTOR = 'maxActiveRuns: -1\nworkerSelector: {capacity: "yes"}\n'
_SETTINGS = {"request_log": "off", "retention_days": "-1"}
_LABEL = "capacity=yes"
_BEGAN, _DAGS = 1_760_000_000, 50
SEEDED = 10_000
_MULTIPLY = Path(__file__).with_name("multiply.sql")
_SIZES = f"""SELECT relname, pg_total_relation_size(oid)::float AS bytes {UNSEEN} FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""  # noqa: S608 - a constant
_UNFINISHED = f"SELECT count(*) {UNSEEN} FROM runs WHERE finished_at IS NULL"  # noqa: S608 - a constant
_LATENCIES = f"""SELECT 1000 * extract(epoch FROM finished_at - created_at)::float AS ms {UNSEEN} FROM runs
    WHERE dag_name LIKE :name AND created_at > now() - make_interval(secs => :seconds) ORDER BY 1"""  # noqa: S608


class Scene:
    """A database, and the processes that work on it; ``finished`` counts last steps of runs by a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = make_cluster()
        self.url = self.cluster.make_database()
        self._marks = folder / "marks"
        self._marks.touch()
        self.servers: list[Server] = []
        self.workers: list[Server] = []

    @contextmanager
    def running(self, servers: int = 1, workers: int = 0) -> Iterator[Meter]:
        """Run so many servers and workers, and return what reads their costs."""
        home = self.folder / "home"
        logs = [self.folder / f"process-{number}.log" for number in range(servers + workers)]
        self.servers = [Server(home, self.url, log=log, settings=_SETTINGS) for log in logs[:servers]]
        words = [f"--label={_LABEL}", "--max-active-runs=100"]
        self.workers = [Worker(home, self.url, words, log=log, settings=_SETTINGS) for log in logs[servers:]]
        with all_running([*self.servers, *self.workers]):
            time.sleep(1.5)  # the first rounds of their loops
            yield Meter(self.cluster, self.url, [*self.servers, *self.workers])

    def store_dag(self, name: str, steps: int, head: str = "maxActiveRuns: -1\n") -> None:
        """Store a DAG that is a chain of steps, of which the last one leaves a mark."""
        lines = ["  - {name: s0, command: 'true'}"]
        lines += [f"  - {{name: s{n}, command: 'true', depends: s{n - 1}}}" for n in range(1, steps - 1)]
        lines.append(f"  - {{name: last, command: 'printf . >>{self._marks}', depends: s{max(steps - 2, 0)}}}")
        self.servers[0].api.store(name, head + "steps:\n" + "\n".join(lines) + "\n")

    def finished(self) -> int:
        return self._marks.stat().st_size

    def start(self, number: int, name: str, action: str = "start") -> None:
        """Start a run through one of the servers, in turn."""
        client = self.servers[number % len(self.servers)].api.client
        client.post(f"/dags/{name}/{action}", json={}).raise_for_status()

    def pace(self, names: Sequence[str], rate: float, seconds: float) -> int:
        """Start runs of these DAGs in turn, at fixed times, wait for their ends, and return their number."""
        begin, count, starts = time.monotonic(), max(int(rate * seconds), 1), list[Future[None]]()
        with ThreadPoolExecutor(16) as pool:
            for number in range(count):
                time.sleep(max(begin + number / rate - time.monotonic(), 0))
                starts.append(pool.submit(self.start, number, names[number % len(names)]))
        self._settle(starts)
        return count

    def saturate(self, names: Sequence[str], active: int, seconds: float) -> tuple[float, int]:
        """Keep so many runs active; returns how many have finished each second, and how many in all."""
        begin, first, starts = time.monotonic(), self.finished(), list[Future[None]]()
        with ThreadPoolExecutor(active) as pool:
            while (elapsed := time.monotonic() - begin) < seconds:
                while (started := len(starts)) - (self.finished() - first) < active:
                    starts.append(pool.submit(self.start, started, names[started % len(names)]))
                time.sleep(0.005)
            rate = (self.finished() - first) / elapsed
        self._settle(starts)
        return rate, self.finished() - first

    def _settle(self, starts: Sequence[Future[None]]) -> None:
        """Raise the error of a start, or wait until no run is active."""
        for start in starts:
            start.result()
        wait_for("the end of all runs", lambda: not store.query(self.url, _UNFINISHED)[0][0], seconds=120)

    def latencies(self, name: str, seconds: float) -> list[float]:
        """Return the times from acceptance to end of the newest runs, in ms, sorted."""
        return [row.ms for row in store.query(self.url, _LATENCIES, name=name, seconds=seconds)]

    def sizes(self) -> dict[str, float]:
        """Return the bytes of each table with its indexes."""
        return {row.relname: row.bytes for row in store.query(self.url, _SIZES)}

    @contextmanager
    def pages(self, count: int) -> Iterator[None]:
        """Keep live feeds open, as pages of the web UI do."""
        with ExitStack() as streams:
            for number in range(count):
                client = self.servers[number % len(self.servers)].api.client
                response = streams.enter_context(client.stream("GET", "/events", timeout=None))
                threading.Thread(target=_drain, args=(response,), daemon=True).start()
            yield

    def seed(self, count: int) -> float:
        """Add finished runs of two steps: the first through scripts/seed-history, all others as copies of these.

        Returns the seconds that it took.
        """
        begin = time.monotonic()
        file = self.folder / "history.jsonl"
        with file.open("w") as lines:
            for number in range(min(count, SEEDED)):
                at = _BEGAN + number
                times = {"status": 4, "startedAt": at, "finishedAt": at + 1}
                steps = [{"name": name, "command": "true", **times} for name in ("a", "b")]
                run = {"name": f"old_{number % _DAGS}", "dagRunId": f"r{number}", **times, "steps": steps}
                lines.write(json.dumps(run) + "\n")
        environ = os.environ | {"DAGBOOK_DATABASE_URL": self.url, "DAGBOOK_HOME": str(self.folder)}
        script = ROOT / "scripts" / "measuring" / "seed_history.py"
        subprocess.run([sys.executable, script, file], env=environ | {"PYTHONPATH": str(ROOT)}, check=True)
        if count > SEEDED:
            with self._without_flushes():
                store.execute(self.url, _MULTIPLY.read_text().replace(":copies", str(count // SEEDED - 1)))
        store.execute(self.url, "VACUUM ANALYZE")
        return round(time.monotonic() - begin, 1)

    @contextmanager
    def _without_flushes(self) -> Iterator[None]:
        settings = {"fsync": "off", "max_wal_size": "8GB"}
        for name, value in settings.items():
            store.execute(self.url, f"ALTER SYSTEM SET {name} = '{value}'")
        store.execute(self.url, "SELECT pg_reload_conf()")
        yield
        for name in settings:
            store.execute(self.url, f"ALTER SYSTEM RESET {name}")
        store.execute(self.url, "SELECT pg_reload_conf()")

    def vacuum(self) -> float:
        """Return the seconds of VACUUM of the runs after an update of every fiftieth of them."""
        store.execute(self.url, "UPDATE runs SET params_text = params_text WHERE id % 50 = 0")
        begin = time.monotonic()
        store.execute(self.url, "VACUUM runs")
        return round(time.monotonic() - begin, 2)

    def levels(self, index: str) -> float:
        """Return how many pages a search in an index reads."""
        store.execute(self.url, "CREATE EXTENSION pageinspect")
        return float(store.query(self.url, "SELECT level + 1 FROM bt_metap(:name)", name=index)[0][0])


def _drain(response: httpx.Response) -> None:
    with suppress(httpx.HTTPError, httpx.StreamError, RuntimeError):
        for _ in response.iter_raw():
            pass


@contextmanager
def make_scene() -> Iterator[Scene]:
    """Make a scene in a temporary folder, and remove it."""
    with tempfile.TemporaryDirectory(prefix="dagbook-capacity-") as name:
        scene = Scene(Path(name))
        try:
            yield scene
        finally:
            scene.cluster.remove()
