"""Insert finished runs from a file of JSON lines, for tests and measurements with a long history.

    scripts/seed-history FILE

The database is that of the settings; a server may be running on it. A line is one run:

    {"name": "etl", "dagRunId": "r1", "status": 4, "startedAt": 1767225600.0, "finishedAt": 1767225601.5,
     "steps": [{"name": "a", "command": "true", "status": 4, "startedAt": 1767225600.0, "finishedAt": 1767225601.5}]}

Statuses are the API's numbers, times are Unix seconds. A run works from the stored DAG of its name when that has the
same steps, else from a definition made of its steps. Runs that are there already are passed over. What a line breaks
stops the whole with the line's number; the runs before it stay.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import bindparam, insert, update

from app.db.database import Database, WriteConnection
from app.db.models import Node, Run, RunAttempt, RunEvent, RunInput
from app.db.prepared import Prepared
from app.db.repositories import dags, search, transitions
from app.db.repositories.dags import DagFilter
from app.db.upgrade import upgrade
from app.settings import read
from app.spec.library import Library, definition_row
from app.spec.model import Dag

# How many runs go together. What a transaction of SQLite writes is written once only while it fits into the cache; keys
# go with time, so runs of many days side by side share pages only when there are many of them. PostgreSQL gives up
# transactions that stand still for long, as one does while its rows are made.
BATCHES = {"sqlite": 8000, "postgresql": 2000}
CACHE_KIB = 400_000
LOOKED_UP = 1000  # by one statement
T = TypeVar("T")
RUNNING, SUCCEEDED, PARTLY = 1, 4, 6
RUN_FINAL, NODE_FINAL = frozenset({2, 3, 4, 6}), frozenset({0, 2, 3, 4, 5, 6})
Seconds = Annotated[float, Meta(ge=0, le=253_402_300_799)]
Name = Annotated[str, Meta(min_length=1)]


class SeededStep(msgspec.Struct, rename="camel"):
    """A step of a line."""

    name: Name
    command: str
    status: int
    started_at: Seconds
    finished_at: Seconds


class SeededRun(msgspec.Struct, rename="camel"):
    """A line."""

    name: Name
    dag_run_id: Name
    status: int
    started_at: Seconds
    finished_at: Seconds
    steps: list[SeededStep]


class LineError(Exception):
    """A line that makes no run."""


class Known(msgspec.Struct, frozen=True):
    """What runs of a DAG work from: the hash of its definition, and the file and revision where it is stored."""

    hash: str
    file_name: str | None = None
    revision: int | None = None
    tags: Sequence[str] = ()


RUN_INSERTS, ATTEMPT_INSERTS, NODE_INSERTS = Prepared(insert(Run)), Prepared(insert(RunAttempt)), Prepared(insert(Node))
INPUT_INSERTS, EVENT_INSERTS = Prepared(insert(RunInput)), Prepared(insert(RunEvent))
RUN_BEGINS = update(Run).where(Run.id.in_(bindparam("keys", expanding=True))).values(status=RUNNING)
RUN_ENDS = Prepared(
    update(Run)
    .where(Run.id == bindparam("key"))
    .values({name: bindparam(name) for name in ("status", "started_at", "finished_at")})
)
NODE_BEGINS = (
    update(Node)
    .where(Node.run_id.in_(bindparam("keys", expanding=True)), Node.due_at.is_not(None))
    .values(status=RUNNING, due_at=None)
)
OF_NODE = (
    Node.run_id == bindparam("key"),
    Node.attempt == bindparam("number"),
    Node.position == bindparam("place"),
)
NODE_ENDS = Prepared(
    update(Node).where(*OF_NODE).values({name: bindparam(name) for name in ("status", "started_at", "finished_at")})
)


def read_runs(file: Path) -> Iterator[SeededRun]:
    """Read the lines; raises LineError naming the first that makes no run."""
    decoder = msgspec.json.Decoder(SeededRun)
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                run = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise LineError(f"line {number}: {error}") from error
            if problem := find_problem(run):
                raise LineError(f"line {number}: {problem}")
            yield run


def find_problem(run: SeededRun) -> str:
    """Say what no database would take of a run; empty when all is well."""
    if run.status not in RUN_FINAL:
        return f"status {run.status} is not that of a run that is over; write one of {sorted(RUN_FINAL)}"
    if run.finished_at < run.started_at:
        return "finishedAt is before startedAt"
    if len({step.name for step in run.steps}) < len(run.steps):
        return "two steps have the same name"
    for step in run.steps:
        if step.status not in NODE_FINAL:
            return f"step {step.name!r}: status {step.status} is not that of a step that is over"
        if step.finished_at < step.started_at:
            return f"step {step.name!r}: finishedAt is before startedAt"
    return ""


class Seeder:
    """Makes rows of runs and stores them, many at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._library = Library()
        self._known: dict[tuple[str, tuple[str, ...]], Known] = {}

    async def learn(self) -> None:
        """Find out which DAGs are stored, and make room for many rows at a time."""
        if self._database.dialect == "sqlite":
            await self._database.write(lambda connection: connection.exec_driver_sql(f"PRAGMA cache_size=-{CACHE_KIB}"))
        for row in await self._database.read(lambda connection: dags.find_hashes(connection, DagFilter())):
            await self._learn(row["file_name"])

    async def _learn(self, file_name: str) -> None:
        row = await self._database.glance(lambda connection: dags.get(connection, file_name))
        if row is not None:
            dag = self._library.read(row["spec"] or "", name=file_name).definition.dag
            known = Known(row["definition_hash"], file_name, row["revision"], dag.tags)
            self._known[row["dag_name"], _step_names(dag)] = known

    async def store(self, runs: Sequence[SeededRun]) -> int:
        """Store those of the runs that are not there yet, in one transaction, and tell how many these were."""
        return await self._database.write(lambda connection: self._store(connection, runs))

    def _store(self, connection: WriteConnection, runs: Sequence[SeededRun]) -> int:
        used = {pair for some in in_batches(runs, LOOKED_UP) for pair in _find_used(connection, some)}
        new = [run for run in runs if (run.name, run.dag_run_id) not in used]
        new.sort(key=lambda run: run.started_at)
        made = [Rows(run, self._definition(connection, run)) for run in new]
        RUN_INSERTS.store(connection, [rows.run for rows in made])
        search.add(connection, [rows.run for rows in made])
        ATTEMPT_INSERTS.store(connection, [rows.attempt for rows in made])
        INPUT_INSERTS.store(connection, [rows.inputs for rows in made])
        NODE_INSERTS.store(connection, [node for rows in made for node in rows.nodes])
        EVENT_INSERTS.store(connection, [event for rows in made for event in rows.events])
        # The database knows no way from begun to succeeded in one step. A time says which steps ended at all.
        for some in in_batches(made, LOOKED_UP):
            keys = {"keys": [rows.key for rows in some]}
            connection.execute(NODE_BEGINS, keys)
            connection.execute(RUN_BEGINS, keys)
        NODE_ENDS.store(connection, [end for rows in made for end in rows.node_ends])
        RUN_ENDS.store(connection, [rows.run_end for rows in made])
        return len(new)

    def _definition(self, connection: WriteConnection, run: SeededRun) -> Known:
        key = (run.name, tuple(step.name for step in run.steps))
        if key not in self._known:
            spec = _spec(run)
            row = definition_row(spec, "", datetime.now(UTC))
            try:
                dags.add_definition(connection, row)
            except dags.TextRedactedError as error:
                raise LineError(f"run {run.dag_run_id!r} of {run.name!r}: its definition was redacted") from error
            self._known[key] = Known(row["hash"])
        return self._known[key]


