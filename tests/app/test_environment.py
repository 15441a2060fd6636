"""Variables, parameters, dotenv files and directories of a run (runtime 10, 13, 14)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.dagbook import Dagbook, client_of, serving
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("defaults", "given", "shown", "printed"),
    [
        ("A=1 B=2", "", "A=1 B=2", "1/2/"),
        ("A=1 B=2", "B=3", "A=1 B=3", "1/3/"),
        ("A=1 B=2", '{"A":"x y","B":2}', "A=x y B=2", "x y/2/"),
        ("A=1 B=2", 'A="x y"', "A=x y B=2", "x y/2/"),
        ("first", "other", "1=other", "//other"),
        ("A=1", "C=3", "A=1 C=3", "1//"),
    ],
)
async def test_given_params_replace_the_defaults(
    dagbook: Dagbook, defaults: str, given: str, shown: str, printed: str
) -> None:
    spec = f'params: {defaults}\nsteps:\n  - {{name: a, command: echo "$A/$B/$1"}}\n'
    ended = await dagbook.run(
        spec.replace("{name", "{name").replace("echo", "'echo").replace('$1"', "$1\"'"), params=given
    )
    assert ended.details["params"] == shown
    assert await ended.log("a") == printed


async def test_of_all_who_name_a_variable_the_nearest_to_the_step_wins(dagbook: Dagbook, tmp_path: Path) -> None:
    """Step env before params before outputs before dotenv before DAG env."""
    (tmp_path / ".env").write_text("D=dotenv\nO=dotenv\nP=dotenv\nS=dotenv\n")
    spec = f"""
workingDir: {tmp_path}
dotenv: .env
env: [E: env, D: env, O: env, P: env, S: env]
params: P=param S=param
steps:
  - {{name: a, command: echo output, output: O}}
  - {{name: b, command: echo output, output: P}}
  - name: c
    env: [S: step]
    command: printenv E D O P S
"""
    ended = await dagbook.run(spec)
    assert (await ended.log("c")).split() == ["env", "dotenv", "output", "param", "step"]


async def test_env_entries_see_those_before_them_and_run_their_backticks(dagbook: Dagbook) -> None:
    spec = """
env:
  - A: one
  - B: ${A} two
  - C: "`echo $B | tr a-z A-Z`"
steps:
  - {name: a, command: printenv C}
"""
    assert await (await dagbook.run(spec)).log("a") == "ONE TWO"


async def test_the_variables_of_one_run_are_not_seen_by_another(dagbook: Dagbook) -> None:
    await dagbook.run("env: [LEAK: out]\nsteps: [{command: 'true'}]\n")
    ended = await dagbook.run("preconditions: ['test -z \"$LEAK\"']\nsteps: [{name: a, command: 'echo \"[$LEAK]\"'}]\n")
    assert await ended.log("a") == "[]"


async def test_the_server_s_own_environment_reaches_a_step_only_where_it_is_meant_to(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: env}]\n")
    names = {line.partition("=")[0] for line in (await ended.log("a")).splitlines()}
    assert {"PATH", "HOME"} & names
    assert not {name for name in names if name.startswith("DAGBOOK_")}
    assert "PYTEST_CURRENT_TEST" not in names


async def test_commands_of_the_definition_get_of_the_server_s_environment_what_steps_get(
    database_url: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OF_THE_SERVER", "DAGBOOK_TEST_SETTING"):
        monkeypatch.setenv(variable, "known")
    spec = """
env:
  - TEXT: "${OF_THE_SERVER}/${DAGBOOK_TEST_SETTING}"
  - COMMAND: "`env | grep -c -e OF_THE_SERVER -e DAGBOOK || true`"
params: P="`env | grep -c OF_THE_SERVER || true`"
preconditions: ['test -z "$OF_THE_SERVER"']
steps:
  - name: a
    preconditions: ['test -z "$OF_THE_SERVER"', {condition: "`env | grep -c OF_THE_SERVER || true`", expected: "0"}]
    env: [{OWN: "`env | grep -c OF_THE_SERVER || true`"}]
    command: echo "$TEXT $COMMAND $P $OWN"
