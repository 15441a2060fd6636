"""What the format gained up to 1.30.3, run: command lines, merged logs, outputs, dotenv, params as JSON, chat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.dagbook import Dagbook, FinishedRun
from tests.waiting import wait_until


async def _page(ended: FinishedRun, step: str, **range_: int) -> dict[str, Any]:
    answer = await ended.client.get(f"{ended.path}/steps/{step}/log", params=range_)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_command_lines_run_one_after_another_each_in_a_process_of_its_own(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
steps:
  - name: a
    command: ["cd /; X=1", "echo [$X]; echo $$ >&2", 'echo "three" | tr a-z A-Z']
    output: ALL
  - name: b
    command: echo "<${ALL}>"
""")
    assert (ended.status, await ended.log("a")) == ("succeeded", "[]\nTHREE")
    assert await ended.log("b") == "<[]\nTHREE>"
    step = ended.nodes["a"]["step"]
    assert step["cmdWithArgs"] == 'cd /; X=1\necho [$X]; echo $$ >&2\necho "three" | tr a-z A-Z'
    assert [each["command"] for each in step["commands"]] == ["cd", "echo", "echo"]


async def test_the_first_line_that_fails_ends_the_step_with_its_code_and_its_part_of_stderr(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
steps:
  - name: a
    command: ["echo first >&2; true", "echo second >&2; exit 7", "echo third"]
    continueOn: {exitCode: [7]}
  - name: b
    command: echo on
""")
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["failed", "succeeded"])
    error = ended.nodes["a"]["error"]
    assert error.startswith("line 2: exit status 7")
    assert "second" in error
    assert "first" not in error
    assert await ended.log("a") == ""


async def test_a_retry_of_command_lines_begins_with_the_first(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
steps:
  - name: a
    command: ["echo one; true", "mkdir once && exit 1 || true", "echo two"]
    retryPolicy: {limit: 1, intervalSec: 0}
""")
    assert (ended.status, await ended.log("a")) == ("succeeded", "one\none\ntwo")


async def test_the_lines_of_another_shell_and_of_none(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
steps:
  - name: a
    shell: python3
    command: ["print(1 + 1)", "print(2 + 2)"]
  - name: b
    shell: direct
    command: ["echo $HOME a", "printf %s\\\\n b"]
""")
    assert (ended.status, await ended.log("a")) == ("succeeded", "2\n4")
    assert (await ended.log("b")).splitlines()[-1] == "b"


async def test_a_stop_begins_no_further_line(dagbook: Dagbook) -> None:
    run = await dagbook.start("""
steps:
  - name: a
    command: ["trap 'exit 0' TERM; echo up; sleep 60 & wait", "echo never"]
""")
    await dagbook.running(run, "a", "up")
    ended = await dagbook.stop(run)
    assert (ended.status, await ended.log("a")) == ("aborted", "up")


async def test_a_merged_log_has_both_streams_while_output_has_stdout_alone(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
logOutput: merged
steps:
  - name: a
    command: echo one; sleep 0.6; echo two >&2; sleep 0.6; echo three
    output: CAPTURED
  - name: b
    command: echo "${CAPTURED}"; echo apart >&2
    logOutput: separate
""")
    assert await ended.log("a") == "one\ntwo\nthree"
    assert await ended.log("a", stream="stderr") == "one\ntwo\nthree"
    assert ended.nodes["a"]["stdout"] == ended.nodes["a"]["stderr"]
    assert await ended.log("b") == "one\nthree"
    assert await ended.log("b", stream="stderr") == "apart"


