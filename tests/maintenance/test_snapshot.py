"""A snapshot has what happened, and neither accounts nor secrets; nothing can be written to it."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from sqlalchemy import func, insert, select, update

from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.migrations.check import check
from dagbook.db.models import (
    AlertChannel,
    AlertDelivery,
    Definition,
    LogChunk,
    Node,
    Run,
    RunInput,
    Token,
    Trigger,
    TriggerEvent,
)
from dagbook.db.models.source import Source
from dagbook.db.repositories import holds
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.repositories.holds import HoldRow
from dagbook.db.types import Base
from dagbook.db.url import PUBLIC, sqlite_path
from dagbook.maintenance.backup.backup import back_up
from dagbook.maintenance.backup.files import BackupError
from dagbook.maintenance.backup.restore import restore
from dagbook.maintenance.backup.snapshot import check_snapshot, make_snapshot
from tests.conftest import Copies
from tests.db.rows import NOW, add, add_user
from tests.db.test_trigger_constraints import EVENT, TRIGGER
from tests.maintenance.scene import RUNS, furnish

SECRET = b"this-must-not-be-in-a-snapshot".ljust(64, b"-")  # as long as the hash of a token
ACCOUNTS = {
    *("users", "sessions", "tokens", "grants", "user_groups", "user_group_members", "dag_access"),
    *("login_addresses", "login_failures"),
}


def hide_secrets(connection: WriteConnection) -> None:
    """Store a secret wherever there may be one."""
    text = SECRET.decode()
    add_user(connection, id="bob", username="bob", password_hash=text, kept_token=text)
    token = {"id": "t", "user_id": "bob", "name": "t", "hash": text, "role": "admin", "created_at": NOW}
    connection.execute(insert(Token), [token])
    values = {"sealed": SECRET, "env": [["A", text]], "dotenv": [["B", text]], "base_environment": {"C": text}}
    connection.execute(update(RunInput).values(values | {"variables": [["E", text]]}))
    ran = {"host": "here", "env": [["D", text]]}
    connection.execute(update(Node).where(Node.run_id == RUNS).values(output_sealed=SECRET, ran=ran))
    source = {"name": "git", "kind": "git", "place": "https://git.example/x", "path": ""} | dict.fromkeys(
        ("writable", "adopt", "configured"), False
    )
    add(connection, Source, **source, created_at=NOW, hook_secret=SECRET, credentials=f"/{text}")
    channel = {"settings": {"url": f"http://host/{text}"}, "sealed": SECRET, "sealed_before": SECRET}
    connection.execute(update(AlertChannel).values(**channel, sealed_before_until=NOW))
    attempt = {"at": "2026-03-01T12:31:15Z", "ms": 1, "code": 200, "text": text}
    connection.execute(update(AlertDelivery).values(attempts=[attempt]))
    sealed = {"sealed": SECRET, "sealed_before": SECRET, "sealed_before_until": NOW}
    trigger = add(connection, Trigger, **(TRIGGER | sealed))
    event = EVENT | {"body": SECRET, "headers": {"x-a": text}, "item": {"path": text}}
    add(connection, TriggerEvent, **event, trigger_id=trigger)
    add(
        connection,
        Definition,
        **msgspec.structs.asdict(DefinitionRow.of("steps: []", f"smtp: {{password: {text}}}", NOW)),
    )


class Pictures(NamedTuple):
    original: str
    file: Path


@pytest.fixture(scope="module")
async def pictures(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pictures]:
    async for original in copies.copy():
        database = await Database.open(original)
        await database.write(furnish)
        await database.write(hide_secrets)
        await database.close()
        file = tmp_path_factory.mktemp("snapshots") / "incident"
        await make_snapshot(original, PUBLIC, file, replaces=False)
        yield Pictures(original, file)


def test_no_secret_and_no_account_is_in_any_byte_of_it(pictures: Pictures) -> None:
    assert stat.S_IMODE(pictures.file.stat().st_mode) == 0o600
    assert [path.name for path in pictures.file.parent.iterdir()] == ["incident"]
    content = pictures.file.read_bytes()
    assert SECRET not in content
    assert SECRET.hex().encode() not in content
    if (path := sqlite_path(pictures.original)) is not None:
        assert any(SECRET in one.read_bytes() for one in path.parent.glob(f"{path.name}*"))  # the test can fail


async def test_all_that_happened_is_in_it_under_the_schema_of_a_database(pictures: Pictures) -> None:
    def counts(connection: ReadConnection) -> dict[str, int]:
        tables = Base.metadata.tables
        return {name: connection.scalar(select(func.count()).select_from(table)) or 0 for name, table in tables.items()}

    def content(connection: ReadConnection) -> list[object]:
        columns = (LogChunk.run_id, LogChunk.stream, LogChunk.seq, LogChunk.text, LogChunk.received_at)
        runs = select(Run.id, Run.status, Run.started_at, Run.finished_at, Run.params, Run.tags).order_by(Run.id)
        return [*connection.execute(runs), *connection.execute(select(*columns).order_by(*columns[:3]))]

    original, shown = await Database.open(pictures.original), await Database.open(f"sqlite:///{pictures.file}")
    try:
        expected = {name: 0 if name in ACCOUNTS else count for name, count in (await original.read(counts)).items()}
        assert await shown.read(counts) == expected
        assert await shown.read(content) == await original.read(content)
        answers = await shown.read(lambda connection: list(connection.scalars(select(AlertDelivery.attempts))))
        assert answers == [[{"at": "2026-03-01T12:31:15Z", "ms": 1, "code": 200}]]
    finally:
        await original.close()
        await shown.close()
    assert await check(f"sqlite:///{pictures.file}") == []


async def test_nothing_can_be_written_to_it(pictures: Pictures) -> None:
    before = pictures.file.read_bytes()
    database = await Database.open(f"sqlite:///{pictures.file}", read_only=True)
    try:
        row = HoldRow(held_at=now(), held_by=None, origin="x")
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await database.write(lambda connection: holds.add(connection, row))
    finally:
        await database.close()
    assert pictures.file.read_bytes() == before


async def test_a_snapshot_and_a_backup_are_not_taken_for_each_other(
    pictures: Pictures, empty_url: str, tmp_path: Path
) -> None:
    check_snapshot(pictures.file)
    backup = (await back_up(pictures.original, PUBLIC, tmp_path / "backup", replaces=False)).file
    with pytest.raises(BackupError, match="is no snapshot"):
        check_snapshot(backup)
    expected = "is a snapshot, without accounts" if sqlite_path(empty_url) else "needs an archive of pg_dump"
    with pytest.raises(BackupError, match=expected):
        await restore(empty_url, PUBLIC, pictures.file, Actor(via="cli"))


async def test_a_snapshot_of_another_revision_is_not_shown(pictures: Pictures, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(pictures.file.read_bytes())
    with sqlite3.connect(other) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0100'")
    raw.close()
    with pytest.raises(BackupError, match="is of revision 0100"):
        check_snapshot(other)
