"""The search by names, ids and values, and that in what recent runs wrote (docs/reference/api-extensions.md)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dagbook.clock import now
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.runs.run_filter import RunCursor
from dagbook.logs import recent
from dagbook.logs.recent import RecentCursor, RecentHits, RecentQuery, RecentSearch, Within
from dagbook.logs.search import LogSearch, SearchPosition
from tests.app.dagbook import Dagbook
from tests.db.rows import NOW, add_attempt, add_chunk, add_definition, add_node, add_run

pytestmark = pytest.mark.both_engines

SPEC = """\
params: [{REGION: none}]
steps:
  - {name: good, command: "printf 'one\\ntwo %s\\n' $REGION"}
  - {name: bad, command: "echo Disk is full of $REGION >&2; exit 3", depends: good}
"""


async def search(dagbook: Dagbook, text: str) -> dict[str, Any]:
    answer = await dagbook.client.get("/search", params={"q": text})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def search_texts(dagbook: Dagbook, text: str, **query: Any) -> dict[str, Any]:
    """Search to the end."""
    errors: list[Any] = []
    lines: list[Any] = []
    roots = 0
    for _ in range(50):
        answer = await dagbook.client.get("/search/texts", params={"q": text, **query})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        errors, lines, roots = errors + page["errors"], lines + page["lines"], roots + page["runsSearched"]
        if "nextCursor" not in page:
            return {**page, "errors": errors, "lines": lines, "runsSearched": roots}
        query = {"cursor": page["nextCursor"]}
    raise AssertionError(page)


async def test_dags_runs_and_params_are_found_while_they_are_typed(dagbook: Dagbook) -> None:
    name = dagbook.name
    spec = f"name: {name}\nschedule: 0 3 1 1 *\nparams: [{{ENV: dev}}]\nsteps: [{{name: a, command: 'true'}}]\n"
    assert (await dagbook.client.post("/dags", json={"name": name, "spec": spec})).status_code == 201
    assert (await dagbook.client.post(f"/dags/{name}/suspend", json={"suspend": True})).status_code == 200
    run = await dagbook.run(spec, dagRunId=f"{name}-r1", params=f"ENV={name}-prod")
    assert run.status == "succeeded"
    found = await search(dagbook, name.upper())
    assert found["dags"] == [{"fileName": name, "name": name, "mayStart": True, "suspended": True, "scheduled": True}]
    assert (found["runs"], found["params"], found["users"]) == ([], [], [])
    found = await search(dagbook, f"{name}-")
    shown = {"name": name, "dagRunId": f"{name}-r1", "status": 4, "statusLabel": "succeeded"}
    times = {"startedAt": run.details["startedAt"]}
    assert [{**one, "queuedAt": ""} for one in found["runs"]] == [{**shown, **times, "queuedAt": ""}]
    assert found["params"] == [{**shown, **times, "param": f"ENV={name}-prod"}]
    query = {"q": f"{name}-", "runs": "false"}
    assert (await dagbook.client.get("/search", params=query)).json() == {**found, "runs": [], "params": []}
    assert [param["dagRunId"] for param in (await search(dagbook, f"env={name}"))["params"]] == [f"{name}-r1"]


async def test_errors_and_lines_of_runs_and_sub_runs_are_found(dagbook: Dagbook) -> None:
    word, started = f"w{dagbook.name}", int(now().timestamp()) - 1
    await dagbook.run(SPEC, dagRunId="first", params=f"REGION={word}")
    below = f"{dagbook.name}-c"
    spec = (
        f"steps: [{{name: call, call: {below}}}]\n---\nname: {below}\n"
        f"steps: [{{name: deep, command: 'echo {word} below; echo broken {word} >&2; exit 1'}}]\n"
    )
    await dagbook.run(spec, dagRunId="second")
    (sub,) = (await dagbook.client.get(f"/dag-runs/{dagbook.name}/second/sub-dag-runs")).json()["subRuns"]
    found = await search_texts(dagbook, word.upper(), after=started)
    lines = [(line["dagRunId"], line.get("subDAGRunId"), line["stepName"], line["stream"], line["line"], line["text"])
             for line in found["lines"]]  # fmt: skip
    assert lines == [
        ("second", sub["dagRunId"], "deep", "stdout", 1, f"{word} below"),
        ("second", sub["dagRunId"], "deep", "stderr", 1, f"broken {word}"),
        ("first", None, "good", "stdout", 2, f"two {word}"),
        ("first", None, "bad", "stderr", 1, f"Disk is full of {word}"),
    ]
    errors = [(error["dagRunId"], error.get("subDAGRunId"), error.get("stepName")) for error in found["errors"]]
    assert ("second", sub["dagRunId"], "deep") in errors
    assert ("first", None, "bad") in errors
    assert all(word in error["error"] and error["name"] == dagbook.name for error in found["errors"])
    assert found["runsSearched"] >= 2
    later = int((now() + timedelta(hours=1)).timestamp())
    nothing = await search_texts(dagbook, word, after=later)
    assert (nothing["errors"], nothing["lines"], nothing["runsSearched"]) == ([], [], 0)


async def test_secrets_are_searched_as_they_are_stored(dagbook: Dagbook, tmp_path: Path) -> None:
    secret = f"secret-of-{dagbook.name}"
    (tmp_path / "word").write_text(secret)
    spec = f"secrets: [{{name: WORD, provider: file, key: {tmp_path}/word}}]\n"
    spec += f"steps: [{{name: a, command: 'echo $WORD of {dagbook.name}; echo $WORD >&2; exit 1'}}]\n"
    await dagbook.run(spec)
    found = await search_texts(dagbook, secret)
    assert (found["errors"], found["lines"]) == ([], [])
    (line,) = (await search_texts(dagbook, f"of {dagbook.name}"))["lines"]
    assert line["text"] == f"******* of {dagbook.name}"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("/search", "q"),
        ("/search?q=", "q"),
        (f"/search?q={'x' * 201}", "q"),
        ("/search?q=a%00b", "q"),
        ("/search?q=a%0Ab", "q"),
        ("/search?q=a&q=b", "q"),
        ("/search/texts?q=a", "q"),
        (f"/search/texts?q={'x' * 201}", "q"),
        ("/search/texts?q=a%00b", "q"),
        ("/search/texts?q=ab&after=x", "after"),
        ("/search/texts?q=ab&after=-1", "after"),
        (f"/search/texts?q=ab&after={'9' * 40}", "after"),
        ("/search/texts?q=ab&cursor=x", "cursor"),
        (f"/search/texts?q=ab&cursor={'9' * 40}", "cursor"),
        ("/search?q=a&remoteNode=nowhere", "remoteNode"),
    ],
)
async def test_what_cannot_be_searched_is_refused_with_its_field(dagbook: Dagbook, query: str, field: str) -> None:
    answer = await dagbook.client.get(query)
    assert answer.status_code == 400, answer.text
    assert field in answer.json()["message"]


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE runs; --", "%", "_", "\\", "(a", "é" * 200, "\U0001f600" * 200, "9" * 40]
)
async def test_any_text_may_be_searched(dagbook: Dagbook, text: str) -> None:
    await search(dagbook, text)
    assert (await dagbook.client.get("/search/texts", params={"q": text * 2 if len(text) < 2 else text})).is_success


# -- how much is read at a time ----------------------------------------------------------------------------------------


def _add_runs(connection: WriteConnection, count: int, lines: int) -> None:
    """Add runs with a step each that has written lines with a needle every third time."""
    add_definition(connection)
    for number in range(count):
        key = add_run(connection, run_id=f"r{number}", created_at=NOW + timedelta(seconds=number))
        add_attempt(connection, key)
        add_node(connection, key, error="needle in the error" if number % 2 else "")
        place = 0
        for seq in range(lines):
            text = f"needle {seq}\n" if seq % 3 == 0 else f"hay {seq}\n"
            size = {"byte_offset": place, "byte_count": len(text), "text": text}
            add_chunk(connection, key, seq, **size)
            place += len(text)


async def _pages(database: Database) -> list[RecentHits]:
    find = RecentSearch(database, LogSearch(database)).find
    query = RecentQuery(text="NEEDLE", since=NOW - timedelta(days=1), visibility=())
    pages = [await find(query)]
    while (following := pages[-1].next) is not None:
        pages.append(await find(replace(query, start=following)))
        assert len(pages) < 1000
    return pages


def _lines(pages: list[RecentHits]) -> list[tuple[str, int, str]]:
    return [(root.run_id, hit.line, hit.text) for page in pages for root, hit in page.lines]


@pytest.fixture
async def filled(database: Database) -> Database:
    await database.write(_add_runs, 12, 20)
    return database


async def test_pages_meet_without_gap_or_overlap(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = await _pages(filled)
    assert len(whole) == 1
    expected = [(f"r{run}", line, f"needle {line - 1}") for run in reversed(range(12)) for line in range(1, 15, 3)]
    assert _lines(whole) == expected
    assert [root.run_id for root, _ in whole[0].errors] == [f"r{run}" for run in (11, 9, 7, 5, 3, 1)]
    assert (whole[0].roots, whole[0].searched_from) == (12, NOW - timedelta(days=1))
    monkeypatch.setattr(recent, "_ROOTS", 3)
    monkeypatch.setattr(recent, "_ENOUGH", 1)
    pages = await _pages(filled)
    assert len(pages) in {4, 5}
    assert _lines(pages) == expected
    assert sum(page.roots for page in pages) == 12
    assert [page.searched_from for page in pages] == sorted((page.searched_from for page in pages), reverse=True)


@pytest.mark.parametrize("name", ["_MAX_NODES", "_MAX_BYTES"])
async def test_runs_too_large_to_be_read_at_once_are_found_in_the_same_way(
    filled: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = _lines(await _pages(filled))
    for most in (0, 1, 2, 250):
        monkeypatch.setattr(recent, name, most)
        assert _lines(await _pages(filled)) == expected


async def test_a_search_out_of_time_continues_within_a_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.write(_add_runs, 2, 9)
    expected = _lines(await _pages(database))
    monkeypatch.setattr(recent, "_SECONDS", 0.0)
    monkeypatch.setattr(recent, "_MAX_BYTES", 0)
    monkeypatch.setattr(logs, "BLOCK_BYTES", 20)
    pages = await _pages(database)
    assert len(pages) > 4
    assert any(page.next is not None and page.next.within is not None for page in pages)
    assert _lines(pages) == expected
    assert sum(len(page.errors) for page in pages) == 1


async def test_a_position_in_a_run_that_is_gone_is_none_in_the_next_one(filled: Database) -> None:
    query = RecentQuery(text="needle", since=NOW - timedelta(days=1), visibility=())
    search_recent = RecentSearch(filled, LogSearch(filled)).find
    start = RecentCursor(RunCursor(NOW + timedelta(days=1)), Within(2**40, SearchPosition(0, 1, 18)))
    assert (await search_recent(replace(query, start=start))).lines == (await search_recent(query)).lines
