"""``dagbook run``: a definition run in the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.app.program import CommandLine, CommandResult, end
from tests.conftest import ROOT
from tests.waiting import until_written

Command = Callable[..., CommandResult]


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def _write(folder: Path, text: str, name: str = "flow.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_run_shows_its_steps_and_their_output_and_works_where_its_file_lies(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / ".env").write_text("FROM=dotenv\n")
    path = _write(folder, "dotenv: .env\nsteps:\n  - {name: first, command: pwd; echo $FROM; echo oops >&2}\n")
    said = command("run", path, "-N", "other", "-r", "mine")
    assert (said.status, said.err) == (0, "  oops\n")
    assert said.out.splitlines() == ["other  mine", "▶ first", f"  {folder}", "  dotenv", "✓ first", "succeeded"]


def test_a_run_that_fails_ends_with_1_and_tells_why(command: Command, tmp_path: Path) -> None:
    path = _write(tmp_path, "steps:\n  - {name: first, command: exit 7}\n  - {name: next, command: 'true'}\n")
    said = command("run", path)
    assert said.status == 1
    assert "exit status 7" in said.out
    assert said.out.splitlines()[-1] == "failed"
    assert command("run", path, "--quiet")[:2] == (1, "")


def test_a_run_that_lacks_a_secret_tells_which(command: Command, tmp_path: Path) -> None:
    text = "secrets: [{name: S, provider: env, key: SURELY_NOT_SET}]\nsteps: [{command: echo}]\n"
    said = command("run", _write(tmp_path, text))
    assert said.status == 1
    assert "secret S: the environment variable 'SURELY_NOT_SET' is not set" in said.err


@pytest.mark.parametrize("text", ["steps: [", "steps: [{comand: x}]", "steps: [{command: x, depends: no}]", "# c"])
def test_a_broken_file_is_told_before_anything_is_opened(command: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "dagbook.sqlite3").unlink()
    path = _write(tmp_path, text)
    said = command("run", path)
    assert (said.status, said.out) == (1, "")
    assert str(path) in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "dagbook.sqlite3").exists()


def test_a_file_that_cannot_be_read_is_told_in_a_sentence(command: Command, tmp_path: Path) -> None:
    said = command("run", tmp_path / "none.yaml")
    assert (said.status, "none.yaml" in said.err, "Traceback" in said.err) == (1, True, False)
    path = tmp_path / "flow.yaml"
    path.write_bytes(b"\xff\xfe")
    assert command("run", path) == CommandResult(1, "", f"Error: {path}: is not UTF-8 text\n")


async def test_an_interrupted_run_is_stopped_and_ends_with_0(line: CommandLine) -> None:
    ready = line.home / "ready"
    path = _write(line.home, f"steps:\n  - {{name: first, command: echo on > {ready}; sleep 30}}\n")
    process = await line.begin("run", path)
    await until_written(ready)
    process.send_signal(signal.SIGINT)
    said = await end(process)
    assert (said.status, "aborted" in said.out) == (0, True), said


async def test_beside_a_server_a_run_goes_through_it_and_an_id_counts_once(line: CommandLine) -> None:
    path = _write(line.home, "steps:\n  - {name: first, command: echo hello}\n")
    async with line.server() as address:
        said = await line.run("run", path, "--run-id", "beside")
        assert (said.status, "  hello\n" in said.out) == (0, True), said
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{address}/api/v2/dag-runs/flow/beside")
        assert answer.json()["dagRunDetails"]["statusLabel"] == "succeeded"
        again = await line.run("run", path, "--run-id", "beside")
        assert (again.status, again.err) == (1, "Error: run 'beside' of DAG 'flow' exists already\n")


def test_where_nothing_may_be_run_a_command_runs_nothing_either(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGBOOK_PERMISSIONS_RUN_DAGS", "false")
    said = command("run", _write(tmp_path, "steps:\n  - command: echo hello\n"))
    assert (said.status, "permissions_run_dags is false" in said.err) == (1, True), said


DAGU = {"DAGU_AUTH_MODE": "builtin", "DAGU_PORT": "1", "DAGU_BASE_CONFIG": "x", "DAGU_LOG_DIR": "y"}


@pytest.fixture
def _set_for_dagu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name, text in DAGU.items():
        monkeypatch.setenv(name, text)


@pytest.mark.usefixtures("_set_for_dagu")
def test_what_configures_dagu_is_told_in_one_line(command: Command, tmp_path: Path) -> None:
    file = _write(tmp_path, "steps: [{command: echo hello}]\n")
    said = command("run", file)
    assert (said.status, "DAGU" in said.out, said.err.count("\n")) == (0, False, 1)
    assert said.err.startswith("Notice: ")
    assert "DAGU_AUTH_MODE is set: Dagbook's is DAGBOOK_AUTH_MODE" in said.err
    assert all(f"{name} is set: " in said.err for name in DAGU)
    given = command("run", file, "--base-config", "x").err  # a setting that is given
    assert ("DAGU_PORT" in given, "DAGU_BASE_CONFIG" in given) == (True, False)
    assert command("run", file, "-q").err == ""


@pytest.mark.usefixtures("_set_for_dagu")
async def test_a_run_that_a_step_starts_tells_nothing_of_the_server_s_variables(tmp_path: Path) -> None:
    inner = _write(tmp_path, "steps: [{command: echo inner}]\n", "inner.yaml")
    program = f"PYTHONPATH={ROOT}/app {sys.executable} -m dagbook run --home {tmp_path}/inner {inner}"
    outer = _write(tmp_path, f'steps: [{{command: "{program}; env"}}]\n')
    said = await CommandLine(tmp_path).run("run", outer)
    assert said.status == 0, said
    assert "    inner\n" in said.out
    assert "DAGU_PORT=1\n" in said.out  # the step has the variable
    assert (said.err.count("Notice"), "Notice" in said.out) == (1, False)
