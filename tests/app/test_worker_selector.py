"""DAGs that ask for a worker, at a server that has none, on either database (runtime 25)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.conftest import Copies
from tests.waiting import wait_until

ASKS = "workerSelector: {gpu: 'yes'}\nsteps: [{name: a, command: echo here}]\n"
CALLS = f"steps: [{{name: go, call: kid}}]\n---\nname: kid\n{ASKS}"


@pytest.fixture
async def ignoring(copies: Copies, tmp_path_factory: pytest.TempPathFactory, name: str) -> AsyncIterator[Dagbook]:
    """A server that runs such DAGs itself."""
    async for url in copies.copy():
        home = tmp_path_factory.mktemp("home")
        async with serving(url, home, ignore_worker_selector="true") as server, client_of(server) as client:
            yield Dagbook(client, name)


async def _message(dagbook: Dagbook, run_id: str) -> str:
    async def look() -> dict[str, Any] | None:
        details = await dagbook.get(run_id)
        return details if details["statusLabel"] == "queued" and "waitingFor" in details else None

    waiting = (await wait_until(look))["waitingFor"]
    assert (waiting["reason"], waiting["selector"]) == ("noWorker", {"gpu": "yes"})
    return str(waiting["message"])


async def test_a_run_waits_for_a_worker_and_on_sqlite_is_told_how_to_get_one(server: Server, dagbook: Dagbook) -> None:
    message = await _message(dagbook, await dagbook.start(ASKS))
    missing, _, hint = message.partition(": ")
    assert missing == "no worker has the labels gpu=yes"
    told = "PostgreSQL" in hint and "dagbook worker" in hint and "ignore_worker_selector" in hint
    assert told is (server.services.runs.database.dialect == "sqlite")


async def test_a_called_run_waits_for_a_worker_until_its_caller_is_stopped(dagbook: Dagbook) -> None:
    run_id = await dagbook.start(CALLS)
    path = f"/dag-runs/{dagbook.name}/{run_id}/sub-dag-runs"

    async def look() -> dict[str, Any] | None:
        listed = (await dagbook.client.get(path)).json().get("subRuns", [])
        answer = await dagbook.client.get(f"{path}/{listed[0]['dagRunId']}") if listed else None
        return answer.json()["dagRunDetails"] if answer is not None and answer.is_success else None

    called = await wait_until(look)
    assert (called["statusLabel"], called["waitingFor"]["reason"]) == ("queued", "noWorker")
    assert (await dagbook.stop(run_id)).status == "aborted"
    assert (await wait_until(look))["statusLabel"] == "aborted"


@pytest.mark.parametrize("spec", [ASKS, CALLS])
async def test_where_selectors_are_ignored_a_run_is_driven_here_and_so_is_its_retry(
    ignoring: Dagbook, spec: str
) -> None:
    ended = await ignoring.run(spec, dagRunId="r1")
    assert ended.status == "succeeded"
    await ignoring.client.post(f"{ended.path}/retry", json={"dagRunId": "r1"})
    assert (await ignoring.finished("r1")).status == "succeeded"
