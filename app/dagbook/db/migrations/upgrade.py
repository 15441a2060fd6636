"""Upgrade and downgrade of a database by one process at a time: a transaction per revision, one if there are no tables.

Alembic keeps its context in module globals: two of these calls must not overlap inside one process. Between processes a
lock serializes them. It is imported when there is a revision to run: every command and every server looks whether there
is one, and it takes a tenth of a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, NullPool, create_engine, inspect, literal_column, select
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
from dagbook.db.sqlite.upgrade_copies import make_copy
from dagbook.db.url import PUBLIC, hide_password, parse_url, sqlite_path

if TYPE_CHECKING:
    from alembic.config import Config

_log = logging.getLogger(__name__)
# Alembic logs the kind of every connection; migrations are logged here.
logging.getLogger("alembic").setLevel(logging.WARNING)

_VERSION = table("alembic_version")
_BUSY_MILLISECONDS = 60_000
# Released revisions start at 0100: lower numbers were used before 0.1.0, for tables that cannot be upgraded.
_BEFORE_FIRST_RELEASE = re.compile(r"00\d\d")

# Of all revisions and the present one: the one to go to next, None at the target.
Step = Callable[[Sequence[str], str | None], str | None]


class UnknownRevision(UnusableDatabase):
    """The database was upgraded by a newer Dagbook."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the database is at revision {revision}, which is newer than this version of Dagbook (it requires "
            f"{head()}); use the version that upgraded the database, or a newer one"
        )


class ObsoleteDatabase(UnusableDatabase):
    """The database was created by a development version of Dagbook before its first release."""

    def __init__(self, url: str, revision: str) -> None:
        remedy = "move that file away, and a new one is created"
        if sqlite_path(url) is None:
            remedy = "use an empty schema (setting database_schema) or an empty database"
        super().__init__(
            f"{hide_password(url)} was made before Dagbook 0.1.0 (it is at revision {revision}) and cannot be "
            f"upgraded; a new database is needed: {remedy}"
        )


async def upgrade(
    url: str,
    revision: str = "head",
    *,
    schema: str = PUBLIC,
    patience: float = PATIENCE_SECONDS,
    keeps_copy: bool = True,
) -> None:
    """Upgrade the database to a revision, creating a missing SQLite file.

    A SQLite database with rows is first copied to a backup file beside it, if ``keeps_copy``. On PostgreSQL each
    revision waits up to ``patience`` seconds for table locks. Raises ``UnusableDatabase``, ``DatabaseUnavailable`` and
    ``MigrationFailed``.
    """

    def following(known: Sequence[str], here: str | None) -> str | None:
        pending = [each for each in known if (here or "") < each <= (known[-1] if revision == "head" else revision)]
        if not pending:
            return None
        # An empty database has neither rows to lose nor users to wait, so one transaction takes all revisions.
        return pending[-1] if here is None else pending[0]

    await _run(url, schema, _MigrationRun(following, "upgrade", url, schema, keeps_copy=keeps_copy), patience)


async def downgrade(url: str, revision: str, *, schema: str = PUBLIC) -> None:
    """Downgrade the database to a revision, or to ``base``, which has no tables. Rows of dropped tables are lost."""

    def preceding(known: Sequence[str], here: str | None) -> str | None:
        if here is None or (revision != "base" and here <= revision):
            return None
        before = [each for each in known if each < here]
        return before[-1] if before else "base"

    await _run(url, schema, _MigrationRun(preceding, "downgrade", url, schema), PATIENCE_SECONDS)


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
    """Raise ``UnusableDatabase`` unless the database is at the revision that this version requires."""
    here = await current(url, schema=schema)
    if here != head():
        require_known(url, here)
        raise UnusableDatabase(
            f"{hide_password(url)} is at revision {here or 'none'} and this version of Dagbook requires {head()}; "
            "run `dagbook db upgrade`, or start a server of this version"
        )


