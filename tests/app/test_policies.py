"""Retry, repeat and time limits of steps and runs (runtime 15, 16, 18)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.dagbook import Dagbook
from tests.waiting import until_gone

COUNT = "echo x >> {0}/count; n=$(wc -l < {0}/count); "


async def test_a_step_is_retried_until_it_works(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: a
    command: {COUNT.format(tmp_path)} echo try $n; [ $n = 3 ]
    retryPolicy: {{limit: 3, intervalSec: 0}}
"""
    ended = await dagbook.run(spec)
    node = ended.nodes["a"]
    assert (ended.status, node["retryCount"], node["doneCount"]) == ("succeeded", 2, 1)
    assert await ended.log("a") == "try 1\ntry 2\ntry 3"
    assert "error" not in node


async def test_limit_and_interval_of_a_retry_may_be_texts(dagbook: Dagbook) -> None:
    spec = """
env: [LIMIT: 2]
steps:
  - {name: a, command: exit 1, retryPolicy: {limit: "${LIMIT}", intervalSec: "`echo 0`"}}
"""
    assert (await dagbook.run(spec)).nodes["a"]["retryCount"] == 2


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ("many", "retryPolicy.limit: 'many' gives 'many', which is not a whole number"),
        (
            "${TRIES}",
            (
                "retryPolicy.limit: '${TRIES}' gives '', which is not a whole number; "
                "it sees env of the DAG, but no params or outputs"
            ),
        ),
    ],
)
async def test_a_retry_limit_that_is_no_number_fails_the_step_without_running_it(
    dagbook: Dagbook, limit: str, error: str
) -> None:
    policy = f"{{limit: '{limit}', intervalSec: 0}}"
    ended = await dagbook.run(f"params: TRIES=2\nsteps:\n  - {{name: a, command: echo ran, retryPolicy: {policy}}}\n")
    assert (ended.status, ended.nodes["a"]["doneCount"]) == ("failed", 0)
    assert ended.nodes["a"]["error"] == error
    assert await ended.log("a") == ""


async def test_only_the_output_of_the_last_try_is_kept(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: a
    command: {COUNT.format(tmp_path)} echo value $n; [ $n = 2 ]
    output: X
    retryPolicy: {{limit: 1, intervalSec: 0}}
  - {{name: b, command: echo $X}}
"""
    assert await (await dagbook.run(spec)).log("b") == "value 2"


@pytest.mark.parametrize(
    ("policy", "code", "done", "status"),
    [
        ("{repeat: until, exitCode: [0], intervalSec: 0}", "$((n < 3))", 3, "succeeded"),
        ("{repeat: until, condition: 'echo $X', expected: v3, intervalSec: 0}", "0", 3, "succeeded"),
        ("{repeat: while, condition: 'test $X != v2', intervalSec: 0}", "0", 2, "succeeded"),
        ("{repeat: until, condition: 'test $X = $WANTED', intervalSec: 0}", "0", 3, "succeeded"),
    ],
)
async def test_a_step_is_repeated_as_its_policy_says(
    dagbook: Dagbook, tmp_path: Path, policy: str, code: str, done: int, status: str
) -> None:
    policy = policy.replace("'echo $X'", "'`echo $X`'")
    spec = f"""
steps:
  - name: a
    command: {COUNT.format(tmp_path)} echo v$n; exit {code}
    output: X
    env: [WANTED: v3]
    repeatPolicy: {policy}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.nodes["a"]["doneCount"]) == (status, done)


async def test_a_step_over_its_time_is_killed_with_all_its_processes(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: a
    timeoutSec: 1
    command: trap '' TERM; (trap '' TERM; sleep 30) & echo $! > {tmp_path}/pid; sleep 30
    retryPolicy: {{limit: 3, intervalSec: 0}}
    continueOn: {{exitCode: [124]}}
  - {{name: b, command: echo on}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["failed", "succeeded"])
    assert ended.nodes["a"]["retryCount"] == 0
    await until_gone(int((tmp_path / "pid").read_text()))


async def test_a_run_over_its_time_fails_and_still_runs_its_handlers(dagbook: Dagbook) -> None:
    spec = """
timeoutSec: 1
steps:
  - {name: a, command: sleep 30}
  - {name: b, command: "true"}
handlerOn:
  failure: {command: echo $DAG_RUN_STATUS}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("failed", ["aborted", "aborted"])
    assert await ended.log("onFailure") == "failed"
