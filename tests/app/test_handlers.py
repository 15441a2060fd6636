"""Handlers and preconditions of runs and steps (runtime 7 and 8)."""

from __future__ import annotations

import pytest

from tests.app.dagbook import Dagbook, FinishedRun

HANDLERS = """
handlerOn:
  init: {command: echo init}
  success: {command: echo $DAG_RUN_STATUS}
  failure: {command: echo $DAG_RUN_STATUS}
  abort: {command: echo $DAG_RUN_STATUS}
  exit: {command: echo $DAG_RUN_STATUS}
"""


def _ran(ended: FinishedRun) -> list[str]:
    names = ("onSuccess", "onFailure", "onCancel", "onExit")
    return [name for name in names if ended.details[name]["statusLabel"] == "succeeded"]


@pytest.mark.parametrize(
    ("steps", "status", "handler"),
    [
        ("- {command: 'true'}", "succeeded", "onSuccess"),
        ("- {command: exit 1}", "failed", "onFailure"),
        ("- {command: exit 1, continueOn: failed}\n  - {command: 'true'}", "partially_succeeded", "onSuccess"),
    ],
)
async def test_the_handler_of_the_outcome_runs_before_the_exit_handler(
    dagbook: Dagbook, steps: str, status: str, handler: str
) -> None:
    ended = await dagbook.run(f"steps:\n  {steps}\n{HANDLERS}")
    assert (ended.status, _ran(ended)) == (status, [handler, "onExit"])
    assert await ended.log(handler) == await ended.log("onExit") == status
    assert await ended.log("onInit") == "init"


async def test_handlers_that_are_not_defined_are_not_shown(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - command: 'true'\nhandlerOn:\n  exit: {command: 'true'}\n")
    assert {name for name in ended.details if name.startswith("on")} == {"onExit"}


async def test_an_unmet_precondition_of_the_dag_aborts_the_run(dagbook: Dagbook) -> None:
    spec = "preconditions: ['false', 'true']\nsteps: [{command: 'true'}]\n" + HANDLERS
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("aborted", ["not_started"])
    assert _ran(ended) == ["onCancel", "onExit"]
    assert all(condition["error"] for condition in ended.details["preconditions"])


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("'true'", True),
        ("exit 3", False),
        ("{condition: '$WORD', expected: yes}", True),
        ("{condition: '`echo a; echo b`', expected: b}", True),
        ("{condition: '$WORD', expected: 're:['}", False),
        ("{condition: '`exit 4`', expected: x}", False),
    ],
)
async def test_a_step_runs_only_when_its_precondition_holds(dagbook: Dagbook, condition: str, met: bool) -> None:
    condition = condition.replace("yes", "'yes'").replace("no}", "'no'}")
    ended = await dagbook.run(
        f"params: WORD=yes\nsteps:\n  - {{name: a, command: 'true', preconditions: [{condition}]}}\n"
    )
    node = ended.nodes["a"]
    assert node["statusLabel"] == ("succeeded" if met else "skipped")
    assert bool(node["step"]["preconditions"][0].get("error")) == (not met)


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ("env: [MINE: own]", "'test \"$MINE\" = own'"),
        ("env: [MINE: own]", "{condition: '$MINE', expected: own}"),
        ("env: [{BAD: '`exit 1`'}, {MINE: own}]", "{condition: '${MINE}', expected: own}"),
        ("env: [MINE: '`pwd`']", "{condition: '$MINE', expected: 're:.'}"),
        ("shell: bash", "'[[ a == a ]]'"),
        ("shell: '${SHELL_NAME}'", "'[[ a == a ]]'"),
        ("shell: python3", "'import sys; sys.exit(0)'"),
        ("shell: python3", "{condition: '`echo 1`', expected: '1'}"),
        ("shell: direct", "'test a = a'"),
        ("shell: direct", "''"),
        ("shell: direct", "{condition: 'test a = b', negate: true}"),
        ("workingDir: elsewhere", '{condition: \'test "$(pwd -P)" = "$PWD"\', negate: true}'),
        ("env: []", "{condition: '[$DAG_RUN_STEP_STDOUT_FILE]', expected: '[]'}"),
    ],
)
async def test_a_condition_sees_the_variables_and_the_shell_of_its_step(
    dagbook: Dagbook, fields: str, condition: str
) -> None:
    command = "print(1)" if "python3" in fields else "echo"
    spec = f"""
params: SHELL_NAME=bash
steps:
  - name: a
    command: {command}
    {fields}
    preconditions: [{condition}]
"""
    assert (await dagbook.run(spec)).statuses == ["succeeded"]


async def test_backticks_of_conditions_of_a_dag_are_run_by_the_default_shell(dagbook: Dagbook) -> None:
    spec = "shell: python3\npreconditions: [{condition: '`echo 1`', expected: '1'}]\nsteps: [print(1)]\n"
    assert (await dagbook.run(spec)).status == "succeeded"


async def test_a_shell_that_cannot_be_evaluated_skips_the_step_and_says_why(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: x, shell: '`exit 4`', preconditions: ['true']}]\n")
    node = ended.nodes["a"]
    assert node["statusLabel"] == "skipped"
    assert "shell" in node["error"]
    assert "exit status 4" in node["step"]["preconditions"][0]["error"]


async def test_an_output_of_a_handler_is_seen_by_no_other(dagbook: Dagbook) -> None:
    spec = """
steps: [{name: a, command: 'echo "[$X]"'}]
handlerOn:
  init: {command: echo 1, output: X}
  exit: {command: 'echo "[$X]"'}
"""
    ended = await dagbook.run(spec)
    assert (await ended.log("a"), await ended.log("onExit")) == ("[]", "[]")


async def test_a_handler_has_an_environment_of_its_own(dagbook: Dagbook) -> None:
    spec = "steps: [{command: 'true'}]\nhandlerOn:\n  exit: {command: echo $MINE, env: [MINE: own]}\n"
    assert await (await dagbook.run(spec)).log("onExit") == "own"
