"""Servers of the tests' own, on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process import invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.server import Server

Start = Callable[..., Program]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that a test may stop, if it starts it again."""
    started = Cluster()
    yield started
    started.remove()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with all tables."""
    path = tmp_path_factory.mktemp("migrated") / "dagbook.sqlite3"
    store.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Make a database with all tables and no rows; on SQLite it lies in the given home."""
    if request.param == "postgresql":
        own: Cluster = request.getfixturevalue("cluster")
        return lambda _home: own.make_database()
    migrated: Path = request.getfixturevalue("migrated_file")

    def copy(home: Path) -> str:
        home.mkdir(mode=0o700)
        return f"sqlite:///{shutil.copy(migrated, home)}"

    return copy


@pytest.fixture
def program(tmp_path: Path, make_url: Callable[[Path], str]) -> Iterator[Program]:
    """A server on a database of its own, started; in the end nothing in the database may be wrong."""
    home = tmp_path / "home"
    server = Program(home, make_url(home))
    try:
        yield server.start()
    finally:
        end(server)
    assert invariants.find_violations(server.database_url) == []


@pytest.fixture
def pair(tmp_path: Path, cluster: Cluster) -> Iterator[tuple[Program, Program]]:
    """Two servers on one PostgreSQL database; in the end nothing in it may be wrong."""
    url = cluster.make_database()
    servers = tuple(Program(tmp_path / "home", url, log=tmp_path / f"{number}.log") for number in (1, 2))
    try:
        for server in servers:
            server.start()
        yield servers[0], servers[1]
    finally:
        for server in servers:
            end(server)
    assert invariants.find_violations(url) == []


def end(server: Server) -> None:
    """Leave neither a server nor a step of it behind."""
    server.clear()
