"""The files of a database under load are copied as a power loss could leave them, and each copy is opened (promise R8).

SQLite: the server is frozen (SIGSTOP), so that its files are those of one moment, and copied. A power loss may take any
part of what was not synchronised, so the copy is changed to the worst that has to be repaired:

- the log (``-wal``) is cut behind the last commit that the index (``-shm``) shows, or at a random place behind it, or
  has random bytes there. SQLite writes the index once the commit is synchronised;
- where a checkpoint has begun to write pages of the log into the database file, each sector of 512 bytes that differs
  from an earlier copy is that of either, as long as the log has not begun again in between: until then all of them
  are in the log;
- the index itself is lost: it is memory.

Commits of nothing but output of a running step are not synchronised by themselves; they are kept in the copies.

PostgreSQL: all its processes are frozen, and its directory is copied. What it has written and not synchronised is kept:
the copy is what a snapshot of the disk would have, and what is lost is what was in memory.

Not modelled are disks that lose what they have confirmed, and lost directory entries of new files. Each copy has to be
intact, with every run whose start was answered before the freeze; a run that was seen to have succeeded has succeeded.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy import make_url

from dagbook.engine.status import RunStatus
from tests.chaos.experiment import ExperimentError, Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, store
from tests.process.postgres import Cluster
from tests.process.waiting import wait_for

_SECTOR = 512
_WAL_HEADER, _FRAME_HEADER = 32, 24
_STARTS_PER_SECOND = 3
_PAUSE = {True: (0.1, 1.0), False: (0.5, 3.0)}  # seconds between copies on SQLite, on PostgreSQL
_SUCCEEDED = int(RunStatus.SUCCEEDED)
# Steps that take so long that some copies of the files are made while they write.
_DAG = """
type: chain
maxActiveRuns: 1000
steps:
  - {name: first, command: 'for i in 1 2 3 4 5 6 7 8; do head -c 3000 /dev/urandom | base64; sleep 0.1; done'}
  - {name: second, command: 'sleep 0.1; exit 0', retryPolicy: {limit: 1, intervalSec: 0}}
