"""Insert finished runs from a file of JSON lines, for tests and measurements with a long history.

    scripts/seed-history FILE

The database is that of the settings; a server may be running on it. A line is one run:

    {"name": "etl", "dagRunId": "r1", "status": 4, "startedAt": 1767225600.0, "finishedAt": 1767225601.5,
     "steps": [{"name": "a", "command": "true", "status": 4, "startedAt": 1767225600.0, "finishedAt": 1767225601.5}]}

Statuses are the API's numbers, times are Unix seconds. A run works from the stored DAG of its name when that has the
same steps, else from a definition made of its steps. Runs that are there already are passed over. All lines are read
before anything is stored: one that makes no run stops the whole with its number.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import BindParameter, bindparam, select, update

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.migrations.upgrade import upgrade
from dagbook.db.models import Node, Run, RunAttempt, RunEvent, RunInput, RunTag
from dagbook.db.repositories import dags, definitions
from dagbook.db.repositories.dags import DagFilter
from dagbook.db.repositories.definitions import DefinitionRow, TextRedactedError
from dagbook.db.repositories.runs.search_index import tag_keys
from dagbook.db.types import Base
from dagbook.settings import read
from dagbook.spec.model import Dag
from dagbook.spec.reading.definition_cache import DefinitionCache

# How many runs go together: a server that is at work on the same database waits for such a transaction, on SQLite
# with its own ones and on PostgreSQL with what it tells the live feed.
BATCH = 2000
# So many batches at a time: PostgreSQL has work for two processors; on SQLite others come in between.
AT_ONCE = {"sqlite": 1, "postgresql": 2}
LED_BY = 1000  # keys in one statement
CACHE_KIB = 100_000
TOLD_EVERY_SECONDS = 5.0
# Nobody needs to wait for the disk; and without statistics, which so many new rows have none of, PostgreSQL would
# rather go through a whole table than look for a thousand runs.
POSTGRES_SETTINGS = ("synchronous_commit", "enable_seqscan")
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
T = TypeVar("T")
RUNNING, SUCCEEDED, QUEUED, PARTLY = 1, 4, 5, 6
RUN_FINAL, NODE_FINAL = frozenset({2, 3, 4, 6}), frozenset({0, 2, 3, 4, 5, 6})
RAN = frozenset({2, SUCCEEDED, PARTLY})
Seconds = Annotated[float, Meta(ge=0, le=253_402_300_799)]
Name = Annotated[str, Meta(min_length=1)]
Row = tuple[Any, ...]
_Kind = tuple[str, tuple[str, ...]]  # name and steps


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
    written_tags: str = "[]"


# What rows of each table are made of, in this order; parents before children.
COLUMNS: dict[type[Base], str] = {
    Run: "id dag_name run_id definition_hash file_name dag_revision queue trigger params params_text tags status"
    " attempt created_at started_at max_active_runs",
    RunTag: "run_id tag created_at",
    RunAttempt: "run_id number status token state opened_at closed_at",
    RunInput: "run_id params env dotenv work_dir keep_dir",
    Node: "run_id attempt position name handler status execution done_count started_at due_at pid",
    RunEvent: "run_id seq attempt at position data",
}
# Both read the wanted names and ids from one JSON text, and look for each by the index of ids.
USED = {
    "sqlite": "SELECT dag_name, run_id FROM json_each(?) AS pair CROSS JOIN runs"
    " ON dag_name = pair.value ->> 0 AND run_id = pair.value ->> 1 WHERE root_id IS NULL",
    "postgresql": "SELECT dag_name, run_id FROM json_array_elements($1::json) AS pair JOIN runs"
    " ON dag_name = pair ->> 0 AND run_id = pair ->> 1 WHERE root_id IS NULL",
}
_keys: BindParameter[int] = bindparam("keys", expanding=True)
# The database knows no way from not started to succeeded in one step. Until then a node's end stands where that of a
# wait does, and its status where that of no process can: nobody sees either, and no values have to be sent again.
NODE_BEGINS = update(Node).where(Node.run_id.in_(_keys), Node.pid.in_((SUCCEEDED, PARTLY))).values(status=RUNNING)
NODE_ENDS = (
    update(Node)
    .where(Node.run_id.in_(_keys), Node.pid.is_not(None))
    .values(status=Node.pid, finished_at=Node.due_at, due_at=None, pid=None)
)
# A run that is over begins as if a second attempt of it waited in a queue, which is then taken out: so the database
# lets it have the status of its first one at once, and what that costs (eight indexes) is paid once, not twice.
_first = (RunAttempt.run_id == Run.id, RunAttempt.number == 1)
RUN_ENDS = (
    update(Run)
    .where(Run.id.in_(_keys))
    .values(
        attempt=1,
        status=select(RunAttempt.status).where(*_first).scalar_subquery(),
        finished_at=select(RunAttempt.closed_at).where(*_first).scalar_subquery(),
    )
)


class History:
    """The runs of a file, from the oldest on: as keys go by time, rows come behind those that are there already.

    In the order of a file they would go all over tables and indexes, which soon are larger than any cache.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._places, begins, place = array("q"), array("d"), 0
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                begins.append(_decode(number, line).started_at)
                self._places.append(place)
                place += len(line)
        self._order = sorted(range(len(begins)), key=begins.__getitem__)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[SeededRun]:
        with self._file.open("rb") as lines:
            for index in self._order:
                lines.seek(self._places[index])
                yield _decode(index + 1, lines.readline())


