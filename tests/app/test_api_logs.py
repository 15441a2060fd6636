"""Logs through the API (api-behaviour 3.9)."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.main import Server
from tests.app.dagbook import Dagbook, FinishedRun, client_of


@pytest.fixture(scope="module")
async def numbers(server: Server) -> Any:
    """A run whose step has written 5000 lines, and one of its handlers 1."""
    async with client_of(server) as client:
        yield await Dagbook(client, "numbers").run(
            "steps:\n  - {name: a, command: 'seq 5000; seq 20 >&2'}\nhandlerOn: {exit: {command: echo end}}\n",
        )


async def _page(ended: FinishedRun, **query: object) -> tuple[str, str, int, int, bool]:
    answer = await ended.client.get(
        f"{ended.path}/steps/a/log", params={key: str(value) for key, value in query.items()}
    )
    assert answer.status_code == 200, answer.text
    page = answer.json()
    lines = page["content"].split("\n") if page["lineCount"] else ["", ""]
    assert "isEstimate" not in page
    return lines[0], lines[-1], page["lineCount"], page["totalLines"], page["hasMore"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ("1", "1000", 1000, 5000, True)),
        ({"tail": 3}, ("4998", "5000", 3, 5000, True)),
        ({"tail": 9000}, ("1", "5000", 5000, 5000, False)),
        ({"head": 2}, ("1", "2", 2, 5000, True)),
        ({"head": 5000}, ("1", "5000", 5000, 5000, False)),
        ({"offset": 4999}, ("4999", "5000", 2, 5000, False)),
        ({"offset": 10, "limit": 5}, ("10", "14", 5, 5000, True)),
        ({"offset": 5001}, ("", "", 0, 5000, False)),
        ({"limit": 4}, ("1", "4", 4, 5000, True)),
        ({"limit": 99999}, ("1", "5000", 5000, 5000, False)),
        ({"tail": 2, "head": 3, "offset": 4}, ("4999", "5000", 2, 5000, True)),
        ({"head": 3, "offset": 4}, ("1", "3", 3, 5000, True)),
        ({"tail": 0, "head": -1, "offset": 0, "limit": -5}, ("1", "1000", 1000, 5000, True)),
        ({"stream": "stderr", "tail": 1}, ("20", "20", 1, 20, True)),
        ({"stream": "stdout", "head": 1}, ("1", "1", 1, 5000, True)),
    ],
    ids=str,
)
async def test_a_page_holds_the_lines_that_were_asked_for(
    numbers: FinishedRun, query: dict[str, object], expected: tuple[Any, ...]
) -> None:
    assert await _page(numbers, **query) == expected


@pytest.mark.parametrize("query", ["stream=other", "tail=x", "head=x", "offset=x", "limit=x", "stream="])
async def test_a_page_that_cannot_be_read_is_refused_by_its_name(numbers: FinishedRun, query: str) -> None:
    answer = await numbers.client.get(f"{numbers.path}/steps/a/log?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith(query.partition("=")[0] + ":")


@pytest.mark.parametrize(
    ("command", "content", "total"),
    [
        ("'true'", "", 0),
        ("printf 'a'", "a", 1),
        ("printf 'a\\r\\nb\\r\\n'", "a\nb", 2),
        ("printf 'a\\n\\n'", "a\n", 2),
        ("printf '\\n'", "", 1),
        ("head -c 70000 /dev/zero | tr '\\0' x", "x" * 70_000, 1),
    ],
)
async def test_the_lines_of_a_log_are_what_the_step_has_written(
    dagbook: Dagbook, command: str, content: str, total: int
) -> None:
    ended = await dagbook.run(f"steps:\n  - name: a\n    command: {command}\n    shell: bash\n")
    page = (await dagbook.client.get(f"{ended.path}/steps/a/log")).json()
    assert (page["content"], page["totalLines"], page["lineCount"], page["hasMore"]) == (content, total, total, False)


async def test_a_log_can_be_read_while_it_grows(dagbook: Dagbook) -> None:
    run_id = await dagbook.start("steps: [{name: a, command: echo early; sleep 30}]\n")
    await dagbook.running(run_id, "a", "early")
    await dagbook.stop(run_id)


async def test_a_page_holds_the_lines_of_a_step_that_writes_them_one_by_one(dagbook: Dagbook) -> None:
    """Each of them is stored by itself, and who follows a running step asks for all of them again and again."""
    run_id = await dagbook.start(
        "steps: [{name: a, command: 'for i in $(seq 80); do echo $i; sleep 0.06; done; sleep 30'}]\n"
    )
    await dagbook.running(run_id, "a", "80")
    for query in ({"tail": 1000}, {"head": 1000}, {}):
        answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/{run_id}/steps/a/log", params=query)
        page = answer.json()
        assert page["content"].split("\n") == [str(number) for number in range(1, 81)]
        assert (page["lineCount"], page["totalLines"], page["hasMore"]) == (80, 80, False)
    await dagbook.stop(run_id)


async def test_a_step_that_never_ran_has_no_log(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: exit 1}, {name: b, command: 'true'}]\n")
    answer = await dagbook.client.get(f"{ended.path}/steps/b/log")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_handlers_have_logs_under_their_names(numbers: FinishedRun) -> None:
    assert await numbers.log("onExit") == "end"
    assert (await numbers.client.get(f"{numbers.path}/steps/onFailure/log")).status_code == 404


@pytest.mark.parametrize(
    ("step", "written"),
    [("a b%?ä", "a%20b%25%3F%C3%A4"), ("a/b//c", "a%2Fb%2f%2Fc"), ("a%2Fb", "a%252Fb"), ("/", "%2F")],
)
async def test_a_step_name_may_hold_what_a_path_may_not(dagbook: Dagbook, step: str, written: str) -> None:
    ended = await dagbook.run(f"steps: [{{name: '{step}', command: echo here}}]\n")
    assert await ended.log(written) == "here"


async def test_a_step_of_a_called_run_may_hold_a_slash_in_its_name_too(dagbook: Dagbook) -> None:
    called = "name: child\nsteps: [{name: a/b, command: echo here}]\n"
    ended = await dagbook.run(f"steps: [{{name: c, call: child}}]\n---\n{called}")
    below = f"{ended.path}/sub-dag-runs/{ended.nodes['c']['subRuns'][0]['dagRunId']}"
    assert (await dagbook.client.get(f"{below}/steps/a%2Fb/log")).json()["content"] == "here"
    assert (await dagbook.client.patch(f"{below}/steps/a%2Fb/status", json={"status": 2})).status_code == 200


@pytest.mark.parametrize("path", ["steps/a%2Fb/nothing", "steps/a%2Fc/log", "steps/a/b/log", "steps%2Fa%2Fb/nothing"])
async def test_a_path_with_an_encoded_slash_that_names_nothing_is_told_as_it_was_asked(
    dagbook: Dagbook, path: str
) -> None:
    ended = await dagbook.run("steps: [{name: a/b, command: echo here}]\n")
    answer = await dagbook.client.get(f"{ended.path}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "a/" in answer.json()["message"]


# -- the run's own log -----------------------------------------------------------------------------------------------


async def test_the_run_s_log_tells_its_story_in_order(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'true'}, {name: b, command: exit 2}]\n")
    page = (await dagbook.client.get(f"{ended.path}/log")).json()
    lines = page["content"].split("\n")
    told = [line.split(' msg="')[1].split('"')[0] for line in lines]
    assert told[0] == "run accepted"
    assert told.index("run started") < told.index("step started") < told.index("step finished")
    assert any("status=failed" in line and "step=b" in line for line in lines)
    assert all(f"dag={dagbook.name}" in line and f"run-id={ended.details['dagRunId']}" in line for line in lines)
    assert (page["lineCount"], page["totalLines"], page["hasMore"]) == (len(lines), len(lines), False)


async def test_the_run_s_log_is_paged_like_a_step_s(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'true'}]\n")
    whole = (await dagbook.client.get(f"{ended.path}/log")).json()
    lines = whole["content"].split("\n")
    for query, expected, more in (
        ("tail=1", lines[-1:], True),
        ("head=2", lines[:2], True),
        ("offset=2", lines[1:], False),
    ):
        page = (await dagbook.client.get(f"{ended.path}/log?{query}")).json()
        assert (page["content"].split("\n"), page["hasMore"]) == (expected, more)


async def test_a_step_can_read_the_run_s_log_so_far(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{command: 'true'}, {name: b, command: cat $DAG_RUN_LOG_FILE}]\n")
    whole = (await dagbook.client.get(f"{ended.path}/log")).json()["content"].split("\n")
    seen = (await ended.log("b")).split("\n")
    assert seen == whole[: len(seen)]
    assert any("step finished" in line for line in seen)
