"""The databases of the tests: made by the migrations once for each engine, then copied."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.database import Database
from dagbook.db.migrations.upgrade import upgrade
from dagbook.db.url import parse_url
from dagbook.unix.signals import give_children_default_signals
from tests.executors.web import Web
from tests.memory import find_memory

ROOT = Path(__file__).parent.parent
POSTGRES = ROOT / "scripts" / "postgres"

# As every command of Dagbook begins: else steps of these tests ignore what a background shell's children ignore.
give_children_default_signals()


pytest_plugins = ["tests.selection"]


def pytest_collection_finish() -> None:
    """Take what was loaded out of garbage collection: it stays, and looking at it again and again costs."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    """Commands that a test runs in this process send the log to a stderr that is closed after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Copies(Protocol):
    """Makes databases of one engine: copies of the migrated one, or empty ones."""

    def copy(self) -> AsyncIterator[str]: ...

    def empty(self) -> AsyncIterator[str]: ...


class SqliteCopies:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template = directory / "template.db"

    async def prepare(self) -> None:
        await upgrade(f"sqlite:///{self._template}")

    async def copy(self) -> AsyncIterator[str]:
        async for url in self.empty():
            self.copy_to(Path(url.removeprefix("sqlite:///")))
            yield url

    def copy_to(self, path: Path) -> None:
        shutil.copy(self._template, path)

    async def empty(self) -> AsyncIterator[str]:
        with tempfile.TemporaryDirectory(dir=self._directory) as directory:
            yield f"sqlite:///{directory}/test.db"


class PostgresCopies:
    def __init__(self, server: str) -> None:
        self._server = server
        self._template = f"template_{secrets.token_hex(4)}"

    async def prepare(self) -> None:
        await self._run(f"CREATE DATABASE {self._template}")
        await upgrade(self._url(self._template))

    async def copy(self) -> AsyncIterator[str]:
        async with self._database(f"TEMPLATE {self._template}") as url:
            yield url

    async def empty(self) -> AsyncIterator[str]:
        async with self._database("") as url:
            yield url

    async def remove(self) -> None:
        await self._run(f"DROP DATABASE {self._template}")

    @asynccontextmanager
    async def _database(self, options: str) -> AsyncIterator[str]:
        name = f"test_{secrets.token_hex(4)}"
        await self._run(f"CREATE DATABASE {name} {options}")
        yield self._url(name)
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return make_url(self._server).set(database=name).render_as_string(hide_password=False)

    async def _run(self, statement: str) -> None:
        engine = create_async_engine(parse_url(self._server), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql(statement)
        await engine.dispose()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of a PostgreSQL server: the one named in the environment, else one started for this session."""
    given = os.environ.get("DAGBOOK_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    directory = tempfile.mkdtemp(prefix="dagbook-postgres-", dir=find_memory())
    started = subprocess.run([POSTGRES, "start", directory], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.fail(f"scripts/postgres could not start a server:\n{started.stderr}")
    yield started.stdout.strip()
    subprocess.run([POSTGRES, "stop", directory], check=True)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def sqlite_copies(tmp_path_factory: pytest.TempPathFactory) -> SqliteCopies:
    made = SqliteCopies(tmp_path_factory.mktemp("sqlite"))
    await made.prepare()
    return made


@pytest.fixture(scope="session")
async def postgres_copies(postgres_url: str) -> AsyncIterator[PostgresCopies]:
    made = PostgresCopies(postgres_url)
    await made.prepare()
    yield made
    await made.remove()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def copies(request: pytest.FixtureRequest) -> Copies:
    """Databases of one engine; each engine's are migrated once, however often the tests change between the two."""
    made: Copies = request.getfixturevalue("sqlite_copies" if request.param == "sqlite" else "postgres_copies")
    return made


@pytest.fixture
async def database_url(copies: Copies) -> AsyncIterator[str]:
    """Address of a migrated database of the test's own."""
    async for url in copies.copy():
        yield url


@pytest.fixture
async def empty_url(copies: Copies) -> AsyncIterator[str]:
    """Address of a database without tables (on SQLite: without a file)."""
    async for url in copies.empty():
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of the test's own."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def shared_database(copies: Copies) -> AsyncIterator[Database]:
    """One migrated database for all tests that roll back whatever they do."""
    async for url in copies.copy():
        opened = await Database.open(url)
        yield opened
        await opened.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    """A web server that answers what the test tells it."""
    server = Web()
    await server.start()
    yield server
    await server.stop()
