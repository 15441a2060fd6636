"""What all steps of a run wrote, in one stream, page by page (docs/reference/api-extensions.md)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.dagbook import Dagbook, FinishedRun

SPEC = """
type: graph
steps:
  - {name: first, command: "sh -c 'echo one; echo two >&2'"}
  - {name: second, command: printf three, depends: first}
  - {name: third, command: seq 100000, depends: second}
handlerOn: {exit: {command: echo over}}
"""


async def pieces(run: FinishedRun, **query: Any) -> dict[str, Any]:
    answer = await run.client.get(f"{run.path}/log/pieces", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(found: dict[str, Any]) -> list[tuple[str, str, int, str]]:
    return [(piece["step"], piece["stream"], piece["line"], piece["text"]) for piece in found["pieces"]]


async def test_steps_of_a_run_come_in_the_order_of_time(dagbook: Dagbook) -> None:
    found = await pieces(await dagbook.run(SPEC.replace("100000", "2")))
    assert told(found) == [
        ("first", "stdout", 1, "one\n"),
        ("first", "stderr", 1, "two\n"),
        ("second", "stdout", 1, "three"),
        ("third", "stdout", 1, "1\n2\n"),
        ("onExit", "stdout", 1, "over\n"),
    ]
    assert (found["hasEarlier"], found["hasMore"]) == (False, False)
    assert [piece["at"] for piece in found["pieces"]] == sorted(piece["at"] for piece in found["pieces"])


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_in_either_direction_have_every_piece_once(dagbook: Dagbook, limit: int) -> None:
    run = await dagbook.run(SPEC)
    whole = (await pieces(run, limit=1000))["pieces"]
    forth: list[Any] = []
    query: dict[str, str] = {}
    while (page := await pieces(run, limit=limit, **query))["pieces"]:
        forth += page["pieces"]
        assert page["hasMore"] == (len(forth) < len(whole))
        query = {"after": forth[-1]["place"]}
    back: list[Any] = []
    query = {"before": "end"}
    while (page := await pieces(run, limit=limit, **query))["pieces"]:
        back = page["pieces"] + back
        assert page["hasEarlier"] == (len(back) < len(whole))
        query = {"before": back[0]["place"]}
    assert forth == back == whole
    third = "".join(piece["text"] for piece in whole if piece["step"] == "third")
    assert third == "".join(f"{number}\n" for number in range(1, 100_001))


async def test_a_page_is_bounded_in_bytes(dagbook: Dagbook) -> None:
    run = await dagbook.run(SPEC.replace("100000", "400000"))
    page = await pieces(run, limit=1000)
    assert page["hasMore"]
    assert sum(len(piece["text"]) for piece in page["pieces"]) <= 1_500_000


async def test_steps_that_a_retry_kept_show_what_they_wrote_before(dagbook: Dagbook) -> None:
    run = await dagbook.run(
        "steps:\n  - {name: kept, command: echo kept}\n  - {name: bad, command: 'echo $$; false'}\n"
    )
    await run.client.post(f"{run.path}/retry", json={"dagRunId": run.details["dagRunId"]})
    again = await dagbook.finished(run.details["dagRunId"])
    assert [piece[0] for piece in told(await pieces(again))] == ["kept", "bad"]


async def test_a_run_below_has_its_own(dagbook: Dagbook) -> None:
    run = await dagbook.run(
        "steps:\n  - {name: each, call: child, parallel: [a]}\n"
        "---\nname: child\nsteps:\n  - {name: work, command: echo $1}\n"
    )
    below = run.details["nodes"][0]["subRuns"][0]["dagRunId"]
    answer = await run.client.get(f"{run.path}/sub-dag-runs/{below}/log/pieces")
    assert told(answer.json()) == [("work", "stdout", 1, "a\n")]


CALLS = """\
steps:
  - {name: before, command: echo before}
  - {name: each, call: child, parallel: [a, b]}
  - {name: after, command: "sh -c 'echo after >&2'"}
---
name: child
steps:
  - {name: work, command: "sh -c 'echo $1; echo to stderr >&2'"}
  - {name: deeper, call: grandchild}
---
name: grandchild
steps:
  - {name: deep, command: echo deep}
