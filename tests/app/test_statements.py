"""How many statements a request costs the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.runs.store.recorder import Recorder
from tests.app.dagbook import Dagbook, client_of, serving
from tests.statements import noting_statements
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines

# What a request reads is read in its own context; the supervisor and the dispatcher, which work beside it, have others.
_NOT_OWN = ("BEGIN", "PRAGMA")
_recording: ContextVar[list[tuple[str, Any]] | None] = ContextVar("recording", default=None)


@contextmanager
def recording() -> Iterator[list[tuple[str, Any]]]:
    """Gather every statement, with its values, that this task and those it starts read with."""
    statements: list[tuple[str, Any]] = []

    def note(statement: str, values: Any, _many: bool) -> None:
        if _recording.get() is statements and not statement.startswith(_NOT_OWN):
            statements.append((statement, values))

    token = _recording.set(statements)
    try:
        with noting_statements(note):
            yield statements
    finally:
        _recording.reset(token)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Gather the texts of these statements, which are there when the block is left."""
    texts: list[str] = []
    with recording() as statements:
        yield texts
    texts += [text for text, _ in statements]


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/dag-runs", 1),
        ("/dag-runs/{name}?status=4", 1),
        ("/dag-runs?name={name}", 2),
        ("/dag-runs?limit=2", 1),
        ("/dag-runs/{name}?tag=a&param=B=1&error=x&minDuration=1", 3),
        ("/dags/{name}/statistics", 2),
        ("/dags/{name}/days?zone=Europe/Berlin", 2),
        ("/dags/{name}/schedule/next", 1),
        ("/dag-runs/{name}/r1", 3),  # one of them for the run that replaces it
        ("/dag-runs/{name}/latest", 3),  # one of them for the run that replaces it
        ("/dag-runs/{name}/r1/steps/a/log", 3),
        ("/dag-runs/{name}/r1/steps/a", 5),
        ("/dag-runs/{name}/r1/summary", 2),
        ("/dag-runs/{name}/r3/last-good", 4),
        ("/dag-runs/{name}/r1/log", 2),
        ("/dag-runs/{name}/r1/events", 3),
        ("/dag-runs/{name}/r1/log/search?q=true", 2),
        ("/dag-runs/{name}/r1/log/pieces", 2),
        ("/dag-runs/{name}/r1/log/pieces?subRuns=true", 2),
        ("/dag-runs/{name}/r1/steps/a/log/lines", 4),
        ("/dags/{name}/dag-runs", 3),
        ("/dags/{name}/dag-runs/r1", 4),  # one of them for the run that replaces it
        ("/dags/{name}/dag-runs/latest", 3),
        ("/dags?name={name}", 3),  # one of them for the sources of the DAGs
        ("/dags?name={name}&recent=10", 4),
        ("/dags?name={name}&sort=nextRun", 5),
        ("/dags/search?q={name}", 1),
        ("/dags/search?q={name}.", 1),
        ("/dags/tags", 1),
        ("/search?q={name}", 9),
        ("/dags/{name}/revisions", 2),
        ("/dags/{name}/revisions/1", 2),
        ("/dags/{name}/revisions/diff?from=1&to=1", 2),
        ("/metrics", 8),  # two of them for the oldest message of alerts, on PostgreSQL
        ("/queues", 4),  # one of them for the pause of everything
        ("/approvals", 1),
        ("/approvals/count", 1),
        ("/approvals/decided", 1),
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


# The commits of a run of two steps that print nothing: each kind of row has one statement.
_OF_TWO_STEPS = [
    {
        "SELECT lock",  # on PostgreSQL alone
        "SELECT pauses",  # whether everything is paused: after the lock, so that no run starts after it was answered
        "SELECT runs",  # the active ones, for the limit of the DAG
        "INSERT definitions",
        "INSERT runs",
        "INSERT run_inputs",
        "INSERT run_attempts",
        "INSERT nodes",
        "UPDATE nodes",
        "INSERT run_events",
        "UPDATE runs",
        "INSERT audit",
        "INSERT changes",
    },
    {"SELECT run_attempts", "UPDATE nodes", "INSERT run_events", "INSERT changes"},
    {
        "SELECT run_attempts",  # its fence
        "UPDATE nodes",
        "INSERT run_events",
        "UPDATE runs",
        "UPDATE run_attempts",
        "INSERT changes",
    },
]
_READS = 2  # beside them: the DAG, and at the end the queue, in which another run may wait


def _kind(statement: str) -> str:
    if "pg_advisory_xact_lock" in statement:
        return "SELECT lock"
    statement = re.sub(r"EXISTS \(SELECT.*?\)", "", statement, flags=re.DOTALL)  # of the rules of alerts
    verb = statement.split(maxsplit=1)[0]
    found = re.search(r"UPDATE (\w+)" if verb == "UPDATE" else r"\b(?:FROM|INTO) (\w+)", statement)
    return f"{verb} {found[1] if found else statement}"


async def test_a_run_of_two_steps_costs_one_statement_for_each_kind_of_row_and_commit(
    database_url: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[list[str]] = []
    is_group, apply = ContextVar("is_group", default=False), Recorder._apply

    def apply_noted(*arguments: Any) -> dict[int, Exception]:
        commits.append([])
        token = is_group.set(True)
        try:
            return apply(*arguments)
        finally:
            is_group.reset(token)

    def note(statement: str, *_: Any) -> None:
        if is_group.get():
            commits[-1].append(_kind(statement))

    monkeypatch.setattr(Recorder, "_apply", apply_noted)
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        dagbook = Dagbook(client, name)
        spec = "steps: [{name: a, command: 'true'}, {name: b, command: 'true'}]\n"
        assert (await client.post("/dags", json={"name": name, "spec": spec})).status_code == 201
        with noting_statements(note):
            for _ in range(5):
                commits.clear()
                started = await client.post(f"/dags/{name}/start", json={})
                await dagbook.finished(started.json()["dagRunId"])
                if len(commits) == len(_OF_TWO_STEPS):  # else a slow step was stored in between
                    break
    expected = [kinds - ({"SELECT lock"} if database_url.startswith("sqlite") else set()) for kinds in _OF_TWO_STEPS]
    assert [sorted(kinds) for kinds in commits] == [sorted(kinds) for kinds in expected]
    assert sum(map(len, _OF_TWO_STEPS)) + _READS <= 25


async def test_the_definitions_of_what_waits_are_read_in_one_statement(client: httpx.AsyncClient, name: str) -> None:
    spec = "steps: [{name: one, call: a}, {name: two, call: b}]\n"
    below = "".join(f"---\nname: {kid}\nsteps: [{{name: gate, type: hitl}}]\n" for kid in "ab")
    answer = await client.post("/dag-runs", json={"spec": f"type: graph\n{spec}{below}", "name": name, "dagRunId": "r"})
    assert answer.status_code == 200, answer.text

    async def look() -> bool:
        found = (await client.get("/approvals")).json()["approvals"]
        return len([each for each in found if each.get("rootDAGRunName") == name]) == 2

    await wait_until(look)
    with recorded() as statements:
        await client.get("/approvals")
    assert len([text for text in statements if "FROM definitions" in text]) == 1, statements
    await client.post(f"/dag-runs/{name}/r/stop")