"""
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        ended = await Dagbook(client, name).run(spec)
        assert (ended.statuses, await ended.log("a")) == (["succeeded"], "known/ 0 0 0")


async def test_a_step_knows_its_run(dagbook: Dagbook) -> None:
    names = (
        "DAG_NAME DAG_RUN_ID DAG_RUN_STEP_NAME PWD DAG_RUN_STEP_STDOUT_FILE DAG_RUN_STEP_STDERR_FILE DAG_RUN_LOG_FILE"
    )
    spec = f"steps:\n  - {{name: a, command: printenv {names}}}\nhandlerOn:\n  exit: {{command: printenv {names}}}\n"
    ended = await dagbook.run(spec)
    seen = dict(zip(names.split(), (await ended.log("a")).splitlines(), strict=True))
    assert (seen["DAG_NAME"], seen["DAG_RUN_ID"]) == (dagbook.name, ended.details["dagRunId"])
    assert seen["DAG_RUN_STEP_NAME"] == "a"
    assert seen["DAG_RUN_STEP_STDOUT_FILE"] != seen["DAG_RUN_STEP_STDERR_FILE"]
    assert (await ended.log("onExit")).splitlines()[2] == "onExit"


async def test_the_file_of_a_step_s_output_can_be_read_by_later_steps(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: a, command: 'echo "$DAG_RUN_STEP_STDOUT_FILE"', output: FILE}
  - {name: b, command: 'cat "$FILE" && test "$(cat "$FILE")" = "$FILE"'}
"""
    assert (await dagbook.run(spec)).status == "succeeded"


async def test_an_inline_run_works_in_a_folder_of_its_own_that_goes_with_it(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: a, command: touch here; pwd}\n  - {name: b, command: ls}\n")
    folder = Path(await ended.log("a"))
    assert await ended.log("b") == "here"

    async def is_gone() -> bool:
        return not folder.exists()

    await wait_until(is_gone)  # what a run leaves is removed after its end is stored


async def test_the_dag_s_directory_is_made_and_a_step_s_own_lies_in_it(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
workingDir: {tmp_path}/new
steps:
  - {{name: a, command: pwd}}
  - {{name: b, command: pwd, workingDir: deep/er}}
  - {{name: c, command: pwd, workingDir: {tmp_path}}}
"""
    ended = await dagbook.run(spec)
    folders = [await ended.log(name) for name in "abc"]
    assert folders == [f"{tmp_path}/new", f"{tmp_path}/new/deep/er", str(tmp_path)]


async def test_what_a_step_s_variables_and_file_names_run_is_run_once(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "count").write_text("")
    spec = f"""
workingDir: {tmp_path}
steps:
  - name: a
    env: [N: '`echo env >> count; wc -l < count`']
    stdout: '`echo file >> count; echo out`'
    command: printenv N; exit 1
    preconditions: ['test $N -eq 1']
    retryPolicy: {{limit: 1, intervalSec: 0}}
    repeatPolicy: {{repeat: until, condition: 'test $N -ne 1', limit: 2, intervalSec: 0}}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("a") == "1\n1\n1"
    assert (tmp_path / "count").read_text() == "env\nfile\n"


async def test_conditions_whose_directory_is_gone_skip_the_step_and_say_why(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
workingDir: {tmp_path}/new
steps:
  - {{name: a, command: rmdir $PWD && touch $PWD}}
  - {{name: b, command: pwd, preconditions: ["true"]}}
"""
    ended = await dagbook.run(spec)
    assert ended.statuses == ["succeeded", "skipped"]
    assert "working directory" in ended.nodes["b"]["error"]


async def test_a_directory_that_cannot_be_made_fails_the_step(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: a, command: pwd, workingDir: /proc/no/such}\n")
    assert ended.status == "failed"
    assert "working directory" in ended.nodes["a"]["error"]


async def test_a_directory_of_the_dag_that_cannot_be_made_fails_the_run_before_anything_runs(dagbook: Dagbook) -> None:
    spec = """
workingDir: /proc/no/such
handlerOn: {failure: {command: pwd}, exit: {command: pwd}}
steps: [{name: a, command: pwd}]
"""
    ended = await dagbook.run(spec)
    handlers = [ended.details[name]["statusLabel"] for name in ("onFailure", "onExit")]
    assert (ended.status, ended.statuses, handlers) == ("failed", ["not_started"], ["not_started"] * 2)
    log = await dagbook.client.get(f"{ended.path}/log")
    assert "/proc/no/such" in log.json()["content"]


@pytest.mark.parametrize("field", ["env", "params"])
async def test_a_value_that_cannot_be_evaluated_refuses_the_run(dagbook: Dagbook, field: str) -> None:
    """What needs a command is evaluated when the run is stored: test_accept_first."""
    entries = [{"V0": "x" * 100}, *({f"V{n}": f"${{V{n - 1}}}" * 100} for n in range(1, 9))]
    spec = json.dumps({field: entries, "steps": [{"command": "true"}]})
    answer = await dagbook.client.post("/dag-runs", json={"spec": spec, "name": dagbook.name})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{field}:")
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}")).json() == {"dagRuns": []}
