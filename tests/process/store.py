"""The database behind a server, read and prepared from outside."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable, translate_errors
from dagbook.db.migrations.upgrade import upgrade
from dagbook.db.url import parse_url

T = TypeVar("T")
_MOST_SECONDS, _RETRY_SECONDS = 60.0, 0.5


def make_database(server: str, template: str = "") -> str:
    """Make a database on a PostgreSQL server and return its address: empty, or a copy of the one at ``template``.

    Raises DatabaseUnavailable.
    """
    name = f"dagbook_test_{secrets.token_hex(4)}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {make_url(template).database if template else 'template1'}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def execute(server: str, statement: str) -> None:
    """Execute a statement of PostgreSQL that works in no transaction."""

    async def connected() -> None:
        engine = create_async_engine(parse_url(server), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            with translate_errors("postgresql"):
                async with engine.connect() as connection:
                    await connection.exec_driver_sql(statement)
        finally:
            await engine.dispose()

    asyncio.run(connected())


def migrate(url: str) -> None:
    """Make the tables."""
    asyncio.run(upgrade(url))


def with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Open a database, call ``work`` with it and close it."""

    async def opened() -> T:
        database = await Database.open(url, application="dagbook tests", pool_size=1)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def with_retries(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """As ``with_database``, but try again: servers on a busy machine may leave no connection for a while."""
    end = time.monotonic() + _MOST_SECONDS
    while True:
        try:
            return with_database(url, work)
        except DatabaseUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(_RETRY_SECONDS)


def write(url: str, work: Callable[[WriteConnection], T]) -> T:
    """Change rows in one transaction."""
    return with_database(url, lambda database: database.write(work))


def query(url: str, statement: str, **values: Any) -> Sequence[Any]:
    """Return the rows of a statement that only reads."""
    return with_retries(
        url, lambda database: database.read(lambda connection: connection.execute(text(statement), values).all())
    )


def query_all(url: str, statements: Mapping[str, str]) -> dict[str, Sequence[Any]]:
    """Return the rows of many statements by their names, over one connection."""
    return with_retries(
        url,
        lambda database: database.read(
            lambda connection: {name: connection.execute(text(one)).all() for name, one in statements.items()}
        ),
    )


def everything(url: str, home: Path) -> bytes:
    """Return all content of a database; on SQLite the bytes of its files."""
    if url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in home.glob("dagbook.sqlite3*") if path.is_file())
    tables = query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    texts = {
        row.tablename: f"SELECT set_config('bytea_output', 'escape', false), t::text FROM {row.tablename} t"  # noqa: S608 - its own tables
        for row in tables
    }
    return repr(query_all(url, texts)).encode()
