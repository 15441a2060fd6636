"""How many statements a request costs the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
import pytest

from tests.app.dagbook import Dagbook
from tests.statements import noting_statements

pytestmark = pytest.mark.both_engines

# What a request reads is read in its own context; the supervisor and the dispatcher, which work beside it, have others.
_NOT_OWN = ("BEGIN", "PRAGMA")
_recording: ContextVar[list[str] | None] = ContextVar("recording", default=None)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Gather every statement that this task and those it starts read with, transactions' own left out."""
    statements: list[str] = []

    def note(statement: str, *_: Any) -> None:
        if _recording.get() is statements and not statement.startswith(_NOT_OWN):
            statements.append(statement)

    token = _recording.set(statements)
    try:
        with noting_statements(note):
            yield statements
    finally:
        _recording.reset(token)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/dag-runs", 1),
        ("/dag-runs/{name}?status=4", 1),
        ("/dag-runs?name={name}", 3),
        ("/dag-runs?limit=2", 1),
        ("/dag-runs/{name}?tag=a&param=B=1&error=x&minDuration=1", 3),
        ("/dags/{name}/statistics", 2),
        ("/dags/{name}/days?zone=Europe/Berlin", 2),
        ("/dags/{name}/schedule/next", 1),
        ("/dag-runs/{name}/r1", 2),
        ("/dag-runs/{name}/latest", 2),
        ("/dag-runs/{name}/r1/steps/a/log", 5),
        ("/dag-runs/{name}/r1/log", 2),
        ("/dag-runs/{name}/r1/events", 3),
        ("/dag-runs/{name}/r1/log/search?q=true", 3),
        ("/dag-runs/{name}/r1/log/pieces", 3),
        ("/dags/{name}/dag-runs", 3),
        ("/dags/{name}/dag-runs/r1", 4),
        ("/dags/{name}/dag-runs/latest", 4),
        ("/dags?name={name}", 4),  # one of them for the sources of the DAGs
        ("/dags?name={name}&recent=10", 5),
        ("/dags?name={name}&sort=nextRun", 5),
        ("/dags/search?q={name}", 1),
        ("/dags/search?q={name}.", 1),
        ("/dags/tags", 1),
        ("/dags/{name}/revisions", 2),
        ("/dags/{name}/revisions/1", 2),
        ("/dags/{name}/revisions/diff?from=1&to=1", 2),
        ("/metrics", 5),
        ("/queues", 4),
    ],
)
async def test_a_request_costs_few_statements_however_many_runs_there_are(
    dagbook: Dagbook, client: httpx.AsyncClient, path: str, most: int
) -> None:
    for suffix in ("", "-2", "-3"):
        spec = f"# {dagbook.name}\nname: {dagbook.name}\nsteps: []\n"
        assert (await client.post("/dags", json={"name": dagbook.name + suffix, "spec": spec})).status_code == 201
    for number in (1, 2, 3):
        await dagbook.run("steps: [{name: a, command: 'true'}, {name: b, command: 'true'}]\n", dagRunId=f"r{number}")
    with recorded() as statements:
        answer = await client.get(path.format(name=dagbook.name))
    assert answer.status_code == 200
    assert 1 <= len(statements) <= most, statements


async def test_a_start_reads_its_dag_once(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    await client.post("/dags", json={"name": dagbook.name, "spec": "steps: [{name: a, command: 'true'}]\n"})
    with recorded() as statements:
        answer = await client.post(f"/dags/{dagbook.name}/start", json={})
    assert answer.status_code == 200
    assert len([statement for statement in statements if "FROM dags" in statement]) == 1, statements
