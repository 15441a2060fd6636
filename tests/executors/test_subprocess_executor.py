"""Executors that run as a Python subprocess: how they get their job, and how they report errors."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dagbook.executors.contract import ExecutionFiles, Job, SharedConfig
from dagbook.executors.process import process
from dagbook.executors.subprocess_executor import ProgramError, python_command, read_job, run_program
from dagbook.spec.model import Smtp
from dagbook.unix.descriptors import memory_file

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


def _arguments(job: Job) -> list[str]:
    """Return the arguments of a process that reads the job once."""
    return ["", str(memory_file(python_command("some.module", job).job))]


def test_a_job_arrives_unchanged_without_environment_and_shared_config() -> None:
    assert b"hunter2" not in python_command("some.module", JOB).job
    assert read_job(_arguments(JOB)) == msgspec.structs.replace(JOB, env={}, shared=SharedConfig())


def test_the_environment_goes_to_the_process() -> None:
    assert python_command("some.module", JOB).env == JOB.env


async def test_a_job_reaches_the_process_through_the_shim(files: ExecutionFiles, tmp_path: Path) -> None:
    job = msgspec.structs.replace(JOB, type="jq", program=".a", args=(), line=".a", config={}, cwd=tmp_path, env={})
    job = msgspec.structs.replace(job, script='{"a": "%s"}' % ("x" * 200_000))
    running = process.spawn(python_command("dagbook.executors.jq.program", job), files)
    assert (await running.wait()).exit_code == 0
    assert files.stdout.stat().st_size > 200_000


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
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def main(job: Job) -> int:  # noqa: ARG001 - what every program takes
        raise error

    monkeypatch.setattr("sys.argv", _arguments(JOB))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the tests keep their own way to be interrupted
    assert run_program(main) == code
    assert capsys.readouterr() == ("", stderr)
