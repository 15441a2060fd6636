"""Which attempt had which secret: the table ``secret_uses``, of every provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from dagbook.db.database import Database, ReadConnection
from dagbook.db.models import SecretUse
from tests.app.dagbook import Dagbook, client_of, serving

pytestmark = pytest.mark.both_engines
SECRETS = [
    {"name": "OWN", "provider": "env", "key": "SOURCE"},
    {"name": "ASKED", "provider": "give", "key": "prod/crm"},
    {"name": "NONE", "provider": "env", "key": "SURELY_NOT_SET"},
]
SPEC = "secrets: {secrets}\nenv: [SOURCE: own]\nsteps: [{{name: a, command: exit 1}}]\n"
Use = tuple[object, ...]


class Recorded(Dagbook):
    """A client of a server, and the rows of its database."""

    database: Database

    async def uses(self) -> list[Use]:
        return await self.database.read(find_uses)

    async def queued(self, spec: str) -> str:
        answer = await self.client.post("/dag-runs/enqueue", json={"spec": spec, "name": "flow", "queue": "waits"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["dagRunId"])


def find_uses(connection: ReadConnection) -> list[Use]:
    use = SecretUse
    rows = select(use.attempt, use.name, use.provider, use.key, use.version).order_by(use.run_id, use.attempt, use.name)
    return [tuple(row) for row in connection.execute(rows)]


def spec_of(*names: str) -> str:
    return SPEC.format(secrets=json.dumps([secret for secret in SECRETS if secret["name"] in names]))


@pytest.fixture
async def flow(database_url: str, tmp_path: Path) -> AsyncIterator[Recorded]:
    commands = json.dumps({"give": ["printf", "value of %s", "{key}"]})
    async with (
        serving(database_url, tmp_path / "home", secret_commands=commands) as server,
        client_of(server) as client,
    ):
        flow = Recorded(client, "flow")
        flow.database = server.services.runs.database
        yield flow


async def test_each_attempt_has_a_row_of_each_secret_that_it_got(flow: Recorded) -> None:
    ended = await flow.run(spec_of("OWN", "ASKED"))
    assert await flow.uses() == [(1, "ASKED", "give", "prod/crm", None), (1, "OWN", "env", "SOURCE", None)]
    run_id = ended.details["dagRunId"]
    answer = await flow.client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id})
    assert answer.status_code == 200, answer.text
    await flow.finished(run_id)
    assert [use[:2] for use in await flow.uses()] == [(1, "ASKED"), (1, "OWN"), (2, "ASKED"), (2, "OWN")]


async def test_a_secret_without_a_value_has_no_row(flow: Recorded) -> None:
    assert (await flow.run(spec_of("OWN", "NONE"))).status == "failed"
    assert [use[1] for use in await flow.uses()] == ["OWN"]


async def test_a_run_that_waits_in_a_queue_has_used_nothing(flow: Recorded) -> None:
    assert (await flow.client.post("/queues/waits/pause")).is_success
    ids = [await flow.queued(spec_of("OWN")), await flow.queued(spec_of("OWN", "ASKED"))]
    assert await flow.uses() == []
    assert (await flow.client.post("/queues/waits/resume")).is_success
    for run_id in ids:
        await flow.finished(run_id)
    assert [use[1] for use in await flow.uses()] == ["OWN", "ASKED", "OWN"]


async def test_the_rows_go_with_their_run(flow: Recorded) -> None:
    await flow.run(spec_of("OWN"))
    answer = await flow.client.post("/retention/cleanup", json={"dagName": "flow", "olderThanSeconds": 0})
    assert answer.status_code == 200, answer.text
    assert await flow.uses() == []


async def test_names_and_keys_are_recorded_as_far_as_an_index_takes_them(flow: Recorded) -> None:
    name, key = "N" * 5000, "K" * 5000
    spec = f"secrets: [{{name: {name}, provider: env, key: {key}}}]\nenv: [? {key} : x]\nsteps: [{{command: 'true'}}]\n"
    await flow.run(spec)
    assert await flow.uses() == [(1, name[:300], "env", key[:300], None)]


async def test_a_run_without_secrets_has_none(flow: Recorded) -> None:
    await flow.run("steps: [{command: 'true'}]\n")
    assert await flow.uses() == []
