"""Runs with secrets of Vault: settings, the record of use, retries, what is denied, and that the token is nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.dagbook import Dagbook, FinishedRun, client_of, serving
from tests.app.test_secret_uses import Recorded
from tests.app.test_secrets import everything, stored_text
from tests.runs.vault_server import ROOT, V2, VaultServer

pytestmark = pytest.mark.both_engines
SECRETS = [
    {"name": "SEC", "provider": "vault", "key": f"{V2}/password"},
    {"name": "PINNED", "provider": "vault", "key": V2, "options": {"field": "password", "version": "1"}},
    {"name": "OWN", "provider": "env", "key": "SOURCE"},
]
SPEC = f"""
secrets: {json.dumps(SECRETS)}
env: [SOURCE: own]
maxActiveRuns: 1000
steps:
  - {{name: a, command: 'echo "$SEC $PINNED $OWN"; exit 1'}}
"""


@pytest.fixture
async def vault() -> AsyncIterator[VaultServer]:
    server = VaultServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def flow(database_url: str, tmp_path: Path, vault: VaultServer) -> AsyncIterator[Recorded]:
    async with (
        serving(database_url, tmp_path / "home", vault_address=vault.url, vault_token=ROOT) as server,
        client_of(server) as client,
    ):
        flow = Recorded(client, "flow")
        flow.database = server.services.runs.database
        yield flow


async def log_of(run: FinishedRun) -> str:
    return str((await run.client.get(f"{run.path}/log")).json()["content"])


async def test_an_attempt_has_the_newest_version_or_the_pinned_one_and_both_are_recorded(
    flow: Recorded, vault: VaultServer
) -> None:
    ended = await flow.run(SPEC)
    first = [
        (1, "OWN", "env", "SOURCE", None),
        (1, "PINNED", "vault", V2, 1),
        (1, "SEC", "vault", f"{V2}/password", 2),
    ]
    assert (ended.status, await flow.uses(), vault.seen[V2]) == ("failed", first, 2)
    vault.versions.append({"password": "v2-third"})
    run_id = ended.details["dagRunId"]
    answer = await flow.client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id})
    assert answer.status_code == 200, answer.text
    await flow.finished(run_id)
    assert await flow.uses() == [
        *first,
        (2, "OWN", "env", "SOURCE", None),
        (2, "PINNED", "vault", V2, 1),
        (2, "SEC", "vault", f"{V2}/password", 3),
    ]
    assert vault.seen[V2] == 4


async def test_neither_token_nor_value_is_shown_or_stored(flow: Recorded, vault: VaultServer) -> None:
    ended = await flow.run(SPEC)
    shown = await everything(ended)
    assert "******* *******" in shown
    vault.tokens.clear()
    refused = await flow.run(SPEC)
    assert "secret SEC: Vault answers 403: permission denied for *******" in await log_of(refused)
    for text in ("topsecret", "v2-second", "v2-first"):
        assert text not in shown
        assert text not in await everything(refused)
        assert text not in await flow.database.read(stored_text)


async def test_egress_deny_covers_vault(database_url: str, tmp_path: Path, vault: VaultServer) -> None:
    settings = {"vault_address": vault.url, "vault_token": ROOT, "egress_deny": "127.0.0.0/8"}
    async with serving(database_url, tmp_path / "home", **settings) as server, client_of(server) as client:
        ended = await Dagbook(client, "flow").run(SPEC)
        assert "(setting egress_deny" in await log_of(ended)
    assert (ended.status, vault.asked) == ("failed", [])


async def test_without_an_address_there_is_no_such_provider(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        ended = await Dagbook(client, "flow").run(SPEC)
        assert "there is no provider 'vault'; write one of env, file" in await log_of(ended)


@pytest.mark.full
async def test_five_hundred_runs_at_once_all_resolve_on_eight_connections(flow: Recorded, vault: VaultServer) -> None:
    vault.pause = 0.01
    spec = SPEC.replace("exit 1", "true")
    ids = await asyncio.gather(*(flow.start(spec) for _ in range(500)))
    ended = [await flow.finished(run_id) for run_id in ids]
    assert [run.status for run in ended] == ["succeeded"] * 500
    assert (vault.most <= 8, vault.seen[V2]) == (True, 1000)
