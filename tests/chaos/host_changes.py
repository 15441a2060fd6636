"""The host changes under running steps: spools are lost, homes restored, containers replaced (promise R17)."""

from __future__ import annotations

import random
import secrets
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from dagbook.db.url import sqlite_path
from tests.chaos.experiment import READ_UPTIME, ExperimentError, Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, processes, store
from tests.process.namespaces import NamespaceServer, may_have_namespaces
from tests.process.server import Server
from tests.process.waiting import wait_for

_RUNS = 3
_STEPS = ("a", "b", "c", "d")
_SETTLE_SECONDS = 90
_ADOPTION_SECONDS = {False: 15.0, True: 30.0}  # after a shutdown, after a kill
# The arguments of the shim name the execution. Each step may be retried as often as the host changes.
_STEP = rf"""
started=$(tr '\0' '\n' </proc/$PPID/cmdline | sed -n 3p)
execution=${{started%.started}}
{READ_UPTIME}
printf '%s %s %s %s\n' "$DAG_RUN_ID" "$DAG_RUN_STEP_NAME" "${{execution##*.}}" "$uptime" >>"$WITNESS"
sleep "$1"  # how long a step takes is drawn
"""
_OTHER_OWNERS = """
SELECT r.run_id FROM run_attempts a JOIN runs r ON r.id = a.run_id
WHERE a.closed_at IS NULL AND a.owner <> (SELECT id FROM services ORDER BY started_at DESC LIMIT 1)
"""


class HostChange(NamedTuple):
    """How a server ends, and what is changed before the next one starts."""

    name: str
    container: bool = False  # the server is the first process of a PID namespace, and its steps end with it
    killed: bool = True
    loses_spool: bool = False
    loses_home: bool = False
    moves: bool = False  # the next server has another home; a SQLite database is copied there
    renamed: bool = False  # the next container has another host name


CHANGES = (
    HostChange("server killed"),
    HostChange("spool lost", loses_spool=True),
    HostChange("spool lost after a stop", loses_spool=True, killed=False),
    HostChange("database restored into another home", moves=True),
    HostChange("container killed", container=True),
    HostChange("container stopped", container=True, killed=False),
    HostChange("container of another name", container=True, killed=False, renamed=True),
    HostChange("container replaced without its volume", container=True, loses_home=True),
    HostChange("container stopped and replaced without its volume", container=True, loses_home=True, killed=False),
)