class Rows:
    """A run as rows: as it is inserted, and how it ends."""

    def __init__(self, run: SeededRun, known: Known) -> None:
        self.key = (int(run.started_at * 1000) << 22) | secrets.randbits(22)  # as keys of runs are: by time
        began, ended = _instant(run.started_at), _instant(run.finished_at)
        self.run = {
            "id": self.key,
            "dag_name": run.name,
            "run_id": run.dag_run_id,
            "definition_hash": known.hash,
            "file_name": known.file_name,
            "dag_revision": known.revision,
            "queue": run.name,
            "trigger": "api",
            "params": [],
            "params_text": "",
            "tags": list(known.tags),
            "status": 0,
            "attempt": 1,
            "created_at": began,
            "max_active_runs": 1,
        }
        self.attempt = {
            "run_id": self.key,
            "number": 1,
            "status": run.status,
            "token": 1,
            "state": {"phase": "closed", "outcome": run.status},
            "opened_at": began,
            "closed_at": ended,
        }
        self.inputs = {"run_id": self.key, "params": [], "env": [], "dotenv": [], "work_dir": "/", "keep_dir": True}
        self.nodes = [self._node(position, step) for position, step in enumerate(run.steps)]
        self.node_ends = [
            {"key": self.key, "number": 1, "place": position, **_end(step)}
            for position, step in enumerate(run.steps)
            if step.status
        ]
        self.run_end = {"key": self.key, "status": run.status, "started_at": began, "finished_at": ended}
        self.events = list(self._events(run, began, ended))

    def _node(self, position: int, step: SeededStep) -> dict[str, Any]:
        ran = int(step.status in (2, SUCCEEDED, PARTLY))
        return {
            "run_id": self.key,
            "attempt": 1,
            "position": position,
            "name": step.name,
            "handler": False,
            "status": 0,
            "execution": ran,
            "done_count": ran,
            "due_at": _instant(step.finished_at) if step.status else None,
        }

    def _events(self, run: SeededRun, began: datetime, ended: datetime) -> Iterator[dict[str, Any]]:
        told: list[tuple[int | None, datetime, dict[str, Any]]] = [
            (None, began, {"accepted": "api"}),
            (None, began, {"status": RUNNING, "started_at": _written(began), "phase": "steps"}),
        ]
        for end, step in zip(self.node_ends, (step for step in run.steps if step.status), strict=True):
            ran = {"execution": 1, "done_count": 1} if step.status in (2, SUCCEEDED, PARTLY) else {}
            data = {name: _written(end[name]) for name in ("started_at", "finished_at")}
            told.append((end["place"], end["finished_at"], {"status": step.status, **ran, **data}))
        closed = {"status": run.status, "finished_at": _written(ended), "phase": "closed", "outcome": run.status}
        told.append((None, ended, closed))
        for seq, (position, at, data) in enumerate(told, 1):
            yield {"run_id": self.key, "seq": seq, "attempt": 1, "at": at, "position": position, "data": data}


