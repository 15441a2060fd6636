"""Bringing a database to a revision: one transaction per revision, one program at a time.

Alembic keeps what it works on in module globals: two of these calls must not overlap
inside one process. Between processes they take turns by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.expression import table

from dagbook.db.errors import translate_errors
from dagbook.db.migrations.migration_support import migrations_directory
from dagbook.db.migrations.upgrade_postgres import (
    PATIENCE_SECONDS,
    UnusableDatabase,
    lock_migrations,
    prepare_revision,
    require_schema,
    retry_until_done,
)
from dagbook.db.postgres.postgres import postgres_arguments
from dagbook.db.sqlite.sqlite import prepare_sqlite
from dagbook.db.url import hide_password, parse_url, sqlite_path
from dagbook.settings.database_url import PUBLIC

_log = logging.getLogger(__name__)
# It tells of every connection which kind it is; of a migration we tell ourselves.
logging.getLogger("alembic").setLevel(logging.WARNING)

_BUSY_MILLISECONDS = 60_000
# Released revisions begin at 0100: lower numbers were used up before 0.1.0, by tables that nothing upgrades any more.
_BEFORE_FIRST_RELEASE = re.compile(r"00\d\d")


class UnknownRevision(UnusableDatabase):
    """The database was upgraded by a newer Dagbook."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the database is at revision {revision}, which is newer than this version of Dagbook (it works with "
            f"{head()}); use the version that upgraded the database, or a newer one"
        )


class ObsoleteDatabase(UnusableDatabase):
    """The database was made by a development version of Dagbook before its first release."""

    def __init__(self, url: str, revision: str) -> None:
        remedy = "move that file away, and one is made in its place"
        if sqlite_path(url) is None:
            remedy = "use an empty schema (setting database_schema) or an empty database"
        super().__init__(
            f"{hide_password(url)} was made before Dagbook 0.1.0 (it is at revision {revision}) and cannot be "
            f"upgraded; a new database is needed: {remedy}"
        )


Step = Callable[[ScriptDirectory, str | None], str | None]


async def upgrade(
    url: str, revision: str = "head", *, schema: str = PUBLIC, patience: float = PATIENCE_SECONDS
) -> None:
    """Bring the database to a revision, making a SQLite file that is not there.

    A SQLite database with rows in it is copied first, beside itself. On PostgreSQL a revision waits up to
    ``patience`` seconds for the tables. Raises ``UnusableDatabase``, ``DatabaseUnavailable`` and ``MigrationFailed``.
    """

    def following(scripts: ScriptDirectory, here: str | None) -> str | None:
        pending = [script.revision for script in scripts.iterate_revisions(revision, here or "base")]
        return pending[-1] if pending else None

    await _walk(url, schema, _MigrationRun(following, command.upgrade, url, schema), patience)


async def downgrade(url: str, revision: str, *, schema: str = PUBLIC) -> None:
    """Take the database back to a revision, or to ``base``: without any table. Rows of dropped tables are lost."""

    def preceding(scripts: ScriptDirectory, here: str | None) -> str | None:
        pending = list(scripts.iterate_revisions(here, revision)) if here else []
        return str(pending[0].down_revision or "base") if pending else None

    await _walk(url, schema, _MigrationRun(preceding, command.downgrade, url, schema), PATIENCE_SECONDS)


async def current(url: str, *, schema: str = PUBLIC) -> str | None:
    """Return the revision of the database; ``None`` before the first upgrade. Raises ``UnusableDatabase``."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return None
    async with open_for_migration(url, schema=schema, writes=False) as connection:
        revision = await connection.run_sync(read_revision)
        if revision is None and path is None:
            await connection.run_sync(require_schema, schema)
        return revision


async def require_head(url: str, *, schema: str = PUBLIC) -> None:
    """Raise ``UnusableDatabase`` unless the database is at the revision that this version works with."""
    here = await current(url, schema=schema)
    if here != head():
        require_known(url, here)
        raise UnusableDatabase(
            f"{hide_password(url)} is at revision {here or 'none'} and this version of Dagbook works with {head()}; "
            "`dagbook db upgrade`, or a server of this version, brings it there"
        )


def require_known(url: str, here: str | None, scripts: ScriptDirectory | None = None) -> None:
    """Raise ``UnusableDatabase`` for a revision that this version of Dagbook does not know."""
    scripts = scripts or ScriptDirectory.from_config(build_config(None))
    if here is None or here in {script.revision for script in scripts.walk_revisions()}:
        return
    raise ObsoleteDatabase(url, here) if _BEFORE_FIRST_RELEASE.fullmatch(here) else UnknownRevision(here)


def head() -> str:
    """Return the revision that this version of Dagbook works with."""
    revision = ScriptDirectory.from_config(build_config(None)).get_current_head()
    if revision is None:
        raise RuntimeError(f"there are no migrations in {migrations_directory()}")
    return revision


def build_config(connection: Connection | None) -> Config:
    """Return Alembic's configuration, which hands the connection to ``env.py``."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def read_revision(connection: Connection) -> str | None:
    """Return the revision that the database says it is at."""
    return MigrationContext.configure(connection).get_current_revision()