def require_known(url: str, here: str | None) -> None:
    """Raise ``UnusableDatabase`` for a revision that this version of Dagbook does not know."""
    if here is None or here in revisions():
        return
    raise ObsoleteDatabase(url, here) if _BEFORE_FIRST_RELEASE.fullmatch(here) else UnknownRevision(here)


def head() -> str:
    """Return the revision that this version of Dagbook requires."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Return all revisions, the oldest first: they are numbers, with which the names of their files begin."""
    names = [path.name for path in (migrations_directory() / "versions").glob("[0-9]*_*.py")]
    if not names:
        raise RuntimeError(f"there are no migrations in {migrations_directory()}")
    return sorted(name.partition("_")[0] for name in names)


def build_config(connection: Connection | None) -> Config:
    """Return Alembic's configuration, which passes the connection to ``env.py``."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def read_revision(connection: Connection) -> str | None:
    """Return the revision stored in the database."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revision: str | None = connection.scalar(select(literal_column("version_num")).select_from(_VERSION))
    return revision


@asynccontextmanager
async def open_for_migration(url: str, *, schema: str = PUBLIC, writes: bool = True) -> AsyncIterator[AsyncConnection]:
    """Connect without a statement timeout and, on SQLite, with foreign keys off.

    SQLite ignores that pragma inside a transaction. With foreign keys on, copying a table would delete the rows that
    refer to it.
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


async def _run(url: str, schema: str, run: _MigrationRun, patience: float) -> None:
    path = sqlite_path(url)
    if path is None:
        async with open_for_migration(url, schema=schema) as connection:
            while await retry_until_done(connection, run.advance, patience):
                pass
        return
    with _open_file(url, path) as file:
        while run.advance(file):  # noqa: ASYNC110 - it waits for nothing
            await asyncio.sleep(0)  # lets a cancellation take effect between two revisions


@contextmanager
def _open_file(url: str, path: Path) -> Iterator[Connection]:
    """Connect to a SQLite file with the synchronous driver: the async one switches threads for each statement.

    This blocks the event loop, but nothing is served before the database is upgraded.
    """
    # SQLite would create it world-readable; the write-ahead log and shared memory get the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(parse_url(url).set(drivername="sqlite"), poolclass=NullPool)
    prepare_sqlite(engine, writes=True, busy=_BUSY_MILLISECONDS)
    try:
        with translate_errors(engine.dialect.name), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


class _MigrationRun:
    """Upgrade or downgrade of one database, revision by revision."""

    def __init__(
        self, step: Step, direction: Literal["upgrade", "downgrade"], url: str, schema: str, *, keeps_copy: bool = True
    ) -> None:
        self._step = step
        self._direction = direction
        self._url = url
        self._path = sqlite_path(url)
        self._schema = schema
        self._must_copy = keeps_copy

    def advance(self, connection: Connection) -> bool:
        """Migrate by one revision; False when the target is reached."""
        with connection.begin():
            if self._path is None:  # SQLite is locked by BEGIN IMMEDIATE
                lock_migrations(connection, self._schema)
            here = read_revision(connection)
            require_known(self._url, here)
            target = self._step(revisions(), here)
            if target is None:
                return False
            self._migrate(connection, here, target)
        _log.info("the database is now at revision %s", target)
        return True

    def _migrate(self, connection: Connection, here: str | None, target: str) -> None:
        from alembic import command  # noqa: PLC0415 - see above
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        config, is_upgrade = build_config(connection), self._direction == "upgrade"
        if self._path is None:
            script = ScriptDirectory.from_config(config).get_revision(target) if is_upgrade else None
            breaking = script is not None and bool(getattr(script.module, "breaking", False))
            prepare_revision(connection, self._schema, here, breaking=breaking)
        elif self._must_copy and _has_rows(connection):
            make_copy(self._path, here or "base")
        self._must_copy = False  # once is enough
        (command.upgrade if is_upgrade else command.downgrade)(config, target)


def _has_rows(connection: Connection) -> bool:
    names = set(inspect(connection).get_table_names()) - {"alembic_version"}
    return any(connection.execute(select(1).select_from(table(name)).limit(1)).first() for name in names)