def _end(step: SeededStep) -> dict[str, Any]:
    return {
        "status": step.status,
        "started_at": _instant(step.started_at),
        "finished_at": _instant(step.finished_at),
    }


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _written(instant: datetime) -> str:
    return str(msgspec.to_builtins(instant))


def _step_names(dag: Dag) -> tuple[str, ...]:
    return tuple(step.name for step in dag.steps)


def _spec(run: SeededRun) -> str:
    steps = [{"name": step.name, "command": step.command} for step in run.steps]
    return msgspec.json.encode({"name": run.name, "steps": steps}).decode() + "\n"  # JSON is YAML


def _find_used(connection: WriteConnection, runs: Iterable[SeededRun]) -> set[tuple[str, str]]:
    return transitions.find_used(connection, {(run.name, run.dag_run_id) for run in runs})


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut what there is into lists of at most so many."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


async def seed(file: Path) -> int:
    """Store the runs of a file; returns the exit status."""
    settings = read({}, os.environ, Path.home() / ".dagbook")
    await upgrade(settings.database_url)
    database = await Database.open(settings.database_url)
    begun, stored = time.monotonic(), 0
    try:
        seeder = Seeder(database)
        await seeder.learn()
        for batch in in_batches(read_runs(file), BATCHES[database.dialect]):
            stored += await seeder.store(batch)
    except (LineError, OSError) as error:
        print(f"{error}; {stored} runs are stored", file=sys.stderr)
        return 1
    finally:
        await database.close()
    print(f"{stored} runs in {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its file
        sys.exit(__doc__)
    sys.exit(asyncio.run(seed(Path(sys.argv[1]))))
