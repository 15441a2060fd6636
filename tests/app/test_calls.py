"""Steps that call other DAGs (runtime 20)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagbook.identifiers import sub_run_id
from tests.app.dagbook import Dagbook, FinishedRun
from tests.waiting import until_written


async def result(ended: FinishedRun, step: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await ended.log(step))
    return found


async def store(dagbook: Dagbook, name: str, spec: str) -> None:
    answer = await dagbook.client.post("/dags", json={"name": name, "spec": spec})
    assert answer.status_code == 201, answer.text


async def test_a_call_runs_a_document_of_the_same_file_and_gives_its_result(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: go, call: kid, params: "P=1 Q=${DAG_NAME}"}
---
name: kid
params: P=0
steps:
  - {name: think, command: echo $P-$Q, output: ANSWER}
"""
    ended = await dagbook.run(spec)
    assert ended.status == "succeeded"
    params = f'P="1" Q="{dagbook.name}"'
    assert await result(ended, "go") == {
        "name": "kid",
        "dagRunId": sub_run_id(ended.details["dagRunId"], "go", params),
        "params": f"P=1 Q={dagbook.name}",
        "outputs": {"ANSWER": f"1-{dagbook.name}"},
        "status": "succeeded",
    }


async def test_a_call_from_a_directory_that_is_not_there_fails_and_runs_nothing(dagbook: Dagbook) -> None:
    spec = "steps: [{name: go, call: kid, workingDir: none}]\n---\nname: kid\nsteps: [{command: pwd}]\n"
    ended = await dagbook.run(spec)
    assert (ended.status, "subRuns" in ended.nodes["go"]) == ("failed", False)
    assert "workingDir" in ended.nodes["go"]["error"]


async def test_the_result_is_the_output_of_the_step(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: go, call: kid, output: R}
  - {name: use, command: 'echo "${R.outputs.OUT} ${R.status}"'}
---
name: kid
steps:
  - {command: echo 42, output: OUT}
"""
    assert await (await dagbook.run(spec)).log("use") == "42 succeeded"


async def test_a_call_finds_a_stored_dag_by_its_file_name(dagbook: Dagbook) -> None:
    await store(dagbook, f"{dagbook.name}-kid", "name: inside\nsteps:\n  - {command: echo $1, output: OUT}\n")
    ended = await dagbook.run(f"steps:\n  - {{name: go, call: {dagbook.name}-kid, params: one}}\n")
    found = await result(ended, "go")
    assert (found["name"], found["outputs"]) == ("inside", {"OUT": "one"})


async def test_a_call_finds_a_file_beside_that_of_its_dag_first(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "kid.yaml").write_text("steps:\n  - {command: echo from file, output: OUT}\n")
    ended = await dagbook.run("steps:\n  - {name: go, call: kid}\n", sourceDirectory=str(tmp_path))
    assert (await result(ended, "go"))["outputs"] == {"OUT": "from file"}


async def test_local_documents_call_each_other_at_any_depth(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: go, call: a}
---
name: a
steps:
  - {call: b, output: X}
  - {command: 'echo "${X.outputs.OUT}!"', output: OUT}
---
name: b
steps:
  - {command: echo deep, output: OUT}
"""
    assert (await result(await dagbook.run(spec), "go"))["outputs"]["OUT"] == "deep!"


@pytest.mark.parametrize(
    ("command", "policy", "kid", "node", "run"),
    [
        ("exit 3", "", "failed", "failed", "failed"),
        ("exit 3", "continueOn: failed", "failed", "failed", "partially_succeeded"),
        ("exit 3\n    continueOn: failed\n  - 'true", "", "partially_succeeded", "partially_succeeded", "succeeded"),
    ],
    ids=["failed", "tolerated", "partial"],
)
async def test_the_end_of_a_sub_run_is_the_end_of_its_step(
    dagbook: Dagbook, command: str, policy: str, kid: str, node: str, run: str
) -> None:
    quote = "'" if "'" in command else ""
    spec = f"""
steps:
  - name: go
    call: kid
    {policy}
  - name: next
    command: "true"
---
name: kid
steps:
  - command: {command}{quote}
"""
    ended = await dagbook.run(spec)
    assert (await result(ended, "go"))["status"] == kid
    assert ended.nodes["go"]["statusLabel"] == node
    if policy:
        assert ended.status == run