class HostChangeExperiment:
    """In each round a server with running steps ends, its host is changed, and another server starts."""

    def __init__(
        self, sandbox: Sandbox, *, rounds: int, seed: int, show: Callable[[str], None] = lambda _: None
    ) -> None:
        self.hit: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._directory = sandbox.directory
        self._rounds = rounds
        self._random = random.Random(seed)
        self._witness = Witness(sandbox.directory / "witness")
        self._script = sandbox.directory / "step.sh"
        self._mark = f"chaos-{secrets.token_hex(8)}"
        self._progress = Progress(show)
        self._host = ""  # the host name of containers, once it has changed
        self._homes = 1
        self._home = sandbox.directory / "home-1"
        # Not in the home, which is lost in some rounds: the database must survive.
        data = sandbox.directory / "data-1"
        data.mkdir()
        self._url = sandbox.url or f"sqlite:///{data}/dagbook.sqlite3"
        self._runs: list[str] = []

    def run(self) -> list[str]:
        if not may_have_namespaces():
            raise ExperimentError(
                "containers are made by unshare --pid --mount-proc, which is not permitted; try as root"
            )
        self._script.write_text(_STEP)
        order = self._order()
        server = self._serve(order[0])
        found: list[str] = []
        try:
            for number, change in enumerate(order):
                self._progress(f"{number} of {self._rounds} changes; steps met: {sum(self.hit.values())}")
                self._start_runs(server)
                self._end(server, change)
                if change.renamed:
                    self._host = f"pod-{number}"
                server = self._serve(change)
                found += self._await_adoption(change)
                if [one.container for one in order[number : number + 2]] == [False, True]:
                    found += self._violations(server)
                    server.terminate()
                    server = self._serve(order[number + 1])
            return [*found, *self._violations(server)]
        finally:
            server.clear()
            for pid in processes.with_variable("MARK", self._mark):
                processes.kill(pid)

    def _order(self) -> list[HostChange]:
        """Shuffle all changes, those of containers last. A PostgreSQL database is not moved with a home."""
        order: list[HostChange] = []
        while len(order) < self._rounds:
            changes = [change for change in CHANGES if self._url.startswith("sqlite") or not change.moves]
            self._random.shuffle(changes)
            order += changes
        return sorted(order[: self._rounds], key=lambda change: change.container)

    def figures(self) -> Figures:
        counts = {
            "host changes": len(self.seconds),
            "runs": len(self._runs),
            "executions started": len(self._witness.lines()),
            **{f"steps running: {name}": count for name, count in sorted(self.hit.items())},
        }
        return Figures(counts, {"seconds until all runs had a new owner": self.seconds})

    def _serve(self, change: HostChange) -> Server:
        log = self._directory / "servers.log"
        if change.container:
            return NamespaceServer(self._home, self._url, log=log, host=self._host).start()
        return Server(self._home, self._url, log=log).start()

    def _start_runs(self, server: Server) -> None:
        before = len(self._witness.lines())
        self._runs += [server.api.start(self._spec()) for _ in range(_RUNS)]
        wait_for("some steps", lambda: len(self._witness.lines()) >= before + _RUNS)
        time.sleep(self._random.uniform(0, 0.5))  # a random moment is what is tried

    def _spec(self) -> str:
        head = f"type: chain\nmaxActiveRuns: 1000\nenv:\n  - WITNESS: {self._witness.path}\n  - MARK: {self._mark}\n"
        steps = ""
        for name in _STEPS:
            command = f"exec sh {self._script} {self._random.uniform(0.1, 0.6):.2f}"
            steps += f"  - name: {name}\n    command: {command}\n    retryPolicy: {{limit: 1000, intervalSec: 0}}\n"
        return f"{head}steps:\n{steps}"

    def _end(self, server: Server, change: HostChange) -> None:
        self.hit[change.name] += len(processes.with_variable("MARK", self._mark))
        if change.killed:
            server.kill()
        else:
            server.terminate()
        if change.loses_spool:
            self._lose(self._home / "spool")
        if change.loses_home:
            self._lose(self._home)
        if change.moves:
            self._move()

    def _lose(self, folder: Path) -> None:
        """Take a folder away at once: removed file by file, it would meet steps that still write."""
        folder.rename(Path(tempfile.mkdtemp(prefix="lost-", dir=self._directory)) / folder.name)

    def _move(self) -> None:
        self._homes += 1
        self._home = self._directory / f"home-{self._homes}"
        source = sqlite_path(self._url)
        if source is None:
            return
        target = self._directory / f"data-{self._homes}" / source.name
        target.parent.mkdir()
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
            original.backup(copy)
        self._url = f"sqlite:///{target}"

    def _await_adoption(self, change: HostChange) -> Iterator[str]:
        begin = time.monotonic()
        most = _ADOPTION_SECONDS[change.killed]
        wait_for("new owners", lambda: not store.query(self._url, _OTHER_OWNERS), seconds=_SETTLE_SECONDS)
        self.seconds.append(time.monotonic() - begin)
        if self.seconds[-1] > most:
            yield f"{change.name}: runs had their old owner for {self.seconds[-1]:.1f} s, more than {most:g}"

    def _violations(self, server: Server) -> Iterator[str]:
        for run in self._runs:
            label = server.api.ended(run, seconds=_SETTLE_SECONDS)["statusLabel"]
            if label != "succeeded":
                yield f"run {run} is {label}"
        counts = Counter((run, step, execution.partition("-")[0]) for run, step, execution in self._witness.lines())
        yield from (f"started {count} times: {one}" for one, count in counts.items() if count != 1)
        yield from invariants.find_violations(self._url)
