"""Executors that are Python programs of their own: their job goes to them in a file that only they read."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from app.executors.contract import Command, ExecutionFiles, Job, SetupError, Site


class ProgramError(Exception):
    """What a program was about went wrong: the sentence is for stderr, the code is its exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def python_command(module: str, job: Job, files: ExecutionFiles) -> Command:
    """Make the command that hands a job to a module's ``main``; raises SetupError.

    The interpreter is isolated: neither the step's directory nor its environment decide what is imported. The
    file leaves out the environment, which the process has anyway, and the site, whose passwords no program needs.
    """
    path = files.own("job")
    told = msgspec.to_builtins(msgspec.structs.replace(job, env={}, site=Site()), enc_hook=str)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(told, file)  # unlike msgspec it keeps whatever a text or a number may be
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error
    argv = (sys.executable, "-I", "-X", "utf8", "-m", module, str(path))
    return Command(argv=argv, cwd=job.cwd, env=job.env)


def run_program(main: Callable[[Job], int]) -> int:
    """Carry out the job this process was started for; whatever goes wrong with it is one sentence on stderr."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as any program; Python's own way waits for C code to return
    try:
        return main(take_job(sys.argv))
    except ProgramError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except MemoryError:
        sys.stderr.write("the step needs more memory than there is\n")
    except OSError as error:
        sys.stderr.write(f"the step could not go on: {error}\n")
    return 1


def take_job(argv: list[str]) -> Job:
    """Read the job that a program was started for, and remove its file: it may hold secrets."""
    path = Path(argv[1])
    told = json.loads(path.read_text(encoding="ascii"))
    path.unlink()
    return msgspec.convert(told, Job, dec_hook=lambda kind, value: kind(value))
