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
