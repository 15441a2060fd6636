"""What a run gets of the last success of its DAG: ``DAG_LAST_OUTPUTS`` and ``DAG_LAST_SUCCESS_AT``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from dagbook.db.models.run import Run
from dagbook.main import Server
from tests.app.dagbook import Dagbook, FinishedRun
from tests.statements import noting_statements

COUNT = """
params:
  - SINCE: "${DAG_LAST_OUTPUTS.lastId}"
steps:
  - name: count
    command: echo $(( ${SINCE:-0} + 10 ))
    output: LAST_ID
"""


def since(run: FinishedRun) -> str:
    [param] = run.details["paramsList"]
    return str(param.removeprefix("SINCE="))


async def retried(run: FinishedRun, dagbook: Dagbook) -> FinishedRun:
    run_id = run.details["dagRunId"]
    answer = await dagbook.client.post(f"{run.path}/retry", json={"dagRunId": run_id})
    assert answer.status_code == 200, answer.text
    return await dagbook.finished(run_id)


async def change(server: Server, name: str, run_id: str, **values: Any) -> None:
    statement = update(Run).where(Run.dag_name == name, Run.run_id == run_id).values(**values)
    await server.services.runs.database.write(lambda connection: connection.execute(statement))


@pytest.mark.both_engines
@pytest.mark.always
async def test_each_run_begins_where_the_last_success_ended(dagbook: Dagbook) -> None:
    runs = [await dagbook.run(COUNT) for _ in range(3)]
    assert [since(run) for run in runs] == ["", "10", "20"]
    assert [run.details.get("beganFrom") for run in runs] == [None, *(run.details["dagRunId"] for run in runs[:2])]


async def test_a_person_starts_from_elsewhere_with_a_param(dagbook: Dagbook) -> None:
    await dagbook.run(COUNT)
    assert since(await dagbook.run(COUNT, params="SINCE=500")) == "500"
    assert since(await dagbook.run(COUNT)) == "510"


async def test_a_run_that_fails_after_its_output_changes_nothing_and_its_retry_sees_the_old_value(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"{COUNT}  - {{name: check, command: test -e {tmp_path}/good}}\n"
    await dagbook.run(COUNT)
    failed = await dagbook.run(spec)
    assert (failed.status, since(failed)) == ("failed", "10")
    assert since(await dagbook.run(COUNT)) == "10"
    (tmp_path / "good").touch()
    again = await retried(failed, dagbook)
    assert (again.status, since(again)) == ("succeeded", "10")
    assert since(await dagbook.run(COUNT)) == "20"  # of the newest by its creation, not by its end


async def test_a_run_that_succeeds_in_part_is_not_the_last_success(dagbook: Dagbook) -> None:
    await dagbook.run(COUNT)
    partly = await dagbook.run(f"{COUNT}  - {{name: check, command: 'false', continueOn: failed}}\n")
    assert partly.status == "partially_succeeded"
    assert since(await dagbook.run(COUNT)) == "10"


async def test_of_two_queued_runs_the_second_begins_from_the_first(
    dagbook: Dagbook, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    gate = f"  - {{name: gate, command: 'until [ -e {tmp_path}/go ]; do sleep 0.02; done'}}\n"
    assert (await client.post("/dags", json={"name": dagbook.name, "spec": COUNT + gate})).status_code == 201
    queued = []
    for _ in range(2):
        answer = await client.post(f"/dags/{dagbook.name}/enqueue", json={})
        queued.append(answer.json()["dagRunId"])
    assert (await dagbook.get(queued[1]))["statusLabel"] == "queued"
    (tmp_path / "go").touch()
    assert [since(await dagbook.finished(run_id)) for run_id in queued] == ["", "10"]


@pytest.mark.parametrize("trigger", ["backfill", "recall"])
async def test_a_run_for_a_past_time_reads_the_last_success_and_is_none(
    dagbook: Dagbook, server: Server, trigger: str
) -> None:
    await dagbook.run(COUNT)
    past = await dagbook.run(COUNT)
    await change(server, dagbook.name, past.details["dagRunId"], trigger=trigger)
    assert (since(past), since(await dagbook.run(COUNT))) == ("10", "10")


async def test_the_start_is_that_of_the_first_attempt_whose_steps_a_retry_keeps(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"steps: [{{name: load, command: 'true'}}, {{name: check, command: test -e {tmp_path}/good}}]\n"
    show = "steps: [{name: show, command: 'echo \"$DAG_LAST_SUCCESS_AT\"'}]\n"
    assert await (await dagbook.run(show)).log("show") == ""
    failed = await dagbook.run(spec)
    (tmp_path / "good").touch()
    second = (await retried(failed, dagbook)).details["startedAtMillis"]
    at = datetime.fromisoformat(await (await dagbook.run(show)).log("show")).timestamp() * 1000
    assert failed.details["startedAtMillis"] <= at < second


@pytest.mark.both_engines
async def test_only_a_definition_that_names_the_variables_reads_them(dagbook: Dagbook) -> None:
    read: list[str] = []

    def note(statement: str, *_: Any) -> None:
        if "first_started_at" in statement or "FROM run_inputs" in statement:
            read.append(statement)

    plain = "steps: [{name: a, command: echo a, output: A}]  # DAG_LAST_OUTPUTS\n"
    with noting_statements(note):
        await dagbook.run(plain)
        assert read == []
        await dagbook.run(COUNT)
        assert len(read) > 0


async def test_an_output_is_data_wherever_it_is_put_in(dagbook: Dagbook, tmp_path: Path) -> None:
    value = f'it\'s "x" `touch {tmp_path}/ran` $(touch {tmp_path}/ran) $HOME ${{HOME}} \\ *'
    (tmp_path / "value").write_text(value)
    spec = f"""
