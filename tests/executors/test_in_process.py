"""In-process executions: start, outcome, adoption."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.executors import in_process
from dagbook.executors.contract import ExecutionFiles, Job, Outcome, SetupError, StepError, Streams
from dagbook.executors.process import process
from dagbook.executors.registry import Run

JOB = Job(type="test", id="1", cwd=Path("/"))
STOPPED = Outcome(exit_code=None, error="stopped")


class Executor:
    """An executor that sets an event when it starts, and waits until it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.signals: list[str] = []

    async def run(self, job: Job, streams: Streams) -> int:  # noqa: ARG002 - what every executor takes
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            self.signals += error.args
            raise
        return 0


async def say(job: Job, streams: Streams) -> int:
    streams.out(f"{job.id}\n")
    streams.err(b"\xff\n")
    return 3


def raising(error: Exception) -> Run:
    async def run(job: Job, streams: Streams) -> int:  # noqa: ARG001 - what every executor takes
        raise error

    return run


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts


async def test_a_job_writes_its_output_and_its_exit_code(files: ExecutionFiles) -> None:
    outcome = await in_process.start(say, JOB, files).wait()
    assert outcome == Outcome(exit_code=3, error="exit status 3")
    assert (files.stdout.read_bytes(), files.stderr.read_bytes()) == (b"1\n", b"\xff\n")
    assert process.read_exit(files) == 3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StepError("the host is not known"), Outcome(exit_code=1, error="the host is not known")),
        (StepError("remote", exit_code=42), Outcome(exit_code=42, error="remote")),
        (ValueError("x"), Outcome(exit_code=1, error="internal error of the executor: x")),
    ],
)
async def test_an_error_of_a_job_is_its_outcome(files: ExecutionFiles, error: Exception, outcome: Outcome) -> None:
    assert await in_process.start(raising(error), JOB, files).wait() == outcome


async def test_wait_raises_the_error_of_a_job_that_could_not_be_set_up(files: ExecutionFiles) -> None:
    with pytest.raises(SetupError, match="no host"):
        await in_process.start(raising(SetupError("no host")), JOB, files).wait()


async def test_no_job_starts_twice(files: ExecutionFiles) -> None:
    await in_process.start(say, JOB, files).wait()
    with pytest.raises(SetupError, match="started before"):
        in_process.start(say, JOB, files)


async def test_a_signal_is_delivered_by_its_name(files: ExecutionFiles) -> None:
    executor = Executor()
    running = in_process.start(executor.run, JOB, files)
    await executor.started.wait()
    running.signal("SIGINT")
    assert (await running.wait(), executor.signals) == (STOPPED, ["SIGINT"])


@pytest.mark.parametrize("end", [lambda job: job.signal("SIGTERM"), lambda job: job.kill(), lambda job: job.detach()])
async def test_a_job_cancelled_before_its_first_step_is_stopped(
    files: ExecutionFiles, end: Callable[[in_process.InProcessExecution], None]
) -> None:
    running = in_process.start(Executor().run, JOB, files)
    end(running)
    assert await running.wait() == STOPPED


async def test_a_cancelled_wait_does_not_stop_the_job(files: ExecutionFiles) -> None:
    executor = Executor()
    running = in_process.start(executor.run, JOB, files)
    waiter = asyncio.create_task(running.wait())
    await executor.started.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not executor.signals
    running.kill()
    assert await running.wait() == STOPPED


async def test_output_files_are_closed_without_a_wait(files: ExecutionFiles) -> None:
    before = open_files()
    executor = Executor()
    running = in_process.start(executor.run, JOB, files)
    await executor.started.wait()
    running.detach()
    await asyncio.wait({running._task})
    assert open_files() == before


async def test_output_files_are_closed_when_only_one_can_be_opened(tmp_path: Path) -> None:
    before = open_files()
    files = ExecutionFiles(f"{tmp_path}/a", tmp_path / "a.out", tmp_path / "no" / "a.err")
    with pytest.raises(SetupError, match="the spool could not be written"):
        in_process.start(say, JOB, files)
    assert open_files() == before


async def test_output_that_cannot_be_written_is_the_error_of_the_step(files: ExecutionFiles) -> None:
    files.stdout.symlink_to("/dev/full")
    outcome = await in_process.start(say, JOB, files).wait()
    assert outcome == Outcome(exit_code=1, error="the output could not be written: No space left on device")


async def test_an_exit_code_that_cannot_be_written_is_returned(files: ExecutionFiles) -> None:
    running = in_process.start(say, JOB, files)
    Path(files.started).unlink()
    Path(files.started).symlink_to("/dev/full")
    assert (await running.wait()).exit_code == 3


async def test_a_stopped_job_writes_no_exit_code(files: ExecutionFiles) -> None:
    running = in_process.start(Executor().run, JOB, files)
    running.kill()
    await running.wait()
    assert process.read_exit(files) is None


# -- what the next server finds --------------------------------------------------------------------------------------


async def test_a_job_that_ended_is_found_by_its_exit_code(files: ExecutionFiles) -> None:
    await in_process.start(say, JOB, files).wait()
    assert in_process.find_outcome(files) == Outcome(exit_code=3, error="exit status 3")


async def test_the_outcome_of_an_interrupted_job_is_unknown(files: ExecutionFiles) -> None:
    running = in_process.start(Executor().run, JOB, files)
    running.detach()
    found = in_process.find_outcome(files)
    assert found is not None
    assert (found.exit_code, found.error) == (None, "interrupted: its server ended, the outcome is unknown")


def test_a_claimed_job_cannot_be_started(files: ExecutionFiles) -> None:
    assert in_process.find_outcome(files) is None
    with pytest.raises(SetupError, match="started before"):
        in_process.start(say, JOB, files)


# -- executions that outlive the server ------------------------------------------------------------------------------


async def save_note(job: Job, streams: Streams) -> int:
    streams.save_note(job.id.encode())
    return 0


async def read_note(job: Job, streams: Streams) -> int:  # noqa: ARG001 - what every executor takes
    streams.out(streams.read_note())
    return 4


async def test_an_execution_that_outlives_the_server_is_cancelled_with_detach(files: ExecutionFiles) -> None:
    executor = Executor()
    running = in_process.start(executor.run, JOB, files, outlives=True)
    await executor.started.wait()
    running.detach()
    assert (await running.wait(), executor.signals) == (STOPPED, ["detach"])


async def test_a_signal_before_the_first_step_is_delivered(files: ExecutionFiles) -> None:
    executor = Executor()
    running = in_process.start(executor.run, JOB, files)
    running.signal("SIGTERM")
    await running.wait()
    assert executor.signals == ["SIGTERM"]


async def test_the_next_server_reads_the_note_and_writes_the_exit_code(files: ExecutionFiles) -> None:
    await in_process.start(save_note, JOB, files).wait()
    outcome = await in_process.adopt(read_note, JOB, files).wait()
    assert (outcome.exit_code, files.stdout.read_text(), process.read_exit(files)) == (4, "1", 4)


async def test_an_adoptable_job_without_note_and_exit_code_has_not_started(files: ExecutionFiles) -> None:
    in_process.start(Executor().run, JOB, files).detach()
    assert in_process.find_outcome(files, adopts=True) is None


def test_a_note_can_be_read_by_its_owner_only(files: ExecutionFiles) -> None:
    streams = Streams(files)
    streams.save_note(b"one")
    streams.save_note(b"two")
    streams.close()
    assert (files.note.read_bytes(), files.note.stat().st_mode & 0o777) == (b"two", 0o600)
    assert sorted(path.suffix for path in files.directory.iterdir()) == [".err", ".note", ".out"]