_decoder = msgspec.json.Decoder(SeededRun)


def _decode(number: int, line: bytes) -> SeededRun:
    try:
        run = _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise LineError(f"line {number}: {error}") from error
    if problem := find_problem(run):
        raise LineError(f"line {number}: {problem}")
    return run


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
        self._library = DefinitionCache()
        self._known: dict[_Kind, Known] = {}
        self._under_way: set[tuple[str, str]] = set()

    async def learn(self) -> None:
        """Find out which DAGs are stored, and make room for many rows at a time."""
        if self._database.dialect == "sqlite":
            await self._database.write(lambda connection: connection.exec_driver_sql(f"PRAGMA cache_size=-{CACHE_KIB}"))
        for row in await self._database.read(lambda connection: dags.find_hashes(connection, DagFilter())):
            await self._learn(row.file_name)

    async def _learn(self, file_name: str) -> None:
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is not None:
            dag = self._library.read(row.spec or "", name=file_name).definition.dag
            tags = _written(list(dag.tags))
            known = Known(row.definition_hash, file_name, row.revision, dag.tags, tags)
            self._known[row.dag_name, _step_names(dag)] = known

    async def store(self, runs: Sequence[SeededRun]) -> int:
        """Store those of the runs that are not there yet, in one transaction, and tell how many these were."""
        new = {pair: run for run in runs if (pair := (run.name, run.dag_run_id)) not in self._under_way}
        self._under_way |= new.keys()
        used = await self._database.read(lambda connection: _find_used(connection, list(new)))
        rows = Rows(self._database.dialect)  # made before the transaction, for which others wait
        for run in (run for pair, run in new.items() if pair not in used):
            rows.add(run, self._find(run, rows))
        # What a machine loses that fails is stored when the same file is seeded again.
        await self._database.write(lambda connection: _store(connection, rows), durable=False)
        self._under_way -= new.keys()
        self._known |= rows.known
        return len(rows.keys)

    def _find(self, run: SeededRun, rows: Rows) -> Known:
        key = (run.name, tuple([step.name for step in run.steps]))
        known = self._known.get(key) or rows.known.get(key)
        if known is None:
            row = DefinitionRow.of(_spec(run), "", datetime.now(UTC))
            rows.definitions[row.hash] = row
            known = rows.known[key] = Known(row.hash)
        return known


class Rows:
    """Rows of runs as they are inserted, as the database takes them."""

    def __init__(self, dialect: str) -> None:
        self.keys: list[int] = []
        self.definitions: dict[str, DefinitionRow] = {}  # by hash, those that may not be there yet
        self.known: dict[_Kind, Known] = {}  # by then
        self.of: dict[type[Base], list[Row]] = {model: [] for model in COLUMNS}
        self._stored = _microseconds if dialect == "sqlite" else _itself

    def add(self, run: SeededRun, known: Known) -> None:
        """Make the rows of a run."""
        key = (int(run.started_at * 1000) << 22) | secrets.randbits(22)  # as keys of runs are: by time
        began, ended = self._stored(_instant(run.started_at)), self._stored(_instant(run.finished_at))
        name, tags = run.name, known.written_tags
        dag = (known.hash, known.file_name, known.revision, name)
        state = _written({"phase": "closed", "outcome": run.status})
        self.keys.append(key)
        self.of[Run].append((key, name, run.dag_run_id, *dag, "api", "[]", "", tags, QUEUED, 2, began, began, 1))
        self.of[RunTag] += [(key, tag, began) for tag in tag_keys(known.tags)]
        self.of[RunAttempt].append((key, 1, run.status, 1, state, began, ended))
        self.of[RunInput].append((key, "[]", "[]", "[]", "/", True))
        self.of[Node] += [self._node(key, place, step) for place, step in enumerate(run.steps)]
        self.of[RunEvent] += self._events(key, run)

    def _node(self, key: int, place: int, step: SeededStep) -> Row:
        ran = int(step.status in RAN)
        if not step.status:
            return (key, 1, place, step.name, False, 0, ran, ran, None, None, None)
        began, ended = self._stored(_instant(step.started_at)), self._stored(_instant(step.finished_at))
        return (key, 1, place, step.name, False, 0, ran, ran, began, ended, step.status)

    def _events(self, key: int, run: SeededRun) -> Iterator[Row]:
        for seq, (place, at, data) in enumerate(_tell(run), 1):
            yield key, seq, 1, self._stored(at), place, _written(data)