async def test_a_page_of_a_merged_log_is_counted_over_both_streams(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
logOutput: merged
steps: [{name: a, command: "echo 1; echo 2; sleep 0.6; echo 3 >&2; sleep 0.6; printf 4"}]
""")
    page = await _page(ended, "a", offset=2, limit=2)
    assert (page["content"], page["totalLines"], page["lineCount"]) == ("2\n3", 4, 2)
    tail = await _page(ended, "a", tail=2)
    assert tail["content"] == "3\n4"


async def test_the_outputs_of_a_run_are_collected_by_key(dagbook: Dagbook) -> None:
    ended = await dagbook.run(
        """
steps:
  - {name: a, command: echo 42, output: {name: TOTAL_COUNT}}
  - {name: b, command: echo x, output: {name: B, key: named}}
  - {name: c, command: echo y, output: {name: C, omit: true}}
  - {name: d, command: "echo ${C}; exit 3", output: last, continueOn: failed}
  - {name: e, command: echo later, output: {name: E, key: named}}
""",
        params="P=1 two",
    )
    found = (await ended.client.get(f"{ended.path}/outputs")).json()
    assert found["outputs"] == {"totalCount": "42", "last": "y", "named": "later"}
    assert found["metadata"]["status"] == "partially_succeeded"
    assert json.loads(found["metadata"]["params"]) == ["P=1", "2=two"]


async def test_later_dotenv_files_win_and_missing_ones_are_passed_over(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=base\nB=base\nC=base\n")
    (tmp_path / "one.env").write_text("B=one\nC=one\n")
    (tmp_path / "two.env").write_text("C=two\n")
    ended = await dagbook.run(f"""
workingDir: {tmp_path}
dotenv: [one.env, missing.env, two.env]
steps: [{{name: a, command: 'echo "$A $B $C"'}}]
""")
    assert await ended.log("a") == "base one two"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", '{"A":"x y","B":"two"}'), ('{"A": 1}', '{"A": 1}'), ("A=<&> three", '{"A":"<&>","B":"two","2":"three"}')],
)
async def test_steps_see_the_params_as_json(dagbook: Dagbook, given: str, expected: str) -> None:
    spec = 'params: B=two A="x y"\nsteps: [{name: a, command: \'printf %s "$DAGU_PARAMS_JSON"\'}]'
    ended = await dagbook.run(spec, params=given)
    assert json.loads(await ended.log("a")) == json.loads(expected)
    if given.startswith("{"):
        assert await ended.log("a") == given


async def test_texts_see_the_params_as_json_too(dagbook: Dagbook, tmp_path: Path) -> None:
    shown = '{"A":"x $(touch hit)","B":"two"}'
    (tmp_path / "json").write_text(shown)
    ended = await dagbook.run(
        f"""
workingDir: {tmp_path}
params: B=two
steps:
  - {{name: path, command: 'echo "${{DAGU_PARAMS_JSON.A}}"'}}
  - {{name: shell, script: 'echo "${{DAGU_PARAMS_JSON}}" "${{DAGU_PARAMS_JSON.B}}"'}}
  - name: python
    shell: python3
    script: |
      print("${{DAGU_PARAMS_JSON}}", "${{DAGU_PARAMS_JSON.B}}")
  - {{name: jq, type: jq, command: .B, script: "${{DAGU_PARAMS_JSON}}"}}
  - {{name: backticks, env: [V: '`printenv DAGU_PARAMS_JSON`'], command: printenv V}}
  - {{name: condition, preconditions: ['test "${{DAGU_PARAMS_JSON}}" = "`cat json`"'], command: echo yes}}
  - {{name: member, preconditions: ['test "${{DAGU_PARAMS_JSON.B}}" = two'], command: echo yes}}
  - {{name: expected, preconditions: [{{condition: "${{DAGU_PARAMS_JSON.B}}", expected: two}}], command: echo yes}}
""",
        params='A="x $(touch hit)"',
    )
    logs = {name: await ended.log(name) for name in ended.nodes}
    assert logs == {
        "path": "x $(touch hit)",
        "shell": f"{shown} two",
        "python": f"{shown} two",
        "jq": '"two"',
        "backticks": shown,
        **dict.fromkeys(("condition", "member", "expected"), "yes"),
    }
    assert not (tmp_path / "hit").exists()


async def test_without_params_there_is_no_json_of_them(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'echo \"[${DAGU_PARAMS_JSON-unset}]\"'}]")
    assert await ended.log("a") == "[unset]"


async def test_a_tolerated_output_is_found_in_stderr_only_in_a_merged_log(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
steps:
  - {name: merged, command: echo DONE >&2; exit 1, logOutput: merged, continueOn: {output: DONE, markSuccess: true}}
  - {name: separate, command: echo DONE >&2; exit 1, continueOn: {output: DONE, markSuccess: true}}
""")
    assert ended.statuses == ["succeeded", "failed"]


async def test_validation_has_warnings_and_is_valid(dagbook: Dagbook) -> None:
    spec = "steps: [{command: [pwd, ls -l]}]"
    answer = (await dagbook.client.post("/dags/validate", json={"spec": spec})).json()
    assert answer["valid"] is True
    assert "steps[0].command: is read as one program with arguments" in answer["warnings"][0]


async def test_a_chat_step_fails_with_one_sentence(dagbook: Dagbook) -> None:
    ended = await dagbook.run("""
steps:
  - name: ask
    type: chat
    llm: {provider: openai, model: m}
    messages: [{role: user, content: hi}]
    continueOn: {exitCode: [1]}
  - echo on
""")
    assert ended.statuses == ["failed", "succeeded"]
    assert ended.nodes["ask"]["error"] == "steps of type chat are not supported: Dagbook calls no language models"


# -- approvals ----------------------------------------------------------------------------------------------------

