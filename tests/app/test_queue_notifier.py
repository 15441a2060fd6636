"""Servers are notified of queue slots that other processes free; the fallback poll comes after 30 s."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.app.dagbook import Dagbook
from tests.app.program import CommandLine, end
from tests.conftest import PostgresCopies
from tests.waiting import until_written

pytestmark = pytest.mark.both_engines

GATED = (
    "queue: shared\nsteps: [{{name: a, command: 'echo on > {0}/on; while [ ! -e {0}/gate ]; do sleep 0.01; done'}}]\n"
)


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    """Address of a database that several processes can work on."""
    copies = PostgresCopies(postgres_url)
    await copies.prepare()
    async for address in copies.copy():
        yield address
    await copies.remove()


async def test_a_server_fills_the_slot_of_a_finished_run_in_a_terminal(url: str, tmp_path: Path) -> None:
    (tmp_path / "held.yaml").write_text(GATED.format(tmp_path))
    line = CommandLine(tmp_path, url, queues="shared=1")
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        terminal = await line.begin("run", tmp_path / "held.yaml")
        await until_written(tmp_path / "on")
        body = {"name": "flow", "spec": "queue: shared\nsteps: [{name: a, command: 'true'}]\n"}
        run_id = (await client.post("/dag-runs/enqueue", json=body)).json()["dagRunId"]
        flow = Dagbook(client, "flow")
        assert (await flow.get(run_id))["waitingFor"]["heldBy"][0]["name"] == "held"
        (tmp_path / "gate").touch()
        assert (await end(terminal)).status == 0
        assert (await flow.finished(run_id)).status == "succeeded"
