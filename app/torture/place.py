"""Where a torture takes place: never where somebody keeps something."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.failure import RightMissing, telling_unavailable
from app.db.url import parse_url, sqlite_path
from app.torture.trial import Ground, TortureError


@contextmanager
def own_ground(server: str, *, keep: bool = False) -> Iterator[Ground]:
    """Give a new folder and a new database, and remove both in the end unless they are to be kept.

    ``server`` is the address of any database of a PostgreSQL server, in which nothing is read or written: the new one
    is made beside it. With an empty one the database is a SQLite file in the folder. Raises TortureError, and
    DatabaseUnavailable.
    """
    directory = Path(tempfile.mkdtemp(prefix="dagbook-torture-"))
    try:
        url = make_database(server) if server else ""
        try:
            yield Ground(directory, url)
        finally:
            if url and not keep:
                _execute(server, f"DROP DATABASE {make_url(url).database} WITH (FORCE)")
    finally:
        if not keep:
            shutil.rmtree(directory)


def make_database(server: str, like: str = "") -> str:
    """Make a database on a PostgreSQL server, empty or as another one there, and return its address.

    Raises TortureError.
    """
    if sqlite_path(server) is not None:
        raise TortureError("a SQLite database needs no address: the torture makes one in a folder of its own")
    name = f"dagbook_torture_{secrets.token_hex(4)}"
    try:
        _execute(server, f"CREATE DATABASE {name} TEMPLATE {make_url(like).database if like else 'template1'}")
    except RightMissing as error:
        raise TortureError(
            f"no database can be made there: {error}; let the user make some, as by "
            f"ALTER ROLE {make_url(server).username} CREATEDB"
        ) from error
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _execute(server: str, statement: str) -> None:
    async def execute() -> None:
        engine = create_async_engine(parse_url(server), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            with telling_unavailable("postgresql"):
                async with engine.connect() as connection:
                    await connection.exec_driver_sql(statement)
        finally:
            await engine.dispose()

    asyncio.run(execute())
