"""Jobs that are carried out inside the server: their beginning, their end, and who may tell of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.executors import inside, process
from app.executors.contract import ExecutionFiles, Job, Outcome, SetupError, StepError, Streams
from app.executors.registry import Run

JOB = Job(type="test", id="1", cwd=Path("/"))
STOPPED = Outcome(exit_code=None, error="stopped")


class Executor:
    """An executor that tells when it began, and waits until it is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.heard: list[str] = []

    async def run(self, job: Job, streams: Streams) -> int:  # noqa: ARG002 - what every executor takes
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            self.heard += error.args
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


async def test_a_job_writes_to_its_output_and_leaves_its_exit_code(files: ExecutionFiles) -> None:
    outcome = await inside.begin(say, JOB, files).wait()
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
    assert await inside.begin(raising(error), JOB, files).wait() == outcome


async def test_a_job_that_could_not_be_set_up_says_so_to_who_waits(files: ExecutionFiles) -> None:
    with pytest.raises(SetupError, match="no host"):
        await inside.begin(raising(SetupError("no host")), JOB, files).wait()


async def test_no_job_begins_twice(files: ExecutionFiles) -> None:
    await inside.begin(say, JOB, files).wait()
    with pytest.raises(SetupError, match="begun before"):
        inside.begin(say, JOB, files)


async def test_a_signal_is_heard_by_its_name(files: ExecutionFiles) -> None:
    executor = Executor()
    running = inside.begin(executor.run, JOB, files)
    await executor.begun.wait()
    running.signal("SIGINT")
    assert (await running.wait(), executor.heard) == (STOPPED, ["SIGINT"])


@pytest.mark.parametrize("end", [lambda job: job.signal("SIGTERM"), lambda job: job.kill(), lambda job: job.detach()])
async def test_a_job_that_is_ended_before_its_first_turn_counts_as_stopped(
    files: ExecutionFiles, end: Callable[[inside.InsideExecution], None]
) -> None:
    running = inside.begin(Executor().run, JOB, files)
    end(running)
    assert await running.wait() == STOPPED


async def test_who_stops_waiting_does_not_stop_the_job(files: ExecutionFiles) -> None:
    executor = Executor()
    running = inside.begin(executor.run, JOB, files)
    waiter = asyncio.create_task(running.wait())
    await executor.begun.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not executor.heard
    running.kill()
    assert await running.wait() == STOPPED


async def test_output_files_are_released_though_nobody_waits(files: ExecutionFiles) -> None:
    before = open_files()
    executor = Executor()
    running = inside.begin(executor.run, JOB, files)
    await executor.begun.wait()
    running.detach()
    await asyncio.wait({running._task})
    assert open_files() == before


async def test_output_files_are_released_when_only_one_can_be_opened(tmp_path: Path) -> None:
    before = open_files()
    files = ExecutionFiles(f"{tmp_path}/a", tmp_path / "a.out", tmp_path / "no" / "a.err")
    with pytest.raises(SetupError, match="the spool could not be written"):
        inside.begin(say, JOB, files)
    assert open_files() == before


async def test_output_that_cannot_be_written_is_the_error_of_the_step(files: ExecutionFiles) -> None:
    files.stdout.symlink_to("/dev/full")
    outcome = await inside.begin(say, JOB, files).wait()
    assert outcome == Outcome(exit_code=1, error="the output could not be written: No space left on device")


async def test_an_exit_code_that_cannot_be_left_is_told_all_the_same(files: ExecutionFiles) -> None:
    running = inside.begin(say, JOB, files)
    Path(files.started).unlink()
    Path(files.started).symlink_to("/dev/full")
    assert (await running.wait()).exit_code == 3


async def test_a_job_that_was_stopped_leaves_no_exit_code(files: ExecutionFiles) -> None:
    running = inside.begin(Executor().run, JOB, files)
    running.kill()
    await running.wait()
    assert process.read_exit(files) is None


# -- what a server finds that comes later ----------------------------------------------------------------------------


async def test_a_job_that_ended_is_found_by_its_exit_code(files: ExecutionFiles) -> None:
    await inside.begin(say, JOB, files).wait()
    assert inside.find_end(files) == Outcome(exit_code=3, error="exit status 3")


async def test_the_outcome_of_an_interrupted_job_is_unknown(files: ExecutionFiles) -> None:
    running = inside.begin(Executor().run, JOB, files)
    running.detach()
    found = inside.find_end(files)
    assert found is not None
    assert (found.exit_code, found.error) == (None, "interrupted: its server ended, the outcome is unknown")


def test_a_job_that_never_began_cannot_begin_any_more(files: ExecutionFiles) -> None:
    assert inside.find_end(files) is None
    with pytest.raises(SetupError, match="begun before"):
        inside.begin(say, JOB, files)


# -- what outlives the server ----------------------------------------------------------------------------------------


async def keep_note(job: Job, streams: Streams) -> int:
    streams.keep(job.id.encode())
    return 0


async def read_note(job: Job, streams: Streams) -> int:  # noqa: ARG001 - what every executor takes
    streams.out(streams.kept())
    return 4


async def test_what_outlives_the_server_hears_that_it_is_let_go_of(files: ExecutionFiles) -> None:
    executor = Executor()
    running = inside.begin(executor.run, JOB, files, outlives=True)
    await executor.begun.wait()
    running.detach()
    assert (await running.wait(), executor.heard) == (STOPPED, ["detach"])


async def test_a_signal_before_the_first_turn_is_heard(files: ExecutionFiles) -> None:
    executor = Executor()
    running = inside.begin(executor.run, JOB, files)
    running.signal("SIGTERM")
    await running.wait()
    assert executor.heard == ["SIGTERM"]


async def test_the_next_server_reads_the_note_and_leaves_the_exit_code(files: ExecutionFiles) -> None:
    await inside.begin(keep_note, JOB, files).wait()
    outcome = await inside.adopt(read_note, JOB, files).wait()
    assert (outcome.exit_code, files.stdout.read_text(), process.read_exit(files)) == (4, "1", 4)


async def test_of_what_adopts_nothing_has_begun_without_an_exit_code(files: ExecutionFiles) -> None:
    inside.begin(Executor().run, JOB, files).detach()
    assert inside.find_end(files, adopts=True) is None


def test_a_note_can_be_read_by_its_owner_only(files: ExecutionFiles) -> None:
    streams = Streams(files)
    streams.keep(b"one")
    streams.keep(b"two")
    streams.close()
    assert (files.note.read_bytes(), files.note.stat().st_mode & 0o777) == (b"two", 0o600)
    assert sorted(path.suffix for path in files.directory.iterdir()) == [".err", ".note", ".out"]
