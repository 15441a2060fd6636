"""A whole application in the test's own loop, one for each database engine."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dagbook.cli import execute as run
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import People, serving_people
from tests.app.program import CommandResult
from tests.app.provider import Provider, providing
from tests.app.remote_server import RemoteDagbook, serving_remote
from tests.conftest import Copies, SqliteCopies


@pytest.fixture(scope="session")
async def server(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for all tests that use a name of their own."""
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home")) as opened:
            yield opened


@pytest.fixture(scope="session")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(server) as opened:
        yield opened


@pytest.fixture(scope="session")
async def people(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    """A server with users, for all tests that make users of their own."""
    async for url in copies.copy():
        async with serving_people(url, tmp_path_factory.mktemp("home")) as opened:
            yield opened


@pytest.fixture
def name() -> str:
    """A DAG name that no other test uses."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def dagbook(client: httpx.AsyncClient, name: str) -> Dagbook:
    return Dagbook(client, name)


@pytest.fixture
def command(
    tmp_path: Path, sqlite_copies: SqliteCopies, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., CommandResult]]:
    """Run a command in this process, which saves a second of imports; for tests without a loop of their own.

    Its home has a migrated database, which saves the migration; a test of a home without one removes it.
    """
    database = tmp_path / "dagbook.sqlite3"
    if not database.exists():
        sqlite_copies.copy_to(database)
    monkeypatch.setenv("DAGBOOK_HOME", str(tmp_path))
    monkeypatch.setenv("DAGBOOK_DEFAULT_SHELL", "/bin/sh")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # of the profiles
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run_command(*arguments: str | Path) -> CommandResult:
        status = run(list(map(str, arguments)))
        captured = capfd.readouterr()
        return CommandResult(status, captured.out, captured.err)

    yield run_command
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteDagbook]:
    """A server with users in a process of its own, for the commands of a module."""
    with serving_remote(tmp_path_factory.mktemp("remote")) as server:
        yield server


@pytest.fixture
def at(
    command: Callable[..., CommandResult], remote: RemoteDagbook, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CommandResult]:
    """Run commands with the remote server, as an admin."""
    monkeypatch.setenv("DAGBOOK_SERVER", remote.url)
    monkeypatch.setenv("DAGBOOK_TOKEN", remote.token)
    return command


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Provider]:
    async with providing() as started:
        yield started


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.reset()
    return running
