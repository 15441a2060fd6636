"""The database behind a server, looked at and prepared from outside."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.database import Database, WriteConnection
from app.db.upgrade import upgrade
from app.db.url import parse_url

T = TypeVar("T")


def with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def opened() -> T:
        database = await Database.open(url, application="test", pool_size=1)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def query(url: str, statement: str, **values: Any) -> Sequence[Any]:
    """Return the rows of a statement."""
    return with_database(
        url, lambda database: database.read(lambda connection: connection.execute(text(statement), values).all())
    )


def query_all(url: str, statements: Mapping[str, str]) -> dict[str, Sequence[Any]]:
    """Return the rows of many statements by their names, over one connection."""
    return with_database(
        url,
        lambda database: database.read(
            lambda connection: {name: connection.execute(text(one)).all() for name, one in statements.items()}
        ),
    )


def everything(url: str, home: Path) -> bytes:
    """Give all that the database holds; on SQLite its files as they lie on the disk."""
    if url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in home.glob("dagbook.sqlite3*"))
    tables = query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    texts = {
        row.tablename: f"SELECT set_config('bytea_output', 'escape', false), t::text FROM {row.tablename} t"  # noqa: S608 - its own tables
        for row in tables
    }
    return repr(query_all(url, texts)).encode()


def write(url: str, work: Callable[[WriteConnection], T]) -> T:
    """Change rows in one transaction."""
    return with_database(url, lambda database: database.write(work))


def migrate(url: str) -> None:
    """Make the tables."""
    asyncio.run(upgrade(url))


def make_database(server: str) -> str:
    """Make an empty database on a PostgreSQL server and return its address."""
    name = f"process_{secrets.token_hex(4)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    return make_url(server).set(database=name).render_as_string(hide_password=False)


async def _execute(server: str, statement: str) -> None:
    engine = create_async_engine(parse_url(server), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(statement)
    await engine.dispose()
