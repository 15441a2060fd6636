"""Search in the logs of a run (extension of the contract)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import LogChunk
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.interleaved_logs import NodeOutput
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.logs import search as search_module
from dagbook.logs.search import LogSearch, LogStream, SearchQuery, blocks, log_streams
from tests.app.dagbook import Dagbook, FinishedRun
from tests.db.rows import NOW, add, add_whole_run

SPEC = """\
handlerOn: {exit: {command: echo the needle of the exit}}
steps:
  - name: a
    command: sh -c 'echo one; echo a Needle here; echo needle to stderr >&2; printf "last NEEDLE"'
  - {name: b, command: echo nothing}
  - {name: c, command: printf 'needle 1\\nneedle 2\\n'}
"""


async def search(run: FinishedRun, **query: Any) -> dict[str, Any]:
    answer = await run.client.get(f"{run.path}/log/search", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def places(found: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(hit["step"], hit["stream"], hit["line"]) for hit in found["hits"]]


async def test_words_are_found_in_all_steps_whatever_their_case(dagbook: Dagbook) -> None:
    run = await dagbook.run(SPEC)
    found = await search(run, q="needle")
    assert places(found) == [
        ("a", "stdout", 2),
        ("a", "stdout", 3),
        ("a", "stderr", 1),
        ("c", "stdout", 1),
        ("c", "stdout", 2),
        ("onExit", "stdout", 1),
    ]
    assert (found["total"], found["isEstimate"], "next" in found) == (6, False, False)
    hit = found["hits"][0]
    assert (hit["text"], hit["column"], hit["text"][hit["start"] : hit["end"]]) == ("a Needle here", 1, "Needle")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "needle", "step": "c"}, [("c", "stdout", 1), ("c", "stdout", 2)]),
        ({"q": "needle", "stream": "stderr"}, [("a", "stderr", 1)]),
        ({"q": "needle", "step": "a", "stream": "stdout"}, [("a", "stdout", 2), ("a", "stdout", 3)]),
        ({"q": "needle$", "regex": "true"}, [("a", "stdout", 3)]),
        ({"q": "^needle [[:digit:]]$", "regex": "true"}, [("c", "stdout", 1), ("c", "stdout", 2)]),
        ({"q": "needle$"}, []),
        ({"q": "n.edle"}, []),
        ({"q": "^$", "regex": "true"}, []),
    ],
)
async def test_a_search_is_narrowed_to_a_step_and_a_stream_and_may_be_an_expression(
    dagbook: Dagbook, query: dict[str, str], expected: list[tuple[str, str, int]]
) -> None:
    assert places(await search(await dagbook.run(SPEC), **query)) == expected


async def test_lines_of_both_streams_are_counted_as_one_when_it_is_asked_for(dagbook: Dagbook) -> None:
    run = await dagbook.run(SPEC)
    found = await search(run, q="needle", step="a", merged="true")
    lines = (await run.client.get(f"{run.path}/steps/a/log/lines")).json()
    merged = "".join(piece["text"] for piece in lines["pieces"]).split("\n")
    expected = [number for number, line in enumerate(merged, 1) if "needle" in line.lower()]
    assert [hit["line"] for hit in found["hits"]] == expected
    assert not any("stream" in hit for hit in found["hits"])


@pytest.mark.parametrize("query", ["merged=true", "merged=true&step=a&stream=stdout"])
async def test_lines_counted_as_one_are_those_of_both_streams_of_a_step(dagbook: Dagbook, query: str) -> None:
    run = await dagbook.run(SPEC)
    answer = await run.client.get(f"{run.path}/log/search?q=a&{query}")
    assert (answer.status_code, answer.json()["message"]) == (400, "merged: needs a step, and no stream")


async def test_sub_runs_are_searched_when_it_is_asked_for(dagbook: Dagbook) -> None:
    run = await dagbook.run(
        "steps:\n  - {name: own, command: echo needle}\n  - {name: each, call: child, parallel: [a, b]}\n"
        "---\nname: child\nsteps:\n  - {name: work, command: echo needle $1}\n"
    )
    assert places(await search(run, q="needle")) == [("own", "stdout", 1)]
    found = await search(run, q="needle", subRuns="true")
    assert [(hit["step"], "dagRunId" in hit) for hit in found["hits"]] == [
        ("own", False),
        ("work", True),
        ("work", True),
    ]
    called = {sub["dagRunId"] for sub in run.details["nodes"][1]["subRuns"]}
    assert {hit["dagRunId"] for hit in found["hits"][1:]} == called
    assert len((await search(run, q="needle", subRuns="true", step="work"))["hits"]) == 2


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 7])
async def test_pages_of_hits_meet_without_gap_or_overlap(dagbook: Dagbook, limit: int) -> None:
    run = await dagbook.run(SPEC)
    whole = await search(run, q="needle")
    page = await search(run, q="needle", limit=limit)
    found = page["hits"]
    assert page["total"] == 6
    while "next" in page:
        page = await search(run, q="needle", limit=limit, after=page["next"])
        found += page["hits"]
        assert page["hits"]
        assert "total" not in page
    assert found == whole["hits"]


async def test_sub_runs_and_kept_steps_are_searched_too(dagbook: Dagbook) -> None:
    spec = (
        "steps:\n  - {name: kept, command: echo needle}\n  - {name: call, call: child}\n"
        "  - {name: x, command: 'false'}\n"
        "---\nname: child\nsteps: [{name: inner, command: echo needle}]\n"
    )
    run = await dagbook.run(spec, dagRunId="r1")
    below = run.nodes["call"]["subRuns"][0]["dagRunId"]
    answer = await dagbook.client.get(f"{run.path}/sub-dag-runs/{below}/log/search?q=needle")
    assert places(answer.json()) == [("inner", "stdout", 1)]
    await dagbook.client.post(f"{run.path}/retry", json={"dagRunId": "r1"})
    again = await dagbook.finished("r1")
    assert ("kept", "stdout", 1) in places(await search(again, q="needle"))
    latest = await dagbook.client.get(f"/dag-runs/{dagbook.name}/latest/log/search?q=needle")
    assert ("kept", "stdout", 1) in places(latest.json())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=", "q"),
        ("q=a%0Ab", "q"),
        ("q=a%00b", "q"),
        (f"q={'a' * 1001}", "q"),
        ("q=(&regex=true", "q"),
        ("q=a%7B2,1%7D&regex=true", "q"),
        ("q=a&after=x", "after"),
        ("q=a&after=1.2", "after"),
        ("q=a&after=1.2.-3", "after"),
        ("q=a&limit=0", "limit"),
        ("q=a&limit=1001", "limit"),
        ("q=a&stream=both", "stream"),
        ("q=a&regex=perhaps", "regex"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(dagbook: Dagbook, query: str, field: str) -> None:
    run = await dagbook.run(SPEC)
    answer = await dagbook.client.get(f"{run.path}/log/search?{query}")
    assert (answer.status_code, answer.json()["message"].split(":")[0]) == (400, field)


async def test_a_mistake_is_told_of_a_run_without_logs_too(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: []\n")
    assert (await search(run, q="a"))["hits"] == []
    answer = await dagbook.client.get(f"{run.path}/log/search?q=(&regex=true")
    assert answer.json()["message"].startswith("q: is no regular expression")


async def test_an_expression_that_backtracking_would_never_finish_is_answered(dagbook: Dagbook) -> None:
    run = await dagbook.run(f"steps: [{{name: a, command: echo {'a' * 40}!}}]\n")
    assert (await search(run, q="(a+)+$", regex="true"))["hits"] == []


async def test_an_expression_that_is_too_large_is_refused(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: []\n")
    answer = await dagbook.client.get(f"{run.path}/log/search", params={"q": r"\pL{900}", "regex": "true"})
    assert (answer.status_code, answer.json()["message"]) == (400, "q: is too large")


@pytest.mark.parametrize("path", ["r2/log/search?q=a", "r%00/log/search?q=a", "r1/sub-dag-runs/x/log/search?q=a"])
async def test_a_run_that_is_not_there_is_said_to_be_missing(dagbook: Dagbook, path: str) -> None:
    await dagbook.run(SPEC, dagRunId="r1")
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}/{path}")).status_code == 404


async def test_a_step_that_is_not_there_or_has_not_run_is_said_to_be(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: [{name: a, command: 'false'}, {name: b, command: 'true', depends: [a]}]\n")
    for step, said in (("nothing", "has no step"), ("b", "has not run")):
        answer = await dagbook.client.get(f"{run.path}/log/search?q=a&step={step}")
        assert answer.status_code == 404
        assert said in answer.json()["message"]


async def test_lines_of_a_million_have_exact_numbers(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: [{name: a, command: seq 1000000}]\n")
    begun = monotonic()
    (hit,) = (await search(run, q="765432"))["hits"]
    assert (hit["line"], hit["text"]) == (765_432, "765432")
    many = await search(run, q="^[0-9]*00$", regex="true", limit=1000)
    assert (many["total"], many["isEstimate"], many["hits"][-1]["line"]) == (10_000, True, 100_000)
    (_, second) = (await search(run, q="99999", after="0.1.99998"))["hits"][:2]
    assert second["line"] == 199_999
    assert monotonic() - begun < 60  # some two seconds where nothing else runs


# -- chunks, as a step that writes in any way leaves them ----------------------------------------------------------


def store(connection: WriteConnection, parts: Sequence[str]) -> LogStream:
    run = add_whole_run(connection)
    line, offset = 1, 0
    for seq, text in enumerate(parts):
        row = {
            "run_id": run,
            "attempt": 1,
            "position": 0,
            "stream": 1,
            "seq": seq,
            "ordinal": seq,
            "execution": 1,
            "received_at": NOW,
            "first_line": line,
            "line_count": text.count("\n"),
            "byte_offset": offset,
            "byte_count": len(text.encode()),
            "text": text,
        }
        add(connection, LogChunk, **row)
        line, offset = line + text.count("\n"), offset + len(text.encode())
    return LogStream(0, "a", StreamKey(run, 1, 0, 1), len(parts) - 1)


def split(text: str, chance: random.Random) -> list[str]:
    cuts = sorted({0, len(text), *(chance.randrange(len(text) + 1) for _ in range(12))})
    return [text[begin:end] for begin, end in pairwise(cuts)]


@pytest.mark.parametrize("seed", range(3))
async def test_words_are_found_however_the_log_was_cut(
    database: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same for every run
    monkeypatch.setattr(logs, "BLOCK_BYTES", chance.choice([1, 5, 40, 1000]))
    text = "".join(chance.choice(["ab", "c", "\n", "Größe", "\r\n", "ab c"]) for _ in range(80))
    source = await database.write(lambda connection: store(connection, split(text, chance)))
    lines = text.split("\n")
    for words in ("ab", "ößea"):
        expected = [number for number, line in enumerate(lines, 1) if words in line.lower()]
        found = await LogSearch(database).find([source], SearchQuery(text=words, limit=1000))
        assert [hit.line for hit in found.hits] == expected
        assert [hit.text for hit in found.hits] == [lines[number - 1].removesuffix("\r") for number in expected]
        page = await LogSearch(database).find([source], SearchQuery(text=words, limit=5))
        shown = list(page.hits)
        while page.next:
            after = search_module.read_position(page.next)
            page = await LogSearch(database).find([source], SearchQuery(text=words, limit=5, after=after))
            shown += page.hits
        assert shown == found.hits


async def test_a_very_long_line_is_searched_in_pieces_that_overlap(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BLOCK_BYTES", 500)
    monkeypatch.setattr(search_module, "_MAX_LINE", 1000)
    monkeypatch.setattr(search_module, "_OVERLAP", 50)
    text = "x" * 3970 + "needle" + "y" * 2000 + "needle\nshort\n" + "z" * 990 + "needle" + "z" * 1000
    parts = [text[begin : begin + 100] for begin in range(0, len(text), 100)]
    source = await database.write(lambda connection: store(connection, parts))
    found = await LogSearch(database).find([source], SearchQuery(text="needle"))
    assert [(hit.line, hit.column + hit.start) for hit in found.hits] == [(1, 3971), (3, 991)]
    assert all(hit.text[hit.start : hit.end] == "needle" for hit in found.hits)
    assert max(len(hit.text) for hit in found.hits) <= 400
    read = [piece.text async for piece in blocks(database, source, 1)]
    assert max(map(len, read)) < 1700


async def test_a_search_that_runs_out_of_time_says_where_to_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BLOCK_BYTES", 1)
    monkeypatch.setattr(search_module, "_TIMEOUT_SECONDS", 0.0)
    source = await database.write(lambda connection: store(connection, [f"line {n}\n" for n in range(4)] + ["needle"]))
    after = None
    found = await LogSearch(database).find([source], SearchQuery(text="needle"))
    assert (found.hits, found.is_estimate) == ([], True)
    rounds = 0
    while found.next and not found.hits:
        after = search_module.read_position(found.next)
        found = await LogSearch(database).find([source], SearchQuery(text="needle", after=after))
        rounds += 1
    assert [hit.line for hit in found.hits] == [5]
    assert rounds <= 5


async def test_a_log_is_read_in_stretches_of_bounded_size(database: Database) -> None:
    chunk = "x" * 99 + "\n"
    parts = [chunk * 2000 for _ in range(20)]
    source = await database.write(lambda connection: store(connection, parts))
    sizes = [len(piece.text) async for piece in blocks(database, source, 1)]
    assert sum(sizes) == 20 * 200_000
    assert max(sizes) <= logs.BLOCK_BYTES + 200_000


def test_handlers_come_after_steps_and_sub_runs_after_the_run_and_what_wrote_nothing_is_left_out() -> None:
    def node(run: int, position: int, stdout: int | None, stderr: int | None = None) -> NodeOutput:
        names: Any = {"name": str(position), "dag_run_id": f"id of {run}", "stdout_bytes": None, "stderr_bytes": None}
        return NodeOutput(run_id=run, top=7, attempt=2, position=position, stdout=stdout, stderr=stderr, **names)

    nodes = [node(7, -2, 3), node(7, -1, 4), node(5, 0, 1), node(7, 0, 5, 0), node(7, 1, None)]
    found = [(stream.step, stream.key.stream, stream.last, stream.sub_run) for stream in log_streams(nodes, 7, [1, 2])]
    own = [("0", 1, 5, None), ("0", 2, 0, None), ("-1", 1, 4, None), ("-2", 1, 3, None)]
    assert found == [*own, ("0", 1, 1, "id of 5")]
    (both,) = log_streams([node(7, 0, 5, 0)], 7, [logs.BOTH])
    assert both.last == 6