GATED = """
type: graph
steps:
  - {name: gate, type: hitl, config: {prompt: "Ship ${TO}?", input: [WHO, WHY], required: [WHO]}, env: [TO: prod]}
  - {name: other, command: echo other}
  - {name: behind, command: 'echo "${WHO}: ${WHY}"', depends: gate}
handlerOn:
  wait: {command: 'echo "$DAG_WAITING_STEPS $DAG_RUN_STATUS"'}
"""


async def _waiting(dagbook: Dagbook, run: str, step: str = "gate") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        details = await dagbook.get(run)
        node = next(node for node in details["nodes"] if node["step"]["name"] == step)
        return node if "waiting" in node else None

    return await wait_until(look)


async def _decide(dagbook: Dagbook, run: str, what: str, step: str = "gate", **body: Any) -> httpx.Response:
    return await dagbook.client.post(f"/dag-runs/{dagbook.name}/{run}/steps/{step}/{what}", json=body)


async def test_a_run_waits_for_an_approval_and_goes_on_with_its_values(dagbook: Dagbook) -> None:
    run = await dagbook.start(GATED)
    node = await _waiting(dagbook, run)
    assert (node["statusLabel"], node["reason"]) == ("running", "waits for approval")
    assert node["waiting"]["prompt"] == "Ship prod?"
    assert (node["waiting"]["input"], node["waiting"]["required"]) == (["WHO", "WHY"], ["WHO"])
    answer = await _decide(dagbook, run, "approve", inputs={"WHO": "ada"})
    assert answer.json() == {"dagRunId": run, "stepName": "gate", "resumed": True}
    ended = await dagbook.finished(run)
    assert (ended.status, await ended.log("behind")) == ("succeeded", "ada: ")
    gate = ended.nodes["gate"]
    assert (gate["approvedBy"], gate["approvalInputs"]) == ("anonymous", {"WHO": "ada"})
    assert "waiting" not in gate
    assert gate["step"]["executorConfig"] == {"type": "hitl"}
    assert "Ship prod?" in await ended.log("gate")


async def test_what_a_step_asks_is_in_its_log_while_it_waits(dagbook: Dagbook) -> None:
    run = await dagbook.start("steps: [{name: gate, type: hitl, config: {prompt: Ship it?, input: [WHO]}}]")
    await dagbook.running(run, "gate", "Ship it?\ninput: WHO")
    assert (await dagbook.stop(run)).status == "aborted"


async def test_at_rest_the_wait_handler_knows_the_steps(dagbook: Dagbook) -> None:
    run = await dagbook.start(GATED)
    await _waiting(dagbook, run)

    async def look() -> bool:
        details = await dagbook.get(run)
        return bool(details["onWait"]["statusLabel"] == "succeeded")

    await wait_until(look)
    await _decide(dagbook, run, "approve", inputs={"WHO": "ada"})
    ended = await dagbook.finished(run)
    assert await ended.log("onWait") == "gate waiting"


async def test_a_rejected_step_fails_and_asks_again_in_a_retry(dagbook: Dagbook) -> None:
    run = await dagbook.start("""
steps:
  - {name: first, type: hitl, config: {input: A}}
  - {name: gate, type: hitl, continueOn: failed, retryPolicy: {limit: 3, intervalSec: 0}}
  - {name: behind, command: 'echo "${A}"'}
handlerOn: {failure: {command: echo failed}}
""")
    await _waiting(dagbook, run, "first")
    await _decide(dagbook, run, "approve", "first", inputs={"A": "kept"})
    await _waiting(dagbook, run)
    answer = await _decide(dagbook, run, "reject", reason="not today")
    assert answer.json() == {"dagRunId": run, "stepName": "gate"}
    ended = await dagbook.finished(run)
    assert (ended.status, ended.statuses) == ("failed", ["succeeded", "failed", "aborted"])
    gate = ended.nodes["gate"]
    assert gate["error"] == "rejected by anonymous: not today"
    assert (gate["rejectedBy"], gate["rejectionReason"], gate["retryCount"]) == ("anonymous", "not today", 0)
    assert await ended.log("onFailure") == "failed"
    await dagbook.client.post(f"{ended.path}/retry", json={"dagRunId": run})
    await _waiting(dagbook, run)
    await _decide(dagbook, run, "approve")
    again = await dagbook.finished(run)
    assert (again.status, await again.log("behind")) == ("succeeded", "kept")


