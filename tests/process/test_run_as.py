"""A server whose definitions run under another account (setting ``run_as``), and DAGs with an account of their own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.conftest import end
from tests.process.processes import is_alive
from tests.process.program import Program, node
from tests.process.waiting import wait_for

ACCOUNT, OTHER = "nobody", "daemon"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may switch users here")
# Each uses a file of the folder F, which the account could read if it could get there.
PLACES: dict[str, dict[str, Any]] = {
    "a command": {"steps": ["cat F/key"]},
    "a script": {"steps": [{"script": "cat F/key"}]},
    "backticks": {"env": {"V": "`cat F/key`"}, "steps": ["true"]},
    "a command as a condition": {"preconditions": ["test -r F/key"], "steps": ["true"]},
    "backticks in a condition": {
        "preconditions": [{"condition": "`cat F/key`", "expected": "KEY=hidden"}],
        "steps": ["true"],
    },
    "a dotenv file": {"dotenv": "F/key", "steps": ['test "$KEY" = hidden']},
    "a schema of params": {"params": {"schema": "F/schema.json"}, "steps": ["true"]},
    "a file as a secret": {"secrets": [{"name": "S", "provider": "file", "key": "F/key"}], "steps": ["true"]},
    "a called DAG": {"steps": [{"call": "F/called.yaml"}]},
    "the working directory": {"workingDir": "F", "steps": ["cat key"]},
    "the directory of a step": {"steps": [{"workingDir": "F", "command": "cat key"}]},
    "a redirect": {"steps": [{"command": "echo x", "stdout": "F/out"}]},
}
IDENTITY = """
env:
  - NAME_IN_BACKTICKS: "`id -un`"
steps:
  - name: show
    command: echo "$(id -un) $NAME_IN_BACKTICKS $USER $(stat -c %U .)"
"""


@pytest.fixture(scope="module")
def program(migrated_file: Path) -> Iterator[Program]:
    """A server with an account for what definitions run."""
    with tempfile.TemporaryDirectory(prefix="dagbook-test-") as folder:  # pytest's are closed to other accounts
        Path(folder).chmod(0o755)
        home = Path(folder, "home")
        home.mkdir(mode=0o700)
        shutil.copy(migrated_file, home)
        server = Program(home, "", settings={"run_as": ACCOUNT})
        try:
            yield server.start()
        finally:
            end(server)


def _fill(folder: Path) -> None:
    folder.mkdir()
    (folder / "key").write_text("KEY=hidden\n")
    (folder / "schema.json").write_text("{}")
    (folder / "called.yaml").write_text("steps: ['true']")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)


@pytest.fixture(scope="module")
def inside(program: Program) -> Path:
    """A folder in the home, open but for that."""
    _fill(program.home / "open")
    return program.home / "open"


@pytest.fixture(scope="module")
def beside(program: Program) -> Path:
    """The same folder beside the home."""
    _fill(program.home.with_name("open"))
    return program.home.with_name("open")


def _succeeds(program: Program, place: str, folder: Path) -> bool:
    answer = program.api.post_run(json.dumps(PLACES[place]).replace("F", str(folder), 1))
    if answer.status_code == httpx.codes.BAD_REQUEST:
        return False
    return bool(program.api.ended(answer.json()["dagRunId"])["statusLabel"] == "succeeded")


@pytest.mark.parametrize("place", PLACES)
def test_no_text_of_a_definition_reaches_into_the_home(
    program: Program, inside: Path, beside: Path, place: str
) -> None:
    assert _succeeds(program, place, beside)
    assert not _succeeds(program, place, inside)


def test_commands_and_backticks_run_under_the_account_in_a_directory_of_its_own(program: Program) -> None:
    run_id = program.api.start(IDENTITY)
    program.api.ended(run_id)
    assert program.api.log(run_id, "show") == " ".join([ACCOUNT] * 4)


def test_the_directory_of_an_inline_run_is_removed_at_its_end(program: Program) -> None:
    run_id = program.api.start("steps: [{name: show, command: pwd}]")
    program.api.ended(run_id)
    directory = Path(program.api.log(run_id, "show"))
    assert program.home not in directory.parents
    wait_for("the removal of the directory", lambda: not directory.exists())


SUMMARY = """
steps:
  - name: own
    command: |
      id -un > "$DAG_SUMMARY"
      stat -c '%U %a %U' "$(dirname "$DAG_SUMMARY")" >> "$DAG_SUMMARY"
      dirname "$DAG_SUMMARY"
  - {name: link, command: 'ln -s HOME/open/key "$DAG_SUMMARY"'}
  - name: folder
    command: |
      rm -r "$(dirname "$DAG_SUMMARY")"
      ln -s HOME/open "$(dirname "$DAG_SUMMARY")"
  - name: moved
    command: |
      mkdir "$DAG_SUMMARY-other"
      echo hidden > "$DAG_SUMMARY-other/$(basename "$DAG_SUMMARY")"
      mv "$(dirname "$DAG_SUMMARY")" "$(dirname "$DAG_SUMMARY")-before"
      ln -s "$(dirname "$DAG_SUMMARY")-before/$(basename "$DAG_SUMMARY")-other" "$(dirname "$DAG_SUMMARY")"
