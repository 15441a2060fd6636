"""``dagbook db``: the schema upgraded and looked at, on both engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.clock import now
from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations.upgrade import head
from dagbook.db.url import hide_password, sqlite_path
from tests.app.dagbook import client_of, serving
from tests.app.program import CommandResult
from tests.db.rows import run_sql

pytestmark = pytest.mark.both_engines

Command = Callable[..., CommandResult]


@pytest.fixture
def on(command: Command) -> Command:
    """Run a command of the group on a database."""
    return lambda url, name: command("db", name, "--database-url", url)


def test_an_empty_database_is_upgraded_and_then_as_it_should_be(empty_url: str, on: Command) -> None:
    before = on(empty_url, "current")
    assert (before.status, before.out) == (1, f"empty (newest is {head()})\n")
    upgraded = on(empty_url, "upgrade")
    assert (upgraded.status, upgraded.out.endswith(f"is at revision {head()}\n")) == (0, True), upgraded.err
    after = on(empty_url, "current")
    assert (after.status, after.out) == (0, f"{head()}\n")


async def _drop_index(database_url: str) -> None:
    database = await Database.open(database_url)
    await database.write(lambda connection: connection.exec_driver_sql("DROP INDEX ix_run_attempts_owner"))
    await database.close()


def test_a_database_that_has_lost_something_is_told(database_url: str, on: Command) -> None:
    whole = on(database_url, "check")
    assert (whole.status, whole.out) == (0, "the schema is correct\n")
    asyncio.run(_drop_index(database_url))
    broken = on(database_url, "check")
    assert broken.status == 1
    assert "ix_run_attempts_owner" in broken.out


def test_a_database_that_is_not_there_is_told(on: Command) -> None:
    said = on("postgresql://nobody@127.0.0.1:1/none", "current")
    assert said.status == 1
    assert "unavailable" in said.err


async def _claim_revision(database_url: str, revision: str) -> None:
    database = await Database.open(database_url)
    claim = f"UPDATE alembic_version SET version_num = '{revision}'"  # noqa: S608 - of this file
    await database.write(lambda connection: connection.exec_driver_sql(claim))
    await database.close()


STARTS = (
    "serve --port 0",
    "worker",
    "runs",
    "start dag.yaml",
    "enqueue dag.yaml",
    "status dag",
    "users list",
    "doctor",
)
LOOKS = ("db upgrade", "db current", "db check", "audit verify", "cleanup")


@pytest.fixture
def on_revision(
    database_url: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], CommandResult]:
    """Run a command on a database that claims to be at a revision."""

    def run(revision: str, line: str) -> CommandResult:
        if line == "worker" and database_url.startswith("sqlite"):
            pytest.skip("a worker needs PostgreSQL, whatever the revision is")
        (tmp_path / "dag.yaml").write_text("steps:\n  - echo hello\n")
        monkeypatch.chdir(tmp_path)
        asyncio.run(_claim_revision(database_url, revision))
        return command(*line.split(), "--database-url", database_url)

    return run


@pytest.mark.parametrize("line", [*STARTS, *LOOKS])
def test_what_starts_on_a_newer_schema_says_so_in_one_sentence(
    on_revision: Callable[[str, str], CommandResult], line: str
) -> None:
    said = on_revision("9999", line)
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        "Error: the database is at revision 9999, which is newer than this version of Dagbook "
        f"(it requires {head()}); use the version that upgraded the database, or a newer one\n"
    )


@pytest.mark.parametrize("line", [*STARTS, *LOOKS])
def test_what_starts_on_a_database_from_before_the_first_release_says_so_in_one_sentence(
    database_url: str, on_revision: Callable[[str, str], CommandResult], line: str
) -> None:
    said = on_revision("0012", line)
    remedy = "move that file away, and a new one is created"
    if not database_url.startswith("sqlite"):
        remedy = "use an empty schema (setting database_schema) or an empty database"
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        f"Error: {hide_password(database_url)} was made before Dagbook 0.1.0 (it is at revision 0012) and cannot be "
        f"upgraded; a new database is needed: {remedy}\n"
    )


@pytest.mark.parametrize("arguments", [("runs",), ("db", "current"), ("serve", "--port", "0")], ids=" ".join)
def test_a_file_that_is_no_database_is_told_in_a_sentence(
    command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "dagbook.sqlite3").write_text("a letter to somebody\n" * 100)
    said = command(*arguments)
    assert (said.status, said.out) == (1, "")
    assert said.err == "Error: the database is unavailable: the file is not a SQLite database\n"


def test_a_home_that_cannot_be_made_is_told_in_a_sentence(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = command("runs", "--home", tmp_path / "file" / "home")
    assert (said.status, said.out, said.err) == (1, "", f"Error: {tmp_path / 'file' / 'home'}: Not a directory\n")


def test_a_role_for_workers_takes_postgresql(command: Command, tmp_path: Path) -> None:
    said = command("db", "worker-role", "dagbook_worker", "--database-url", f"sqlite:///{tmp_path}/d.sqlite3")
    assert (said.status, said.err) == (1, "Error: workers and roles need a PostgreSQL database; set database_url\n")


async def _execute(database_url: str, *statements: str) -> None:
    def work(connection: WriteConnection) -> None:
        for statement in statements:
            run_sql(connection, statement)

    database = await Database.open(database_url)
    await database.write(work)
    await database.close()


def test_a_role_for_readers_gets_the_views_or_all_but_the_audit(command: Command, database_url: str) -> None:
    def ask(*words: str) -> CommandResult:
        return command("db", "reader-role", *words, "--database-url", database_url)

    if database_url.startswith("sqlite"):
        said = ask("cli_reader")
        refused = "Error: roles need a PostgreSQL database; a SQLite file is opened with mode=ro\n"
        assert (said.status, said.err) == (1, refused)
        return
    missing = ask("cli_missing")
    assert (missing.status, "there is no role cli_missing; make it first" in missing.err) == (1, True)
    asyncio.run(_execute(database_url, "DROP ROLE IF EXISTS cli_reader", "CREATE ROLE cli_reader"))
    for number, words in ((7, ("cli_reader",)), (6, ("cli_reader", "--no-audit"))):
        said = ask(*words)
        shown = f"the role cli_reader may read {number} views of {hide_password(database_url)}\n"
        assert (said.status, said.out, said.err) == (0, shown, "")
    asyncio.run(_execute(database_url, "DROP OWNED BY cli_reader", "DROP ROLE cli_reader"))


@pytest.mark.full
async def test_copies_from_before_upgrades_are_listed_and_removed_by_a_server_when_they_expire(
    database_url: str, command: Command, tmp_path: Path
) -> None:
    path = sqlite_path(database_url)
    if path is None:
        said = command("db", "copies", "--database-url", database_url)
        assert (said.status, said.out) == (0, "PostgreSQL: upgrades make no copies\n")
        return
    old = path.with_name(f"{path.name}.0112.20260101T120000.000000Z.backup")
    new = path.with_name(f"{path.name}.0113.{now():%Y%m%dT%H%M%S.%fZ}.backup")
    for file in (old, new):
        file.write_bytes(b"x" * 2048)
    shown = await asyncio.to_thread(command, "db", "copies", "--database-url", database_url)
    (line,) = (line.split() for line in shown.out.splitlines() if str(old) in line)
    assert line == [str(old), "0112", "2026-01-01", "12:00", "2.0", "KiB", "2026-01-31", "12:00"]
    said = await asyncio.to_thread(command, "db", "copies", "--database-url", database_url, "--json")
    assert [copy["file"] for copy in json.loads(said.out)["copies"]] == [str(old), str(new)]
    said = await asyncio.to_thread(command, "doctor", "--database-url", database_url)
    assert "2 copies from before upgrades have 4.0 KiB: see dagbook db copies" in said.out
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        storage = (await client.get("/doctor")).json()["storage"]
        assert [copy["revision"] for copy in storage["upgradeCopies"]] == ["0112", "0113"]
        await server.services.dags.retention.run_once()
    assert (old.exists(), new.exists()) == (False, True)