"""


async def test_output_of_sub_runs_at_any_depth_is_included_when_it_is_asked_for(dagbook: Dagbook) -> None:
    run = await dagbook.run(CALLS)
    found = (await pieces(run, subRuns=True))["pieces"]
    assert (found[0]["text"], found[-1]["text"]) == ("before\n", "after\n")
    below = [piece for piece in found if "dagRunId" in piece]
    assert sorted((piece["dagName"], piece["step"], piece["text"]) for piece in below) == [
        ("child", "work", "a\n"),
        ("child", "work", "b\n"),
        ("child", "work", "to stderr\n"),
        ("child", "work", "to stderr\n"),
        ("grandchild", "deep", "deep\n"),
        ("grandchild", "deep", "deep\n"),
    ]
    called = {sub["dagRunId"] for sub in run.details["nodes"][1]["subRuns"]}
    assert {piece["dagRunId"] for piece in below if piece["dagName"] == "child"} == called
    # What calls write are the results of their sub-runs, whose output is there.
    assert {piece["step"] for piece in found} == {"before", "work", "deep", "after"}
    sub_run = await dagbook.client.get(f"{run.path}/sub-dag-runs/{below[0]['dagRunId']}/log/pieces?subRuns=true")
    assert {piece["step"] for piece in sub_run.json()["pieces"]} <= {"work", "deep"}
    assert {piece["step"] for piece in (await pieces(run))["pieces"]} == {"before", "each", "after"}


@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_with_sub_runs_have_every_piece_once(dagbook: Dagbook, limit: int) -> None:
    run = await dagbook.run(CALLS)
    whole = (await pieces(run, subRuns=True))["pieces"]
    forth: list[Any] = []
    query: dict[str, Any] = {"subRuns": True, "limit": limit}
    while (page := await pieces(run, **query))["pieces"]:
        forth += page["pieces"]
        query["after"] = forth[-1]["place"]
    back: list[Any] = []
    query = {"subRuns": True, "limit": limit, "before": "end"}
    while (page := await pieces(run, **query))["pieces"]:
        back = page["pieces"] + back
        query["before"] = back[0]["place"]
    assert forth == back == whole


async def test_a_page_begins_with_a_line(dagbook: Dagbook) -> None:
    run = await dagbook.run(SPEC)
    page = await pieces(run, step="third", stream="stdout", line=99_999, limit=1)
    (piece,) = page["pieces"]
    assert piece["step"] == "third"
    assert piece["line"] <= 99_999 < piece["line"] + piece["text"].count("\n")
    assert (page["hasEarlier"], page["hasMore"]) == (True, True)
    called = await dagbook.run(CALLS)
    below = next(piece for piece in (await pieces(called, subRuns=True))["pieces"] if piece.get("dagName") == "child")
    query = {"step": "work", "stream": below["stream"], "line": 1, "subRun": below["dagRunId"]}
    assert (await pieces(called, subRuns=True, **query))["pieces"][0] == below


async def test_a_page_begins_with_the_piece_in_which_a_long_line_begins(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: [{name: a, command: \"head -c 700000 /dev/zero | tr '\\\\0' x; echo\"}]")
    whole = (await pieces(run))["pieces"]
    assert len(whole) > 1
    page = await pieces(run, step="a", stream="stdout", line=1)
    assert page["pieces"] == whole


async def test_a_run_that_wrote_nothing_has_none(dagbook: Dagbook) -> None:
    found = await pieces(await dagbook.run("steps: [{command: 'true'}]"))
    assert found == {"pieces": [], "hasEarlier": False, "hasMore": False}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=x", "after"),
        ("after=1.2", "after"),
        ("after=99999999999999999.0.0", "after"),
        ("before=1.2.-3", "before"),
        ("after=1.0.0&before=end", "before"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        (f"after=1.0.0.{'9' * 19}", "after"),
        (f"line={'9' * 40}&step=a&stream=stdout", "line"),
        ("line=1&step=a", "line"),
        ("line=1&step=a&stream=stdout&before=end", "line"),
    ],
)
async def test_what_cannot_be_meant_is_refused(dagbook: Dagbook, query: str, field: str) -> None:
    run = await dagbook.run("steps: [{command: 'true'}]")
    answer = await run.client.get(f"{run.path}/log/pieces?{query}")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(field)
