"""Keys of SSH hosts in the database, on both engines: of several first connections one counts."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, inspect
from sqlalchemy.exc import IntegrityError

from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, head, open_for_migration, upgrade
from dagbook.db.models import SshHostKey
from dagbook.executors.contract import HostKey, StepError
from dagbook.runs.service.ssh_host_keys import SshHostKeys
from tests.db.rows import NOW, fill, rehearse

KEYS = [HostKey("ssh-ed25519", f"SHA256:{letter * 43}") for letter in "abcdef"]
ROW = {"host": "a.example", "port": 22, "algorithm": "ssh-ed25519", "fingerprint": "SHA256:x", "stored_at": NOW}


async def test_of_several_first_connections_one_key_is_stored_and_all_get_it(database: Database) -> None:
    keys = SshHostKeys(database, now)
    stored = await asyncio.gather(*(keys.add("a.example", 22, key) for key in KEYS))
    assert len(set(stored)) == 1
    assert await keys.get("a.example", 22) == stored[0]
    assert await keys.get("a.example", 2222) is None
    assert await keys.add("a.example", 22, HostKey("ssh-rsa", "SHA256:later")) == stored[0]


async def test_first_connections_do_not_store_keys_without_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.runs.service.ssh_host_keys._MAX_HOSTS", 2)
    keys = SshHostKeys(database, now)
    for host in ("a.example", "b.example"):
        await keys.add(host, 22, KEYS[0])
    with pytest.raises(StepError, match="remove some: dagbook ssh-host-keys list"):
        await keys.add("c.example", 22, KEYS[0])
    assert await keys.get("c.example", 22) is None


@pytest.mark.parametrize("wrong", [{"host": ""}, {"host": "x" * 254}, {"port": 0}, {"algorithm": ""}], ids=str)
async def test_rows_that_are_no_host_are_refused(database: Database, wrong: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
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
