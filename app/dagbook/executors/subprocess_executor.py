"""Executors that run as a Python subprocess, which gets its job by a descriptor."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable

import msgspec

from dagbook.executors.contract import Command, Job, SharedConfig


class ProgramError(Exception):
    """The subprocess failed; the message goes to stderr."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def python_command(module: str, job: Job) -> Command:
    """Make the command that runs a module's ``main`` with a job.

    Its working directory is that of the run, not of the step (DAG format 4.9), which may not exist. The interpreter is
    isolated: neither the step's directory nor its environment change what is imported. It does not get the
    environment, which the process has anyway, and the shared config, whose passwords no subprocess needs.
    """
    fields = msgspec.to_builtins(msgspec.structs.replace(job, env={}, shared=SharedConfig()), enc_hook=str)
    return Command(
        argv=(sys.executable, "-I", "-X", "utf8", "-m", module),
        cwd=job.run_dir or job.cwd,
        env=job.env,
        account=job.account,
        job=json.dumps(fields).encode("ascii"),  # msgspec refuses surrogates, infinity and large integers
    )


def run_program(main: Callable[[Job], int]) -> int:
    """Run the job of this process and return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler waits for C code to return
    return report_errors(lambda: main(read_job(sys.argv)))


def report_errors(work: Callable[[], int]) -> int:
    """Return the exit code of work; an error is one sentence on stderr."""
    try:
        return work()
    except ProgramError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except MemoryError:
        sys.stderr.write("the step needs more memory than there is\n")
    except OSError as error:
        sys.stderr.write(f"the step could not continue: {error}\n")
    return 1


def write_stdout(text: str) -> None:
    """Write a text unbuffered: an error of a buffered write would be raised too late to be reported."""
    left = text.encode("utf-8", "replace")
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


def read_job(argv: list[str]) -> Job:
    """Read the job of this process."""
    with os.fdopen(int(argv[1]), encoding="ascii") as file:
        fields = json.load(file)
    return msgspec.convert(fields, Job, dec_hook=lambda kind, value: kind(value))