"""


def test_a_summary_is_read_as_the_account_from_a_folder_of_its_own_that_is_gone_at_the_end(
    program: Program, inside: Path
) -> None:
    (inside / "summary.md").write_text("hidden")
    run_id = program.api.start(SUMMARY.replace("HOME", str(program.home)))
    assert program.api.ended(run_id)["statusLabel"] == "succeeded"
    answer = program.api.client.get(f"/dag-runs/flow/{run_id}/summary").json()["summaries"]
    found = {each["step"]: each["text"] for each in answer}
    assert found["own"] == f"{ACCOUNT}\n{ACCOUNT} 700 {ACCOUNT}\n"
    assert "hidden" not in str(answer)
    assert {step for step, text in found.items() if "is not shown" in text} == {"link", "folder", "moved"}
    folder = Path(program.api.log(run_id, "own"))
    assert program.home not in folder.parents
    wait_for("the removal of the folder", lambda: not folder.exists())


def test_the_streams_of_a_step_can_be_opened_again(program: Program) -> None:
    run_id = program.api.start("steps: [{name: show, shell: sh, command: 'echo seen >>/dev/stdout'}]")
    assert program.api.ended(run_id)["statusLabel"] == "succeeded"
    assert program.api.log(run_id, "show") == "seen"


def test_a_step_cannot_signal_its_server(program: Program) -> None:
    run_id = program.api.start(f"steps: [{{name: kill, command: kill -9 {program.pid}}}]")
    assert node(program.api.ended(run_id), "kill")["statusLabel"] == "failed"
    assert is_alive(program.pid)


def test_a_step_is_stopped_and_outlives_its_server(program: Program, beside: Path) -> None:
    command = f"echo $$ >{beside}/pid; while [ ! -e {beside}/go ]; do sleep 0.05; done"
    spec = f"steps: [{{name: wait, shell: sh, command: '{command}'}}]"
    stopped = program.api.start(spec)
    written = beside / "pid"
    wait_for("the step", lambda: written.exists() and written.read_text())
    pid = int(written.read_text())
    program.api.stop(stopped)
    assert program.api.ended(stopped)["statusLabel"] == "aborted"
    assert not is_alive(pid)

    written.unlink()
    outliving = program.api.start(spec)
    wait_for("the step", written.exists)
    program.kill()
    (beside / "go").touch()
    program.start()
    assert program.api.ended(outliving)["statusLabel"] == "succeeded"


def test_a_dag_may_have_an_account_of_its_own(program: Program) -> None:
    api, path = program.api, "/dags/own/run-as"
    api.store("own", "steps: [{name: show, shell: sh, command: id -un; exit 1}]")
    assert api.client.get(path).json() == {"account": "", "effective": ACCOUNT}
    assert api.client.put(path, json={"account": OTHER}).json() == {"account": OTHER, "effective": OTHER}
    run_id = api.client.post("/dags/own/start", json={}).json()["dagRunId"]
    api.ended(run_id, name="own")
    assert api.log(run_id, "show", name="own") == OTHER

    api.client.put(path, json={"account": ""})
    assert api.client.post(f"/dag-runs/own/{run_id}/retry", json={"dagRunId": run_id}).is_success
    wait_for("the second attempt", lambda: api.log(run_id, "show", name="own") == ACCOUNT)
    entries = api.client.get("/audit", params={"action": "dag.run_as"}).json()["entries"]
    assert [(entry["before"], entry["after"]) for entry in entries][:2] == [
        ({"account": OTHER}, {"account": None}),
        ({"account": None}, {"account": OTHER}),
    ]


@pytest.mark.parametrize(("account", "reason"), [("root", "is root"), ("no-such-account", "there is no account")])
def test_a_dag_gets_no_account_that_is_privileged_or_unknown(program: Program, account: str, reason: str) -> None:
    program.api.client.post("/dags", json={"name": "refusing", "spec": IDENTITY})
    answer = program.api.client.put("/dags/refusing/run-as", json={"account": account})
    assert (answer.status_code, answer.json()["message"][:7]) == (400, "account")
    assert reason in answer.json()["message"]


def test_a_sub_run_runs_under_the_account_of_its_own_dag(program: Program) -> None:
    api = program.api
    api.store("called", "steps: [{name: show, command: id -un, output: WHO}]")
    api.client.put("/dags/called/run-as", json={"account": OTHER})
    run_id = api.start("steps: [{name: call, call: called}]")
    assert api.ended(run_id)["statusLabel"] == "succeeded"
    assert json.loads(api.log(run_id, "call"))["outputs"] == {"WHO": OTHER}


# What a caller may do for programs of its own to run in the DAG that it calls: the text of both, with F as a folder
# that all accounts can write to. Each attack makes F/ran.
ATTACKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "env": ({"env": [{"PATH": "F:/usr/bin:/bin"}]}, {"steps": ["date"]}),
    "env for backticks": (
        {"env": [{"PATH": "F:/usr/bin:/bin"}]},
        {"env": [{"NOW": "`date`"}], "steps": ["true"]},
    ),
    "env for preconditions": (
        {"env": [{"PATH": "F:/usr/bin:/bin"}]},
        {"preconditions": ["date"], "steps": ["true"]},
    ),
    "params": ({"params": "TOOL=F/date"}, {"steps": ['sh -c "$TOOL"']}),
    "the working directory": ({"workingDir": "F"}, {"steps": ["./date"]}),
    "the directory of the step": ({"workingDir of step": "F"}, {"steps": ["./date"]}),
    "a dotenv file": ({"workingDir": "F"}, {"dotenv": ".env", "steps": ["date"]}),
    "a dotenv file and backticks": (
        {"workingDir": "F"},
        {"dotenv": ".env", "steps": ["echo `date`"]},
    ),
}


def _text(attack: dict[str, Any], called: str, folder: Path) -> str:
    own = {name: value for name, value in attack.items() if name in ("env", "workingDir")}
    step = {"name": "go", "call": called}
    if "params" in attack:
        step["params"] = attack["params"]
    if "workingDir of step" in attack:
        step["workingDir"] = attack["workingDir of step"]
    return json.dumps({**own, "steps": [step]}).replace("F", str(folder))


@pytest.fixture(scope="module")
def traps(program: Program) -> Path:
    """A folder with programs and a dotenv file of a caller, which all accounts can use."""
    folder = program.home.with_name("traps")
    folder.mkdir()
    (folder / "date").write_text(f"#!/bin/sh\nid -un >>{folder}/ran\n")
    (folder / ".env").write_text(f"PATH={folder}:/usr/bin:/bin\n")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)
    return folder


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_caller_runs_nothing_in_the_account_of_the_dag_that_it_calls(
    program: Program, traps: Path, attack: str
) -> None:
    api, (caller, callee), ran = program.api, ATTACKS[attack], traps / "ran"
    ran.unlink(missing_ok=True)
    name = "called-" + "".join(letter for letter in attack if letter.isalpha())
    api.store(name, json.dumps({**callee, "steps": [{"name": "show", "command": callee["steps"][0]}]}))
    api.ended(api.start(_text(caller, name, traps)))
    assert set(ran.read_text().split()) == {ACCOUNT}  # within one account the caller's environment is handed on

    ran.unlink()
    api.client.put(f"/dags/{name}/run-as", json={"account": OTHER}).raise_for_status()
    ended = api.ended(api.start(_text(caller, name, traps)))
    assert not ran.exists()
    if attack == "params":
        assert 'params: "TOOL": the DAG declares no such params' in node(ended, "go")["error"]


OWN = 'printf "%s,%s,%s,%s" "$(id -un)" "$FROM_CALLER" "$GIVEN" "$PWD"; test -e '


def test_a_called_dag_of_another_account_starts_and_retries_like_a_run_of_its_own(
    program: Program, traps: Path
) -> None:
    api, go = program.api, traps / "go"
    api.store("apart", json.dumps({"params": "GIVEN=none", "steps": [{"name": "show", "command": f"{OWN}{go}"}]}))
    api.client.put("/dags/apart/run-as", json={"account": OTHER}).raise_for_status()
    directly = api.client.post("/dags/apart/start", json={"params": "GIVEN=1"}).json()["dagRunId"]
    api.ended(directly, name="apart")
    expected = api.log(directly, "show", name="apart")
    assert expected.startswith(f"{OTHER},,1,/")

    text = {"env": {"FROM_CALLER": "yes"}, "workingDir": str(traps), "steps": [{"name": "go", "call": "apart"}]}
    text["steps"][0]["params"] = "GIVEN=1"  # type: ignore[index]
    run_id = api.start(json.dumps(text))
    (sub_run,) = node(api.ended(run_id), "go")["subRuns"]
    path = f"/dag-runs/flow/{run_id}"
    log = f"{path}/sub-dag-runs/{sub_run['dagRunId']}/steps/show/log"
    assert api.client.get(log).json()["content"] == expected
    go.touch()
    api.client.post(f"{path}/retry", json={"dagRunId": run_id}).raise_for_status()
    wait_for("the second attempt", lambda: api.run(run_id)["statusLabel"] == "succeeded")
    assert api.client.get(log).json()["content"] == expected
    go.unlink()


def test_a_called_run_does_not_take_the_environment_of_its_caller_into_another_account(
    program: Program, traps: Path
) -> None:
    api, ran = program.api, traps / "ran"
    ran.unlink(missing_ok=True)
    api.store("moved", "steps: [{name: show, command: date; false}]")
    text = _text(ATTACKS["env"][0], "moved", traps)
    run_id = api.start(text)
    api.ended(run_id)
    assert ran.read_text().split() == [ACCOUNT]
    api.client.put("/dags/moved/run-as", json={"account": OTHER}).raise_for_status()
    path = f"/dag-runs/flow/{run_id}"
    api.client.post(f"{path}/retry", json={"dagRunId": run_id}).raise_for_status()
    wait_for("the second attempt", lambda: "was changed" in node(api.run(run_id), "go").get("error", ""))
    assert ran.read_text().split() == [ACCOUNT]