@asynccontextmanager
async def open_for_migration(url: str, *, schema: str = PUBLIC, writes: bool = True) -> AsyncIterator[AsyncConnection]:
    """Connect without a time limit for statements and, on SQLite, with foreign keys off.

    SQLite ignores the switch inside a transaction, and a table that is copied while they
    are on takes the rows that refer to it along.
    """
    engine = _create_engine(url, schema, writes=writes)
    try:
        with translate_errors(engine.dialect.name):
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()


def _create_engine(url: str, schema: str, *, writes: bool) -> AsyncEngine:
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        arguments = postgres_arguments(parsed, "dagbook upgrade", schema) | {"command_timeout": None}
        return create_async_engine(parsed, poolclass=NullPool, connect_args=arguments)
    engine = create_async_engine(parsed, poolclass=NullPool)
    prepare_sqlite(engine.sync_engine, writes=writes, busy=_BUSY_MILLISECONDS)
    return engine


async def _walk(url: str, schema: str, walk: _MigrationRun, patience: float) -> None:
    path = sqlite_path(url)
    if path is None:
        async with open_for_migration(url, schema=schema) as connection:
            while await retry_until_done(connection, walk.advance, patience):
                pass
        return
    with _open_file(url, path) as file:
        while walk.advance(file):  # noqa: ASYNC110 - it waits for nothing
            await asyncio.sleep(0)  # whoever wants to end this is heard between two revisions


@contextmanager
def _open_file(url: str, path: Path) -> Iterator[Connection]:
    """Connect to a SQLite file by the driver itself: the async one goes to its thread and back for each statement.

    The loop waits for each revision, but nothing is served before the database is what it has to be.
    """
    _make_private_file(path)
    engine = create_engine(parse_url(url).set(drivername="sqlite"), poolclass=NullPool)
    prepare_sqlite(engine, writes=True, busy=_BUSY_MILLISECONDS)
    try:
        with translate_errors(engine.dialect.name), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


class _MigrationRun:
    """The way of a database from revision to revision."""

    def __init__(self, step: Step, move: Callable[[Config, str], None], url: str, schema: str) -> None:
        self._step = step
        self._move = move
        self._url = url
        self._path = sqlite_path(url)
        self._schema = schema
        self._scripts = ScriptDirectory.from_config(build_config(None))
        self._copied = False

    def advance(self, connection: Connection) -> bool:
        """Bring the database one revision further; False when there is nowhere to go."""
        with connection.begin():
            if self._path is None:  # on SQLite BEGIN IMMEDIATE has done it
                lock_migrations(connection, self._schema)
            here = read_revision(connection)
            require_known(self._url, here, self._scripts)
            target = self._step(self._scripts, here)
            if target is None:
                return False
            self._prepare(connection, here, target)
            self._move(build_config(connection), target)
        _log.info("the database is at revision %s now", target)
        return True

    def _prepare(self, connection: Connection, here: str | None, target: str) -> None:
        if self._path is None:
            breaking = self._move is command.upgrade and _is_breaking(self._scripts, target)
            prepare_revision(connection, self._schema, here, breaking=breaking)
        elif not self._copied and _has_rows(connection):
            _copy(self._path, here or "base")
            self._copied = True


def _is_breaking(scripts: ScriptDirectory, revision: str) -> bool:
    script = scripts.get_revision(revision)
    return script is not None and bool(getattr(script.module, "breaking", False))


def _has_rows(connection: Connection) -> bool:
    names = set(inspect(connection).get_table_names()) - {"alembic_version"}
    return any(connection.execute(select(1).select_from(table(name)).limit(1)).first() for name in names)


def _make_private_file(path: Path) -> None:
    # SQLite would make it readable to everybody; its log and shared memory take over the mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _copy(path: Path, revision: str) -> None:
    instant = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = path.with_name(f"{path.name}.{revision}.{instant}.backup")
    _make_private_file(target)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
