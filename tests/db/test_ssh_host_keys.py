"""Keys of SSH hosts that an earlier version stored, on both engines, and the file that they are moved to."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, inspect

from dagbook.db.database import Database
from dagbook.db.errors import Conflict
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, head, open_for_migration, upgrade
from dagbook.db.models import SshHostKey
from dagbook.main.host_keys import move_host_keys
from dagbook.settings import read
from tests.db.rows import NOW, fill, rehearse

ROW = {"host": "a.example", "port": 22, "algorithm": "ssh-ed25519", "fingerprint": "SHA256:x", "stored_at": NOW}


async def move(database: Database, home: Path, mode: str = "accept-new") -> list[str]:
    """Move the keys as a start does; returns the lines of the file."""
    path = home / "ssh" / "known_hosts"
    flags = {"ssh_strict_host_key": mode, "ssh_known_hosts": str(path)}
    await move_host_keys(read(flags, {}, home), database)
    return path.read_text().splitlines() if path.parent.is_dir() and path.exists() else []


async def test_a_start_writes_the_stored_keys_once_into_its_file(database: Database, tmp_path: Path) -> None:
    assert await move(database, tmp_path) == []
    rows = [ROW, ROW | {"port": 2222, "fingerprint": "SHA256:y"}]
    await database.write(lambda connection: connection.execute(insert(SshHostKey), rows))
    assert await move(database, tmp_path, "true") == []
    lines = ["# dagbook: a.example ssh-ed25519 SHA256:x", "# dagbook: [a.example]:2222 ssh-ed25519 SHA256:y"]
    assert await move(database, tmp_path) == lines
    assert await move(database, tmp_path) == lines
    (tmp_path / "ssh" / "known_hosts").write_text(f"{lines[1]}\n")  # a line that was deleted does not come back
    assert await move(database, tmp_path) == lines[1:]


async def test_a_file_that_cannot_be_written_stops_no_start(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await database.write(lambda connection: connection.execute(insert(SshHostKey).values(ROW)))
    (tmp_path / "ssh").touch()
    assert await move(database, tmp_path) == []
    assert "the stored SSH host keys could not be written" in caplog.text


@pytest.mark.parametrize("wrong", [{"host": ""}, {"host": "x" * 254}, {"port": 0}, {"algorithm": ""}], ids=str)
async def test_rows_that_are_no_host_are_refused(database: Database, wrong: dict[str, object]) -> None:
    with pytest.raises(Conflict):
        await rehearse(database, lambda connection: connection.execute(insert(SshHostKey).values(ROW | wrong)))


async def test_the_revision_adds_the_table_to_a_database_with_rows_and_takes_only_it_away(empty_url: str) -> None:
    async def tables() -> set[str]:
        async with open_for_migration(empty_url, writes=False) as connection:
            return set(await connection.run_sync(lambda raw: inspect(raw).get_table_names()))

    await upgrade(empty_url)
    database = await Database.open(empty_url)
    await database.write(fill)
    await database.close()
    after = await tables()
    await downgrade(empty_url, "0100")
    assert "ssh_host_keys" in after - await tables()
    await upgrade(empty_url)
    assert await tables() == after
    assert await check(empty_url) == []
    assert head() >= "0106"
