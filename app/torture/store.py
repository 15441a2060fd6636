"""The database behind a server, looked at from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select, text

from app.clock import now
from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.db.models.run import Run
from app.upkeep.doctor import Doctor, Examination

T = TypeVar("T")
_PATIENCE_SECONDS, _AGAIN_SECONDS = 60.0, 0.5
_GRACE_SECONDS = 180.0  # as servers have it that were told nothing else


def with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with a database that is opened for it."""

    async def opened() -> T:
        database = await Database.open(url, application="dagbook torture", pool_size=1)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def look(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Look at a database; on a machine that is busy with servers it may take more than one try to get a connection."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return with_database(url, work)
        except DatabaseUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(_AGAIN_SECONDS)


def query(url: str, statement: str, **values: Any) -> Sequence[Any]:
    """Return the rows of a statement that only reads."""
    return look(
        url, lambda database: database.read(lambda connection: connection.execute(text(statement), values).all())
    )


def query_all(url: str, statements: Mapping[str, str]) -> dict[str, Sequence[Any]]:
    """Return the rows of many statements by their names, over one connection."""
    return look(
        url,
        lambda database: database.read(
            lambda connection: {name: connection.execute(text(one)).all() for name, one in statements.items()}
        ),
    )


def everything(url: str, home: Path) -> bytes:
    """Give all that the database holds; on SQLite its files as they lie on the disk."""
    if url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in home.glob("dagbook.sqlite3*") if path.is_file())
    tables = query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    texts = {
        row.tablename: f"SELECT set_config('bytea_output', 'escape', false), t::text FROM {row.tablename} t"  # noqa: S608 - its own tables
        for row in tables
    }
    return repr(query_all(url, texts)).encode()


def find_violations(url: str) -> list[str]:
    """Let the doctor examine a database, which servers may be working on; gives a sentence for each row found."""

    async def examine(database: Database) -> list[str]:
        report = await Doctor(database, _GRACE_SECONDS, now).examine(Examination())
        return [*(report.damage or ()), *(sentence for finding in report.findings for sentence in finding.sentences)]

    return look(url, examine)


def find_ends(url: str, dag_name: str) -> dict[str, float]:
    """Return when the runs of a DAG that are over ended, in seconds since 1970, by their ids."""
    ended = select(Run.run_id, Run.finished_at).where(Run.dag_name == dag_name, Run.finished_at.is_not(None))
    rows = look(url, lambda database: database.read(lambda connection: connection.execute(ended).all()))
    return {row.run_id: row.finished_at.timestamp() for row in rows}
