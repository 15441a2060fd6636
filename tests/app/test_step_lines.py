"""Lines of a step with their times, both streams as one (docs/reference/api-extensions.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.dagbook import Dagbook, FinishedRun

FORTY = "9" * 40  # digits: more than a number of a database has
BOTH = "steps: [{name: a, command: \"sh -c 'echo one; echo two; echo oops >&2; printf three'\"}]\n"
FLAKY = """\
steps:
  - name: flaky
    script: |
      echo begin
      echo x >> COUNT
      test "$(wc -l < COUNT)" -ge 3 && exit 0
      echo no >&2
      exit 1
    retryPolicy: {limit: 3, intervalSec: 0}
"""


async def lines(run: FinishedRun, step: str = "a", **query: Any) -> dict[str, Any]:
    answer = await run.client.get(f"{run.path}/steps/{step}/log/lines", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(found: dict[str, Any]) -> list[tuple[int, str, int, str]]:
    return [(piece["line"], piece["stream"], piece["number"], piece["text"]) for piece in found["pieces"]]


async def test_lines_of_both_streams_come_as_one_with_their_times(dagbook: Dagbook) -> None:
    run = await dagbook.run(BOTH)
    found = await lines(run)
    text = {stream: "".join(text for _, of, _, text in told(found) if of == stream) for stream in ("stdout", "stderr")}
    assert text == {"stdout": "one\ntwo\nthree", "stderr": "oops\n"}
    assert (found["first"], found["last"], found["count"]) == (1, found["total"], found["total"])
    node = run.nodes["a"]
    assert all(piece["execution"] == 1 and piece["at"][:10] == node["startedAt"][:10] for piece in found["pieces"])
    alone = await lines(run, stream="stderr")
    assert (told(alone), alone["total"]) == ([(1, "stderr", 1, "oops\n")], 1)


async def test_any_page_of_a_long_output_has_its_lines(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: [{name: a, command: seq 200000}]\n")
    for offset in (1, 2, 100_000, 199_999):
        found = await lines(run, offset=offset, limit=3)
        wanted = [str(number) for number in range(offset, min(offset + 3, 200_001))]
        assert "".join(piece["text"] for piece in found["pieces"]).split() == wanted
        assert (found["total"], found["count"], found["pieces"][0]["line"]) == (200_000, len(wanted), offset)
    beyond = await lines(run, offset=200_001)
    assert (beyond["pieces"], beyond["count"]) == ([], 0)


async def test_a_try_has_its_own_lines(dagbook: Dagbook, tmp_path: Path) -> None:
    run = await dagbook.run(FLAKY.replace("COUNT", str(tmp_path / "count")))
    assert run.nodes["flaky"]["retryCount"] == 2
    whole = await lines(run, "flaky")
    spans = []
    for execution in (1, 2, 3):
        found = await lines(run, "flaky", execution=execution)
        assert {piece["execution"] for piece in found["pieces"]} == {execution}
        spans.append((found["first"], found["last"]))
        text = await run.client.get(f"{run.path}/steps/flaky/log/download?stream=all&execution={execution}")
        assert text.text == "".join(piece["text"] for piece in found["pieces"])
    assert (spans[0][0], spans[-1][1]) == (1, whole["total"])
    assert [first for first, _ in spans[1:]] == [last + 1 for _, last in spans[:-1]]
    assert (await lines(run, "flaky", execution=99))["pieces"] == []


async def test_a_line_of_one_stream_is_found_among_both(dagbook: Dagbook) -> None:
    run = await dagbook.run(BOTH)
    whole = {(stream, number): line for line, stream, number, _ in told(await lines(run))}
    found = await lines(run, of="stderr", offset=1, limit=1)
    assert found["pieces"][0]["line"] == whole["stderr", 1]
    assert (await lines(run, of="stderr", offset=2**31 - 1, limit=1))["pieces"] == found["pieces"]


async def test_both_streams_are_downloaded_as_one(dagbook: Dagbook) -> None:
    run = await dagbook.run(BOTH)
    answer = await run.client.get(f"{run.path}/steps/a/log/download?stream=all")
    assert answer.text == "".join(text for *_, text in told(await lines(run)))
    assert answer.headers["content-disposition"].endswith("a.log")


async def test_steps_that_are_not_there_or_have_not_run_have_no_lines(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: [{name: a, command: 'false'}, {name: b, command: 'true', depends: [a]}]\n")
    for step, said in (("nothing", "has no step"), ("b", "has not run")):
        answer = await run.client.get(f"{run.path}/steps/{step}/log/lines")
        assert answer.status_code == 404
        assert said in answer.json()["message"]
    assert (await lines(run))["total"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("offset=0", "offset"),
        ("limit=1001", "limit"),
        ("execution=0", "execution"),
        (f"execution={FORTY}", "execution"),
        (f"offset={FORTY}", "offset"),
        (f"limit={FORTY}", "limit"),
        ("of=x", "of"),
        ("stream=x", "stream"),
    ],
)
async def test_what_cannot_be_meant_is_refused(dagbook: Dagbook, query: str, field: str) -> None:
    run = await dagbook.run(BOTH)
    answer = await run.client.get(f"{run.path}/steps/a/log/lines?{query}")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(field)