@pytest.mark.parametrize(
    ("what", "body", "message"),
    [
        ("approve", {}, "inputs: WHO: must be given to approve this step"),
        ("approve", {"inputs": {"WHO": " "}}, "inputs: WHO: must be given"),
        (
            "approve",
            {"inputs": {"WHO": "x", "NO": "y"}},
            "inputs: 'NO': the step has no such input; it asks for WHO, WHY",
        ),
        ("approve", {"inputs": {"WHO": "x" * 40_000}}, "inputs: 'WHO': a value may have 32,768 characters"),
        ("reject", {"reason": "x" * 5_000}, "reason: has 5,000 characters"),
    ],
)
async def test_a_decision_that_does_not_fit_is_refused(
    dagbook: Dagbook, what: str, body: dict[str, Any], message: str
) -> None:
    run = await dagbook.start(GATED)
    await _waiting(dagbook, run)
    answer = await _decide(dagbook, run, what, **body)
    assert (answer.status_code, message in answer.json()["message"]) == (400, True), answer.text
    await dagbook.stop(run)


async def test_a_step_that_waits_for_nothing_cannot_be_decided(dagbook: Dagbook) -> None:
    run = await dagbook.start(GATED)
    await _waiting(dagbook, run)
    assert (await _decide(dagbook, run, "approve", "other")).json()[
        "message"
    ] == "step 'other' does not wait for approval"
    assert (await _decide(dagbook, run, "approve", "nope")).status_code == 404
    ended = await dagbook.stop(run)
    assert (ended.status, ended.nodes["gate"]["statusLabel"]) == ("aborted", "aborted")
    assert (await _decide(dagbook, run, "approve", inputs={"WHO": "a"})).status_code == 400


async def test_the_time_limit_of_the_run_stands_still_while_only_approvals_are_open(dagbook: Dagbook) -> None:
    run = await dagbook.start(
        "timeoutSec: 2\nsteps: [{name: gate, type: hitl, timeoutSec: 3}, {name: b, command: echo}]"
    )
    ended = await dagbook.finished(run)
    assert (ended.status, ended.statuses) == ("failed", ["failed", "aborted"])
    assert "the step's time limit is 3 s" in ended.nodes["gate"]["error"]


async def test_an_approval_takes_no_place_of_the_active_steps(dagbook: Dagbook) -> None:
    run = await dagbook.start(
        "type: graph\nmaxActiveSteps: 1\nsteps: [{name: gate, type: hitl}, {name: other, command: echo other}]"
    )
    await _waiting(dagbook, run)
    await dagbook.running(run, "other", "other")
    await _decide(dagbook, run, "approve")
    assert (await dagbook.finished(run)).status == "succeeded"


async def test_the_output_of_an_approval_is_its_values_as_json(dagbook: Dagbook) -> None:
    run = await dagbook.start("""
steps:
  - {name: gate, type: hitl, config: {input: [A, B]}, output: GIVEN}
  - {name: b, command: 'printf %s "${GIVEN}"'}
""")
    await _waiting(dagbook, run)
    await _decide(dagbook, run, "approve", inputs={"A": "1"})
    ended = await dagbook.finished(run)
    assert await ended.log("b") == '{"A": "1"}'


async def test_the_approval_of_a_called_dag_is_given_below_its_caller(dagbook: Dagbook) -> None:
    run = await dagbook.start("""
steps: [{name: call, call: kid, output: RESULT}, {name: after, command: echo done}]
---
name: kid
steps: [{name: gate, type: hitl, config: {input: A}}, {name: b, command: 'echo "${A}"', output: OUT}]
""")

    async def look() -> dict[str, Any] | None:
        found = (await dagbook.client.get("/approvals")).json()["approvals"]
        return next((one for one in found if one.get("rootDAGRunId") == run), None)

    waiting = await wait_until(look)
    assert (waiting["dagName"], waiting["stepName"], waiting["rootDAGRunName"]) == ("kid", "gate", dagbook.name)
    path = f"/dag-runs/{dagbook.name}/{run}/sub-dag-runs/{waiting['dagRunId']}/steps/gate/approve"
    assert (await dagbook.client.post(path, json={"inputs": {"A": "x"}})).json()["resumed"] is True
    assert (await dagbook.finished(run)).status == "succeeded"


async def test_the_inbox_lists_what_is_waited_for(dagbook: Dagbook) -> None:
    run = await dagbook.start(GATED)
    await _waiting(dagbook, run)
    found = (await dagbook.client.get("/approvals")).json()
    mine = [one for one in found["approvals"] if one["dagRunId"] == run]
    assert [(one["stepName"], one["prompt"], one["required"]) for one in mine] == [("gate", "Ship prod?", ["WHO"])]
    await dagbook.stop(run)
    left = (await dagbook.client.get("/approvals")).json()["approvals"]
    assert [one for one in left if one["dagRunId"] == run] == []
