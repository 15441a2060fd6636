"""Files are copied into a directory while its server is killed (FB4), or while two servers share it (FB8)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from dagbook.engine.status import RunStatus
from tests.chaos.experiment import Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers import inbox
from tests.chaos.triggers.inbox import PUSH
from tests.chaos.triggers.senders import STARTED
from tests.process import invariants
from tests.process.server import Api

_WATCH, _COPIERS, _EVERY_SECONDS = "watch", 4, 10
_LEASE_SECONDS = 60  # of a killed server: nothing is seen for as long
_CHUNK = b"x" * 1_000
_LONGEST_PAUSE = 0.3


class FilesPlan(NamedTuple):
    """How many files are copied within some seconds, and how often a server is killed meanwhile."""

    servers: int
    files: int
    kills: int
    seconds: float
    seed: int
    settle: float = 1.0


def add_watch(api: Api, pattern: str, settle: float) -> None:
    """Add a trigger that looks at files, whose runs get the path and the size of one."""
    body = {
        "name": _WATCH,
        "dag": PUSH,
        "kind": "files",
        "settings": {"files": pattern, "settle": settle},
        "params": {"EVENT!": "item:path", "SIZE!": "item:size"},
        "everySeconds": _EVERY_SECONDS,
        "maxWaiting": 20_000,
    }
    api.client.post("/triggers", json=body).raise_for_status()


class FilesExperiment:
    def __init__(self, sandbox: Sandbox, plan: FilesPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._servers = sandbox.make_servers(plan.servers)
        self._url = self._servers[0].database_url
        self._inbox = sandbox.directory / "inbox"
        self._inbox.mkdir()
        self._witness = Witness(sandbox.directory / "witness")
        self._random = random.Random(plan.seed)
        self._progress = Progress(show)
        self._kills = 0
        self._settling: list[float] = []

    def run(self) -> list[str]:
        try:
            for server in self._servers:
                server.start()
            return list(self._run())
        finally:
            for server in self._servers:
                server.clear()

    def figures(self) -> Figures:
        counts = {
            "files": len(list(self._inbox.iterdir())),
            "servers killed": self._kills,
            "runs": len(self._witness.lines()),
        }
        return Figures(counts, {"seconds from the last file until all runs had finished": self._settling})

    def _run(self) -> Iterator[str]:
        inbox.store_dags(self._servers[0].api, self._witness.path)
        add_watch(self._servers[0].api, f"{self._inbox}/*.csv", self._plan.settle)
        with ThreadPoolExecutor(_COPIERS) as pool:
            copied = self._copy_all(pool)
            self._kill_all()
            paths = {str(one.result()) for one in copied}
        begin = time.monotonic()
        inbox.wait_until_settled(self._url, events=len(paths), stuck_seconds=_LEASE_SECONDS * 2)
        self._settling.append(time.monotonic() - begin)
        yield from find_violations(self._url, Counter(dict.fromkeys(paths, 1)), self._witness)

    def _copy_all(self, pool: ThreadPoolExecutor) -> list[Future[Path]]:
        """Start to write the files, each in two parts."""
        begin, pause = time.monotonic(), self._plan.seconds / self._plan.files

        def copy(number: int, break_seconds: float) -> Path:
            time.sleep(max(begin + number * pause - time.monotonic(), 0))  # a constant rate
            path = self._inbox / f"file-{number}.csv"
            with path.open("wb") as file:
                file.write(_CHUNK)
                file.flush()
                time.sleep(break_seconds)  # in which a look may see the first part
                file.write(_CHUNK)
            return path

        breaks = [self._random.uniform(0, min(_LONGEST_PAUSE, pause * _COPIERS)) for _ in range(self._plan.files)]
        return [pool.submit(copy, number, each) for number, each in enumerate(breaks)]

    def _kill_all(self) -> None:
        """Kill a server and start it again, spread over the time of copying."""
        for number in range(self._plan.kills):
            # A random moment is what is tried.
            time.sleep(self._random.uniform(0.5, 1.5) * self._plan.seconds / (self._plan.kills + 1))
            victim = self._random.choice(self._servers)
            victim.kill()
            self._kills += 1
            victim.start()
            self._progress(f"{number + 1} of {self._plan.kills} kills; {len(self._witness.lines())} runs")


def find_violations(url: str, wanted: Counter[str], witness: Witness) -> Iterator[str]:
    """Return what is wrong with the events of files, of which there have to be so many of each path."""
    rows = inbox.read_rows(url)
    ran = Counter(words[0] for words in witness.lines())
    for path in sorted(wanted.keys() | ran.keys()):
        if wanted[path] != ran[path]:
            yield f"{Path(path).name} has started {ran[path]} times, not {wanted[path]}"
    for row in rows.events.values():
        run = rows.runs.get(row.run or 0)
        if row.state != STARTED or run is None or run.status is not RunStatus.SUCCEEDED:
            yield f"the event {row.id} is {row.state}, with {run}: {row.reason}"
    if len(rows.runs) != len(rows.events):
        yield f"there are {len(rows.runs)} runs of {len(rows.events)} events"
    yield from invariants.find_violations(url)