async def test_the_error_of_a_failed_call_names_the_dag_and_the_cause(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: go, call: kid}\n---\nname: kid\nsteps:\n  - exit 3\n")
    assert ended.nodes["go"]["error"].startswith("the called run of DAG 'kid' ended failed: exit status 3")


async def test_a_dag_that_is_not_there_fails_the_step_with_its_name(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: go, call: nowhere}\n")
    assert "there is no DAG 'nowhere' to call" in ended.nodes["go"]["error"]


async def test_params_that_the_called_dag_refuses_fail_the_step(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object", "properties": {"N": {"type": "integer"}}}')
    spec = f"""
steps:
  - {{name: go, call: kid, params: N=many}}
---
name: kid
params: {{schema: {tmp_path}/schema.json, values: {{N: 1}}}}
steps:
  - "true"
"""
    ended = await dagbook.run(spec)
    assert "the called DAG 'kid' could not be started: params" in ended.nodes["go"]["error"]


async def test_endless_recursion_ends_with_a_sentence(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps:\n  - {name: go, call: me}\n---\nname: me\nsteps:\n  - call: me\n")
    assert ended.status == "failed"
    assert ended.nodes["go"]["error"].endswith("does a DAG call itself without end?")


async def test_a_sub_run_works_in_the_directory_of_the_step_that_calls_it(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - {{name: go, call: kid, workingDir: {tmp_path}}}
---
name: kid
steps:
  - {{command: pwd, output: WHERE}}
"""
    assert (await result(await dagbook.run(spec), "go"))["outputs"] == {"WHERE": str(tmp_path)}


async def test_the_variables_of_the_caller_are_there_for_env_and_params_and_not_for_steps(dagbook: Dagbook) -> None:
    spec = """
env: [UP: above]
steps:
  - {name: go, call: kid}
---
name: kid
env: [TAKEN: "${UP}"]
steps:
  - {command: 'echo "$TAKEN,$UP"', output: SEEN}
"""
    assert (await result(await dagbook.run(spec), "go"))["outputs"] == {"SEEN": "above,"}


async def test_a_repeated_step_calls_a_new_run_each_time(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: go
    call: kid
    repeatPolicy: {{repeat: true, limit: 3, intervalSec: 0}}
---
name: kid
steps:
  - echo $DAG_RUN_ID >> {tmp_path}/ids
"""
    ended = await dagbook.run(spec)
    ids = (tmp_path / "ids").read_text().split()
    assert len(set(ids)) == 3
    assert ids[0] == sub_run_id(ended.details["dagRunId"], "go", "")


async def test_items_run_each_and_their_results_come_in_their_order(dagbook: Dagbook) -> None:
    spec = """
steps:
  - name: fan
    call: kid
    parallel: [slow, bad, quick]
    params: HOW=${ITEM}
    continueOn: failed
---
name: kid
params: HOW=none
steps:
  - {command: 'test $HOW != slow || sleep 0.2; test $HOW != bad; echo $HOW', output: SAID}
"""
    ended = await dagbook.run(spec)
    found = await result(ended, "fan")
    assert found["summary"] == {"total": 3, "succeeded": 2, "failed": 1}
    assert [entry["params"] for entry in found["results"]] == ["HOW=slow", "HOW=bad", "HOW=quick"]
    assert found["outputs"] == [{"SAID": "slow"}, {"SAID": "quick"}]
    assert ended.nodes["fan"]["error"].startswith("1 of 3 items failed: item 'HOW=bad' of DAG 'kid' ended failed: ")


async def test_items_with_the_same_params_are_one_run(dagbook: Dagbook) -> None:
    spec = "steps:\n  - {name: fan, call: kid, parallel: [a, b, a]}\n---\nname: kid\nsteps:\n  - echo $1\n"
    found = await result(await dagbook.run(spec), "fan")
    assert found["summary"]["total"] == 2


async def test_map_items_are_params_by_name(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: fan, call: kid, parallel: [{B: 1, A: x}]}
---
name: kid
steps:
  - {command: echo $A$B, output: OUT}
"""
    assert (await result(await dagbook.run(spec), "fan"))["outputs"] == [{"OUT": "x1"}]


async def test_no_more_items_run_at_once_than_allowed(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: fan
    call: kid
    parallel: {{items: [1, 2, 3, 4, 5, 6], maxConcurrent: 2}}
---
name: kid
steps:
  - |
    touch {tmp_path}/running-$1
    ls {tmp_path} | grep -c running >> {tmp_path}/counts
    sleep 0.05
    rm {tmp_path}/running-$1
"""
    assert (await dagbook.run(spec)).status == "succeeded"
    assert max(map(int, (tmp_path / "counts").read_text().split())) <= 2


@pytest.mark.parametrize(
    ("variable", "text"),
    [("''", "there is no item"), ("'[]'", "there is no item"), (json.dumps(json.dumps([*range(1001)])), "1001 items")],
    ids=["empty", "empty list", "too many"],
)
async def test_no_item_and_too_many_fail_the_step(dagbook: Dagbook, variable: str, text: str) -> None:
    spec = f"""
params: [LIST: {variable}]
steps:
  - {{name: fan, call: kid, parallel: "${{LIST}}"}}
---
name: kid
steps:
  - "true"
"""
    assert text in (await dagbook.run(spec)).nodes["fan"]["error"]


async def test_a_stop_goes_on_to_the_runs_that_are_called_and_starts_no_more(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: fan
    call: kid
    parallel: {{items: [1, 2, 3], maxConcurrent: 1}}
---
name: kid
steps:
  - echo $1 >> {tmp_path}/begun; sleep 30
handlerOn:
  abort: {{command: echo $DAG_RUN_STATUS >> {tmp_path}/aborted}}
"""
    run_id = await dagbook.start(spec)
    await until_written(tmp_path / "begun")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses) == ("aborted", ["aborted"])
    assert (await result(ended, "fan"))["results"][0]["status"] == "aborted"
    assert (tmp_path / "begun").read_text() == "1\n"
    assert (tmp_path / "aborted").read_text() == "aborted\n"


async def test_a_step_out_of_time_ends_the_run_that_it_calls(dagbook: Dagbook) -> None:
    spec = """
maxCleanUpTimeSec: 1
steps:
  - {name: go, call: kid, timeoutSec: 1}
---
name: kid
maxCleanUpTimeSec: 60
steps:
  - trap '' TERM; while :; do sleep 0.05; done
"""
    ended = await dagbook.run(spec)
    assert ended.nodes["go"]["statusLabel"] == "failed"
    assert "time limit" in ended.nodes["go"]["error"]
    assert (await result(ended, "go"))["status"] == "aborted"


async def test_sub_runs_are_in_no_list(dagbook: Dagbook) -> None:
    await dagbook.run(
        "steps:\n  - {call: kid}\n---\nname: kid-of-nobody\nsteps: ['true']\n---\nname: kid\nsteps: ['true']\n"
    )
    answer = await dagbook.client.get("/dag-runs", params={"name": "kid"})
    assert answer.json()["dagRuns"] == []


async def test_a_retried_step_tries_its_run_again_where_it_failed(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: go
    call: kid
    retryPolicy: {{limit: 1, intervalSec: 0}}
---
name: kid
steps:
  - echo first $DAG_RUN_ID >> {tmp_path}/done
  - |
    echo second $DAG_RUN_ID >> {tmp_path}/done
    test $(grep -c second {tmp_path}/done) = 2
"""
    ended = await dagbook.run(spec)
    run_id = sub_run_id(ended.details["dagRunId"], "go", "")
    assert ended.status == "succeeded"
    assert (tmp_path / "done").read_text().split() == ["first", run_id, "second", run_id, "second", run_id]
