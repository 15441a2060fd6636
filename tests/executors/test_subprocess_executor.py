"""Executors that run as a Python subprocess: how they get their job, and how they report errors."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dagbook.executors.contract import ExecutionFiles, Job, SetupError, SharedConfig
from dagbook.executors.subprocess_executor import ProgramError, python_command, read_job, run_program
from dagbook.spec.model import Smtp

JOB = Job(
    type="jq",
    id="1-1-0-1",
    program=".",
    args=("a", "b"),
    line=". a b",
    script='"\udcff"',  # what no UTF-8 is reaches us like this, from the environment
    config={"n": 2**70, "f": float("inf"), "l": [1, {"k": None}], "t": "ü\0"},
    cwd=Path("/tmp/ü\udcff"),
    env={"SECRET": "hunter2"},
    shared=SharedConfig(smtp=Smtp(password="hunter2")),  # noqa: S106 - to be found where it must not be
)


def test_a_job_arrives_unchanged_without_environment_and_shared_config(files: ExecutionFiles) -> None:
    command = python_command("some.module", JOB, files)
    assert "hunter2" not in files.path("job").read_text()
    assert read_job(["", command.argv[-1]]) == msgspec.structs.replace(JOB, env={}, shared=SharedConfig())


def test_the_environment_goes_to_the_process(files: ExecutionFiles) -> None:
    assert python_command("some.module", JOB, files).env == JOB.env


def test_the_file_of_a_job_is_private_and_read_once(files: ExecutionFiles) -> None:
    path = python_command("some.module", JOB, files).argv[-1]
    assert Path(path).stat().st_mode & 0o077 == 0
    read_job(["", path])
    assert not Path(path).exists()


def test_a_spool_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    files = ExecutionFiles(f"{tmp_path}/no/a", tmp_path / "a.out", tmp_path / "a.err")
    with pytest.raises(SetupError, match="the spool could not be written"):
        python_command("some.module", JOB, files)


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (ProgramError("what went wrong", 12), 12, "what went wrong\n"),
        (MemoryError(), 1, "the step needs more memory than there is\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "the step could not continue: [Errno 28] No space left on device\n",
        ),
    ],
)
def test_an_error_is_one_line_on_stderr_and_an_exit_code(
    error: Exception,
    code: int,
    stderr: str,
    files: ExecutionFiles,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def main(job: Job) -> int:  # noqa: ARG001 - what every program takes
        raise error

    monkeypatch.setattr("sys.argv", ["", python_command("some.module", JOB, files).argv[-1]])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the tests keep their own way to be interrupted
    assert run_program(main) == code
    assert capsys.readouterr() == ("", stderr)
