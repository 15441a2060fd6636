"""``dagbook audit``: list, verify, prune, with and without a server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dagbook.auth.audit_context import Action, local_actor, run_action
from dagbook.clock import now
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.revisions import RunName
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.audit.audit_sealing import AuditSealer
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.unix.unix_accounts import account_name
from tests.app.program import CommandLine, CommandResult
from tests.conftest import Copies
from tests.db.rows import run_sql

SPEC = "name: etl\nsteps: [{name: a, command: 'true'}]\n"
Command = Callable[..., CommandResult]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "etl.yaml"
    path.write_text(SPEC)
    return path


def on_database(home: Path, work: Callable[[Database], Awaitable[object]]) -> None:
    async def whole() -> None:
        database = await Database.open(f"sqlite:///{home}/dagbook.sqlite3")
        try:
            await work(database)
        finally:
            await database.close()

    asyncio.run(whole())


def note(home: Path, *runs: str) -> None:
    """Add entries: a process can run one definition only, for that is all that it is there for."""

    def work(connection: WriteConnection) -> None:
        for run in runs:
            audit_action = run_action(Action.RUN_START, RunName(dag_name="etl", run_id=run))
            audit.add(connection, local_actor().entry(audit_action, now()))

    on_database(home, lambda database: database.write(work))


@pytest.fixture
def noted(command: Command, tmp_path: Path) -> Path:
    """The home of a database with two entries."""
    assert command("db", "upgrade").status == 0
    note(tmp_path, "r1", "r2")
    return tmp_path


def seal(home: Path) -> None:
    on_database(home, lambda database: AuditSealer(database, Encrypter("", home), now).run_once())


def copy(home: Path, file: Path) -> None:
    async def work(database: Database) -> None:
        await AuditCopy(database, file).run_once()

    on_database(home, work)


def tamper(home: Path) -> None:
    def work(connection: WriteConnection) -> None:
        connection.exec_driver_sql("DROP TRIGGER guard_audit_update")
        run_sql(connection, "UPDATE audit SET actor = 'nobody' WHERE id = 1")

    on_database(home, lambda database: database.write(work))


def test_a_run_in_the_terminal_is_of_the_user_of_the_system(command: Command, file: Path) -> None:
    assert command("run", file, "--run-id", "r1").status == 0
    entry = json.loads(command("audit", "list", "--json").out)
    told = {key: entry[key] for key in ("actor", "via", "action", "object", "outcome")}
    assert told == {
        "actor": account_name(os.getuid()),
        "via": "cli",
        "action": "run.start",
        "object": "etl/r1",
        "outcome": "done",
    }


def test_the_list_is_narrowed_by_the_same_filters_as_in_the_api(command: Command, noted: Path) -> None:
    del noted
    first = command("audit", "list", "--object", "etl/r1").out.splitlines()
    assert first[0].split() == ["ENTRY", "TIME", "ACTOR", "VIA", "ACTION", "OBJECT", "OUTCOME"]
    assert [line.split()[-2] for line in first[1:]] == ["etl/r1"]
    assert len(command("audit", "list", "--limit", "1").out.splitlines()) == 2
    assert (
        len(command("audit", "list", "--action", "run.", "--from", "2020-01-01", "--before", "2").out.splitlines()) == 2
    )
    assert len(command("audit", "list", "--to", "2020-01-01T00:00:00").out.splitlines()) == 1
    refused = command("audit", "list", "--action", "dance")
    assert (refused.status, "action: 'dance' does not exist" in refused.err) == (1, True)


def test_an_audit_in_order_is_said_to_be(command: Command, noted: Path) -> None:
    seal(noted)
    note(noted, "r3")
    said = command("audit", "verify")
    assert (said.status, said.out.splitlines()[0]) == (0, "3 entries, sealed up to 2, 1 not yet sealed")
    known = said.out.splitlines()[1].removeprefix("last seal ")
    assert command("audit", "verify", "--seal", known).status == 0
    other = command("audit", "verify", "--seal", f"1:{'0' * 64}")
    assert (other.status, other.out) == (1, "seal 1 is not the one that was noted elsewhere\n")
    assert command("audit", "verify", "--seal", "one").status == 1


def test_the_first_entry_that_was_changed_is_named(command: Command, noted: Path) -> None:
    seal(noted)
    tamper(noted)
    said = command("audit", "verify")
    assert (said.status, said.out) == (1, "entry 1 was changed\n")


def test_pruning_says_what_would_go_and_then_does_it(command: Command, noted: Path) -> None:
    seal(noted)
    assert command("audit", "prune", "--before", "2020-01-01", "--yes").out == "no entries are that old\n"
    would = command("audit", "prune", "--before", "2999-01-01")
    assert would.out == "2 entries would be deleted, up to entry 2; --yes deletes them permanently\n"
    assert command("audit", "verify").out.startswith("2 entries")
    assert command("audit", "prune", "--before", "2999-01-01", "--yes").out == "2 entries are deleted, up to entry 2\n"
    entry = json.loads(command("audit", "list", "--json").out)
    assert (entry["id"], entry["action"], entry["after"]["entries"]) == (3, "audit.prune", 2)
    seal(noted)
    said = command("audit", "verify")
    assert said.status == 0
    assert said.out.splitlines()[:2] == [
        "1 entries, sealed up to 3, 0 not yet sealed",
        "from entry 3 on; earlier entries are pruned",
    ]


def test_the_audit_is_compared_with_a_copy(command: Command, noted: Path) -> None:
    seal(noted)
    file = noted / "audit.copy"
    copy(noted, file)
    note(noted, "r3")
    said = command("audit", "verify", "--copy", file)
    assert said.status == 0
    assert said.out.splitlines()[2:4] == [
        "the copy has the same up to entry 2 and seal 1",
        "0 of its entries are pruned, 1 newer ones are not in it",
    ]
    tamper(noted)
    said = command("audit", "verify", "--copy", file)
    changed = "entry 1 was changed: its actor differ from the copy"
    assert (said.status, said.out.splitlines()) == (1, ["entry 1 was changed", changed])


def test_a_copy_that_cannot_be_read_is_named(command: Command, noted: Path) -> None:
    said = command("audit", "verify", "--copy", noted / "other")
    assert (said.status, said.err) == (1, f"Error: the copy {noted}/other cannot be read: No such file or directory\n")


def test_a_database_that_is_not_there_is_not_verified(command: Command, tmp_path: Path) -> None:
    (tmp_path / "dagbook.sqlite3").unlink()
    said = command("audit", "verify")
    assert (said.status, "dagbook db upgrade" in said.err) == (1, True)


@pytest.fixture
async def anywhere(copies: Copies, tmp_path: Path) -> AsyncIterator[CommandLine]:
    async for url in copies.copy():
        yield CommandLine(tmp_path, url)


async def test_beside_a_running_server_everything_works_and_what_it_leaves_is_sealed(
    anywhere: CommandLine, file: Path
) -> None:
    async with anywhere.server():
        if "postgresql" not in anywhere._env["DAGBOOK_DATABASE_URL"]:
            assert (await anywhere.run("run", file)).status == 0
        assert (await anywhere.run("audit", "list")).status == 0
        said = await anywhere.run("audit", "verify")
        assert said.status == 0, said
    said = await anywhere.run("audit", "verify")
    assert ", 0 not yet sealed" in said.out, said
