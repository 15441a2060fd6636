"""Rotation of the key that encrypts stored secrets: two keys at once, and what has the old one is encrypted again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.models import Source
from dagbook.db.repositories import encrypted
from dagbook.db.repositories.alerts import channels
from dagbook.db.repositories.triggers import triggers
from dagbook.main import Server
from dagbook.maintenance.audit.audit_verification import verify
from dagbook.runs.secrets import rekey
from dagbook.runs.secrets.encryption import Encrypter
from tests.app.dagbook import Dagbook, client_of, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines
OLD, NEW, LOST = "o" * 32, "n" * 32, "l" * 32
NOWHERE = Path("/nonexistent")
OLD_NAME, NEW_NAME, LOST_NAME = (Encrypter(key, NOWHERE).name for key in (OLD, NEW, LOST))
SPEC = """
secrets: [{name: SEC, provider: env, key: SOURCE}]
env: [SOURCE: hunter2-and-more]
maxActiveRuns: 100
steps:
  - {name: a, command: 'echo "$SEC"', output: OUT}
  - {name: b, command: 'test "$OUT" = hunter2-and-more && exit 1', depends: a}
"""


@asynccontextmanager
async def opened(url: str, home: Path, key: str, *previous: str) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    async with (
        serving(url, home, secret_key=key, secret_keys_previous=",".join(previous)) as server,
        client_of(server) as client,
    ):
        yield server, client


async def failed_runs(client: httpx.AsyncClient, number: int) -> list[str]:
    flow = Dagbook(client, "flow")
    ids = [await flow.start(SPEC) for _ in range(number)]
    assert [(await flow.finished(run_id)).status for run_id in ids] == ["failed"] * number
    return ids


async def retry(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """Retry a run, which fails only after it has seen its output from before; returns its details."""
    answer = await client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id})
    assert answer.status_code == 200, answer.text
    flow = Dagbook(client, "flow")

    async def ended() -> dict[str, Any] | None:
        details = await flow.get(run_id)
        return details if details["statusLabel"] == "failed" else None

    details = await wait_until(ended)
    assert [node["statusLabel"] for node in details["nodes"]] == ["succeeded", "failed"]
    assert "exit code 1" in details["nodes"][1]["error"] or "exit status 1" in details["nodes"][1]["error"]
    return details


async def counts(client: httpx.AsyncClient) -> dict[str, int]:
    return {use["key"]: use["values"] for use in (await client.get("/doctor")).json()["keys"]}


async def test_both_keys_at_once_then_the_new_one_alone(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, OLD) as (_, client):
        ids = await failed_runs(client, 3)
        await client.post("/dags", json={"name": "flow", "spec": SPEC})
        hook = await client.post("/triggers", json={"name": "push", "dag": "flow", "scheme": "github"})
        assert hook.is_success, hook.text
        channel = {"name": "ops", "type": "slack", "secret": "https://hooks.example.org/topsecret"}
        assert (await client.post("/alert-channels", json=channel)).is_success
        before = await counts(client)
        assert before == {OLD_NAME: 8}  # inputs and outputs of three runs, the trigger, the channel
    async with opened(database_url, tmp_path, NEW, OLD) as (server, client):
        await retry(client, ids[0])
        mixed = await counts(client)
        assert (mixed[NEW_NAME] > 0, mixed[OLD_NAME] > 0) == (True, True)
        done = (await client.post("/secrets/rekey")).json()
        assert (done["done"], done["left"], done["unknown"]) == (mixed[OLD_NAME], 0, {})
        assert await counts(client) == {NEW_NAME: sum(mixed.values()), OLD_NAME: 0}
        assert (await client.post("/secrets/rekey")).json() == {"done": 0, "left": 0, "unknown": {}}
    async with opened(database_url, tmp_path, NEW) as (server, client):
        for run_id in ids:
            await retry(client, run_id)
        database = server.services.runs.database
        trigger, ops = await database.read(triggers.get, "push"), await database.read(channels.get, "ops")
        assert trigger is not None
        assert server.services.triggers.triggers.open_secrets(trigger) == [hook.json()["secret"]]
        assert ops is not None
        assert server.services.alerts.channels.open(ops).url == "https://hooks.example.org/topsecret"
        # Seals of the old key are told apart, and not replaced.
        uses = {use["key"]: (use["values"], use["seals"] > 0) for use in (await client.get("/doctor")).json()["keys"]}
        assert uses[OLD_NAME] == (0, True)


async def test_the_audit_is_verified_with_the_previous_key(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, OLD) as (_, client):
        await failed_runs(client, 1)
    async with opened(database_url, tmp_path, NEW, OLD) as (_, client):
        await failed_runs(client, 1)
        await client.post("/secrets/rekey")
    database = await Database.open(database_url)
    with_both = await database.read(verify, Encrypter(NEW, NOWHERE, [OLD]))
    with_new = await database.read(verify, Encrypter(NEW, NOWHERE))
    with_none = await database.read(verify, Encrypter(LOST, NOWHERE))
    await database.close()
    assert (with_both.broken, with_both.other_key_up_to) == ("", 0)
    assert (with_new.broken, with_new.other_key_up_to > 0) == ("", True)
    assert "was not signed with the key of this installation" in with_none.broken


async def test_without_the_old_key_both_are_named_and_nothing_is_damaged(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, LOST) as (_, client):
        (run_id,) = await failed_runs(client, 1)
    async with opened(database_url, tmp_path, NEW, OLD) as (_, client):
        answer = await client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id})
        assert not answer.is_success
        assert LOST_NAME in answer.text
        assert NEW_NAME in answer.text
        done = (await client.post("/secrets/rekey")).json()
        assert (done["done"], done["left"], done["unknown"]) == (0, 0, {LOST_NAME: 2})
    async with opened(database_url, tmp_path, NEW, OLD, LOST) as (_, client):
        assert (await client.post("/secrets/rekey")).json()["done"] == 2
        await retry(client, run_id)


async def test_a_damaged_value_is_left_and_does_not_stop_the_others(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, OLD) as (_, client):
        await failed_runs(client, 2)
    database = await Database.open(database_url)
    broken = Encrypter(OLD, NOWHERE).encrypt(b"x", "another object")
    values = {"name": "s", "kind": "directory", "place": "/x", "path": "", "writable": False, "adopt": False}
    statement = insert(Source).values(**values, configured=False, created_at=now(), hook_secret=broken)
    await database.write(lambda connection: connection.execute(statement))
    await database.close()
    async with opened(database_url, tmp_path, NEW, OLD) as (_, client):
        done = (await client.post("/secrets/rekey")).json()
        assert (done["done"], done["left"]) == (4, 1)


async def test_ten_interruptions_lose_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rekey, "_ROWS", 2)
    async with opened(database_url, tmp_path, OLD) as (_, client):
        ids = await failed_runs(client, 12)
        total = (await counts(client))[OLD_NAME]
    for time in range(10):  # each server is closed in the middle of it
        async with opened(database_url, tmp_path, NEW, OLD) as (server, _):
            task = asyncio.create_task(_keep_on(server, time))
            await asyncio.wait({task})
    async with opened(database_url, tmp_path, NEW, OLD) as (_, client):
        before = await counts(client)
        assert (before[NEW_NAME] > 0, sum(before.values())) == (True, total)
        await client.post("/secrets/rekey")
        assert await counts(client) == {NEW_NAME: total, OLD_NAME: 0}
    async with opened(database_url, tmp_path, NEW) as (_, client):
        for run_id in ids:
            await retry(client, run_id)


async def _keep_on(server: Server, time: int) -> None:
    """Replace two values, then fail within a transaction that has replaced two more."""
    database, encrypter = server.services.runs.database, server.encrypter
    work, old = rekey.Rekeying(database, encrypter), [bytes.fromhex(OLD_NAME)]
    place = encrypted.places[time % 2]
    last = await database.read(encrypted.find_last, place, old, (), 2)
    if not last:
        return
    await database.write(work._replace, place, old, (), last)

    def fail(connection: Any) -> None:
        after = encrypted.find_last(connection, place, old, (), 2)
        if after:
            work._replace(connection, place, old, (), after)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await database.write(fail)