"""


class Files(NamedTuple):
    """The bytes of a SQLite database, its log and its index, at one moment."""

    main: bytes
    wal: bytes
    shm: bytes

    @property
    def log_id(self) -> bytes:
        """The salts of the log: others when it has begun again."""
        return self.shm[32:40]

    @property
    def committed(self) -> int:
        """How many bytes of the log are committed and synchronised."""
        (page_size,) = struct.unpack_from("=H", self.shm, 14)
        (frames,) = struct.unpack_from("=I", self.shm, 16)
        size = _WAL_HEADER + frames * (_FRAME_HEADER + (65_536 if page_size == 1 else page_size))
        return size if frames and self.wal[16:24] == self.log_id else 0

    @property
    def has_unsynchronised_frames(self) -> bool:
        """Whether the log has frames behind the last commit, and not only those of its former content."""
        salts = self.wal[self.committed + 8 : self.committed + 16]
        return bool(self.committed) and salts == self.log_id


class Loss(NamedTuple):
    """What a power loss leaves, and what it has taken or torn."""

    main: bytes
    wal: bytes
    torn: int  # sectors of the database file that a checkpoint was writing


def lose_power(now: Files, earlier: Files | None, chance: random.Random) -> Loss:
    """Draw one of the states in which a power loss could leave the files; ``earlier`` are the same ones before."""
    main, torn = now.main, 0
    if earlier is not None and earlier.log_id == now.log_id and now.committed:
        main, torn = _mix(earlier.main, now.main, chance)
    begun_again = now.wal[16:24] != now.log_id
    # A log whose index has begun again is in the database file as a whole: it may stay as it is.
    kept = len(now.wal) if begun_again else now.committed
    tail = now.wal[kept:]
    match chance.choice(("lost", "cut", "garbled")):
        case "lost":
            wal = now.wal[:kept]
        case "cut":
            wal = now.wal[: kept + chance.randint(0, len(tail))]
        case _:
            wal = now.wal[:kept] + chance.randbytes(len(tail))
    return Loss(main, wal, torn)


def _mix(before: bytes, after: bytes, chance: random.Random) -> tuple[bytes, int]:
    """Take each sector that differs from one of the two; what was not there before may be zeros."""
    before = before.ljust(len(after), b"\0")
    mixed, torn = bytearray(after), 0
    for begin in range(0, len(after), _SECTOR):
        end = begin + _SECTOR
        if before[begin:end] != after[begin:end]:
            torn += 1
            if chance.random() < 0.5:
                mixed[begin:end] = before[begin:end]
    return bytes(mixed), torn


class PowerLossExperiment:
    """One server that starts runs, and copies of its database."""

    def __init__(self, sandbox: Sandbox, copies: int, seed: int, show: Callable[[str], None] = lambda _: None) -> None:
        self.copies = 0
        self.torn_copies = 0
        self.cut_copies = 0
        self._wanted = copies
        self._sandbox = sandbox
        self._random = random.Random(seed)
        (self._server,) = sandbox.make_servers(1)
        self._answered: set[str] = set()
        self._succeeded: set[str] = set()
        self._checked = [0, 0]  # runs that were answered, and that were seen to have succeeded, in all copies
        self._torn = 0
        self._earlier: Files | None = None
        self._frozen: list[float] = []
        self._progress = Progress(show)

    def run(self) -> list[str]:
        over = threading.Event()
        found: list[str] = []
        try:
            self._server.start()
            self._server.api.store("flow", _DAG)
            with ThreadPoolExecutor(2) as pool:
                working = [pool.submit(self._start_runs, over), pool.submit(self._watch, over)]
                try:
                    while self.copies < self._wanted and not any(work.done() for work in working):
                        time.sleep(self._random.uniform(*_PAUSE[not self._sandbox.url]))  # a random moment
                        found += self._copy()
                finally:
                    over.set()
                for work in working:
                    work.result()
            return [*found, *invariants.find_violations(self._server.database_url)]
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        answered, succeeded = self._checked
        losses = {
            "copies whose log had frames that were not synchronised": self.cut_copies,
            "copies in the middle of a checkpoint": self.torn_copies,
            "sectors taken from before or from after a checkpoint": self._torn,
        }
        counts = {
            "copies": self.copies,
            **({} if self._sandbox.url else losses),
            "runs answered": len(self._answered),
            "answered runs found in a copy": answered,
            "runs found succeeded in a copy": succeeded,
        }
        return Figures(counts, {"seconds that the database was frozen": self._frozen})

    # -- load ------------------------------------------------------------------------------------------------

    def _start_runs(self, over: threading.Event) -> None:
        number = 0
        client = self._server.api.client
        while not over.wait(self._random.expovariate(_STARTS_PER_SECOND)):
            run_id = f"run-{number}"
            number += 1
            answer = client.post("/dags/flow/start", json={"dagRunId": run_id})
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:  # frozen for long, on a busy machine
                continue
            answer.raise_for_status()
            self._answered.add(run_id)

    def _watch(self, over: threading.Event) -> None:
        """Ask which runs have succeeded: what a client has seen must be there after a power loss, too."""
        client = self._server.api.client
        while not over.wait(0.5):
            answer = client.get("/dag-runs/flow")
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                continue
            listed = answer.raise_for_status().json()["dagRuns"]
            self._succeeded |= {run["dagRunId"] for run in listed if run["statusLabel"] == "succeeded"}

    # -- copies ----------------------------------------------------------------------------------------------

    def _copy(self) -> Iterator[str]:
        answered, succeeded = set(self._answered), set(self._succeeded)
        take = self._copy_postgresql if self._sandbox.url else self._copy_sqlite
        with take() as url:
            for sentence in self._violations(url, answered, succeeded):
                yield f"copy {self.copies + 1}: {sentence}"
        self.copies += 1
        self._progress(f"{self.copies} of {self._wanted} copies, {len(self._answered)} runs answered")

    @contextmanager
    def _copy_sqlite(self) -> Iterator[str]:
        source = self._server.home / "dagbook.sqlite3"
        process = psutil.Process(self._server.pid)
        begin = time.monotonic()
        process.suspend()
        try:
            wait_for("all threads to stop", lambda: _is_stopped(process.pid), seconds=10)
            now = Files(*(Path(f"{source}{suffix}").read_bytes() for suffix in ("", "-wal", "-shm")))
        finally:
            process.resume()
        self._frozen.append(time.monotonic() - begin)
        loss = lose_power(now, self._earlier, self._random)
        if self._earlier is None or self._earlier.log_id != now.log_id:
            self._earlier = now
        self.cut_copies += now.has_unsynchronised_frames
        self.torn_copies += loss.torn > 0
        self._torn += loss.torn
        folder = self._sandbox.directory / f"copy-{self.copies}"
        folder.mkdir()
        try:
            copy = folder / "dagbook.sqlite3"
            copy.write_bytes(loss.main)
            Path(f"{copy}-wal").write_bytes(loss.wal)
            yield f"sqlite:///{copy}"
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _copy_postgresql(self) -> Iterator[str]:
        cluster = self._sandbox.cluster
        if cluster is None:
            raise ExperimentError("a PostgreSQL server of the experiment's own is needed: its files are copied")
        begin = time.monotonic()
        cluster.freeze()
        try:
            folder = cluster.copy_files()
        finally:
            cluster.thaw()
        self._frozen.append(time.monotonic() - begin)
        copy = Cluster(durable=True, files=folder)
        try:
            yield make_url(copy.url).set(database=make_url(self._sandbox.url).database).render_as_string(False)
        finally:
            copy.remove()

    def _violations(self, url: str, answered: set[str], succeeded: set[str]) -> Iterator[str]:
        if not self._sandbox.url:
            yield from _damage(Path(url.removeprefix("sqlite:///")))
        runs = {row.run_id: row.status for row in store.query(url, "SELECT run_id, status FROM runs")}
        yield from (f"lost: {run} was answered" for run in sorted(answered - runs.keys()))
        yield from (f"lost: {run} had succeeded" for run in sorted(succeeded) if runs.get(run) != _SUCCEEDED)
        yield from invariants.find_violations(url)
        self._checked[0] += len(answered & runs.keys())
        self._checked[1] += len(succeeded)


def _is_stopped(pid: int) -> bool:
    states = [path.read_text().rpartition(") ")[2][0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(state in "Tt" for state in states)


def _damage(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        for (sentence,) in connection.execute("PRAGMA integrity_check"):
            if sentence != "ok":
                yield f"integrity_check: {sentence}"
        yield from (f"foreign_key_check: {row}" for row in connection.execute("PRAGMA foreign_key_check"))