params: [{{P: "${{DAG_LAST_OUTPUTS.value}}"}}]
env: [{{E: "${{DAG_LAST_OUTPUTS.value}}"}}]
steps:
  - {{name: param, command: printenv P}}
  - {{name: env, command: printenv E}}
  - {{name: text, command: 'echo "${{DAG_LAST_OUTPUTS.value}}"'}}
  - {{name: json, command: printenv DAG_LAST_OUTPUTS}}
  - {{name: set, command: cat {tmp_path}/value, output: VALUE}}
"""
    await dagbook.run(spec.replace("printenv", "true"))
    run = await dagbook.run(spec)
    assert [await run.log(step) for step in ("param", "env", "text")] == [value] * 3
    assert json.loads(await run.log("json"))["value"] == value
    assert not (tmp_path / "ran").exists()


async def test_outputs_too_long_for_a_variable_are_still_read_by_texts(dagbook: Dagbook) -> None:
    spec = """
params: [{P: "${DAG_LAST_OUTPUTS.tail}"}, {C: "`echo still`"}]
steps:
  - name: show
    command: test -z "$(printenv DAG_LAST_OUTPUTS)" && echo "${P} ${C} ${DAG_LAST_OUTPUTS.tail}"
  - {name: tail, command: echo end, output: TAIL}
  - {name: big, command: "head -c 1000000 /dev/zero | tr '\\\\0' x", output: BIG}
"""
    first = await dagbook.run(spec.replace("test -z", "true"))
    assert first.status == "succeeded"
    assert await (await dagbook.run(spec)).log("show") == "end still end"


async def test_secrets_in_outputs_are_masked(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cr3t-value")
    spec = f"""
secrets: [{{name: SEC, provider: file, key: {tmp_path}/secret}}]
steps:
  - {{name: show, command: 'echo "${{DAG_LAST_OUTPUTS.found}}" | wc -c'}}
  - {{name: find, command: echo "got $SEC", output: FOUND}}
"""
    await dagbook.run(spec)
    assert await (await dagbook.run(spec)).log("show") == str(len("got *******\n"))


async def test_a_redacted_definition_loses_no_outputs(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    own = f"# {dagbook.name}{COUNT}"  # the text of no other test
    for number, spec in enumerate((own, f"{own}# new\n")):
        way = client.put if number else client.post
        path, body = (f"/dags/{dagbook.name}/spec", {}) if number else ("/dags", {"name": dagbook.name})
        assert (await way(path, json={**body, "spec": spec})).is_success
        answer = await client.post(f"/dags/{dagbook.name}/start", json={})
        run = await dagbook.finished(answer.json()["dagRunId"])
        if not number:
            assert (await client.put(f"/dags/{dagbook.name}/spec", json={"spec": "steps: []\n"})).is_success
            assert (await client.post(f"/dags/{dagbook.name}/revisions/1/redact")).is_success
    assert since(run) == "10"


async def test_a_renamed_dag_begins_anew(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    for name in (dagbook.name, f"{dagbook.name}-new"):
        if name == dagbook.name:
            await client.post("/dags", json={"name": name, "spec": COUNT})
        else:
            answer = await client.post(f"/dags/{dagbook.name}/rename", json={"newFileName": name})
            assert answer.is_success, answer.text
        run_id = (await client.post(f"/dags/{name}/start", json={})).json()["dagRunId"]
        assert since(await dagbook.finished(run_id, name)) == ""


async def test_a_clean_up_says_which_run_it_leaves_out_until_the_dag_is_deleted(
    dagbook: Dagbook, client: httpx.AsyncClient
) -> None:
    assert (await client.post("/dags", json={"name": dagbook.name, "spec": COUNT})).status_code == 201
    ids = []
    for _ in range(2):
        ids.append((await client.post(f"/dags/{dagbook.name}/start", json={})).json()["dagRunId"])
        await dagbook.finished(ids[-1])
    body = {"dagName": dagbook.name, "keep": 0}
    for extra in ({"dryRun": True}, {}):
        answer = (await client.post("/retention/cleanup", json=body | extra)).json()
        assert (answer["runs"], answer["kept"]) == (1, [{"name": dagbook.name, "dagRunId": ids[1]}])
    await client.delete(f"/dags/{dagbook.name}")
    answer = (await client.post("/retention/cleanup", json=body)).json()
    assert (answer["runs"], "kept" in answer) == (1, False)


async def test_the_run_from_which_the_next_one_begins_has_a_name_that_no_run_may_take(
    dagbook: Dagbook, client: httpx.AsyncClient
) -> None:
    first = await dagbook.run(COUNT)
    await dagbook.run(f"{COUNT}  - {{name: check, command: 'false'}}\n")
    answer = await client.get(f"/dag-runs/{dagbook.name}/last-success/outputs")
    assert (answer.json()["metadata"]["dagRunId"], answer.json()["outputs"]) == (
        first.details["dagRunId"],
        {"lastId": "10"},
    )
    taken = await client.post("/dag-runs", json={"spec": COUNT, "name": dagbook.name, "dagRunId": "last-success"})
    assert (taken.status_code, "reserved" in taken.json()["message"]) == (400, True)
