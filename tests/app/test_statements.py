"""How many statements a request costs the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from tests.app.dagbook import Dagbook


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Gather every statement of every engine, transactions' own left out."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/dag-runs", 1),
        ("/dag-runs/{name}?status=4", 1),
        ("/dag-runs/{name}/r1", 3),
        ("/dag-runs/{name}/latest", 3),
        ("/dag-runs/{name}/r1/steps/a/log", 5),
        ("/dag-runs/{name}/r1/log", 2),
        ("/dags/{name}/dag-runs", 3),
        ("/dags/{name}/dag-runs/r1", 4),
        ("/dags/{name}/dag-runs/latest", 4),
        ("/dags?name={name}", 3),
        ("/dags?name={name}&sort=nextRun", 4),
        ("/dags/search?q={name}", 1),
        ("/dags/search?q={name}.", 1),
        ("/dags/tags", 1),
        ("/dags/{name}/revisions", 2),
        ("/dags/{name}/revisions/1", 2),
        ("/dags/{name}/revisions/diff?from=1&to=1", 2),
        ("/metrics", 3),
        ("/queues", 2),
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
    # What the supervisor and the dispatcher ask at the same time is not the request's.
    others = ("services", "run_requests", "queue_entries.reason")
    ours = [statement for statement in statements if not any(word in statement for word in others)]
    assert answer.status_code == 200
    assert 1 <= len(ours) <= most, ours