def _tell(run: SeededRun) -> Iterator[tuple[int | None, datetime, dict[str, Any]]]:
    """Give the history of a run: where, when and what."""
    began, ended = _instant(run.started_at), _instant(run.finished_at)
    yield None, began, {"accepted": "api"}
    yield None, began, {"status": RUNNING, "started_at": began, "phase": "steps"}
    for place, step in enumerate(run.steps):
        if step.status:
            ran = {"execution": 1, "done_count": 1} if step.status in RAN else {}
            over = _instant(step.finished_at)
            times = {"started_at": _instant(step.started_at), "finished_at": over}
            yield place, over, {"status": step.status, **ran, **times}
    yield None, ended, {"status": run.status, "finished_at": ended, "phase": "closed", "outcome": run.status}


@lru_cache(maxsize=64)
def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def _itself(instant: datetime) -> datetime:
    return instant


def _written(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _step_names(dag: Dag) -> tuple[str, ...]:
    return tuple(step.name for step in dag.steps)


def _spec(run: SeededRun) -> str:
    steps = [{"name": step.name, "command": step.command} for step in run.steps]
    return _written({"name": run.name, "steps": steps}) + "\n"  # JSON is YAML


def _find_used(connection: ReadConnection, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    found = connection.exec_driver_sql(USED[connection.dialect.name], (_written(pairs),))
    return {(row[0], row[1]) for row in found}


def _store(connection: WriteConnection, rows: Rows) -> None:
    insert = _insert
    if connection.dialect.name == "postgresql":
        insert = _copy
        for setting in POSTGRES_SETTINGS:
            connection.exec_driver_sql(f"SET LOCAL {setting} = off")
    for _hash, row in sorted(rows.definitions.items()):  # in one order, for which of two is first
        try:
            definitions.add(connection, row)
        except TextRedactedError as error:
            raise LineError(f"a definition was redacted: {row.spec}") from error
    for model, columns in COLUMNS.items():
        insert(connection, model.__tablename__, columns.split(), rows.of[model])
    for keys in in_batches(rows.keys, LED_BY):
        for statement in (NODE_BEGINS, NODE_ENDS, RUN_ENDS):
            connection.execute(statement, {"keys": keys})


def _insert(connection: WriteConnection, table: str, columns: Sequence[str], rows: list[Row]) -> None:
    places = ", ".join("?" * len(columns))
    if rows:
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, rows)


def _copy(connection: WriteConnection, table: str, columns: Sequence[str], rows: list[Row]) -> None:
    """Let PostgreSQL take rows as a stream: each statement would read all conditions and triggers of its table anew."""
    driver: Any = connection.connection.dbapi_connection
    driver.run_async(lambda plain: plain.copy_records_to_table(table, records=rows, columns=columns))


def in_batches(items: Iterable[T], size: int) -> Generator[list[T], None, None]:
    """Cut what there is into lists of at most so many."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


async def seed(file: Path) -> int:
    """Store the runs of a file; returns the exit status."""
    settings = read({}, os.environ, Path.home() / ".dagbook")
    await upgrade(settings.database_url, schema=settings.database_schema)
    database = await Database.open(settings.database_url, schema=settings.database_schema)
    told = Progress()
    try:
        history = History(file)
        await _store_all(database, history, told)
    except (LineError, OSError) as error:
        print(f"{error}; {told.stored} runs are stored", file=sys.stderr)
        return 1
    finally:
        await database.close()
    print(f"{told.stored} runs in {told.seconds:.1f} s")
    return 0


async def _store_all(database: Database, history: History, told: Progress) -> None:
    seeder, batches = Seeder(database), in_batches(history, BATCH)
    await seeder.learn()

    async def store() -> None:
        try:
            for batch in batches:
                told.tell(await seeder.store(batch), len(batch), len(history))
        finally:
            batches.close()  # so that after an error the others end, too

    ends = await asyncio.gather(*[store() for _ in range(AT_ONCE[database.dialect])], return_exceptions=True)
    for error in ends:
        if error is not None:
            raise error


class Progress:
    """What has been done, told now and then."""

    def __init__(self) -> None:
        self.stored = self._read = 0
        self._begun = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._begun

    def tell(self, stored: int, read: int, total: int) -> None:
        """Note that so many more lines were read and runs stored."""
        self.stored, self._read = self.stored + stored, self._read + read
        if time.monotonic() - self._told >= TOLD_EVERY_SECONDS:
            self._told = time.monotonic()
            print(f"{self._read} of {total} lines after {self.seconds:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its file
        sys.exit(__doc__)
    sys.exit(asyncio.run(seed(Path(sys.argv[1]))))
