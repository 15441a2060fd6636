"""Executors that are Python programs of their own: their job goes to them in a file that only they read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from app.executors.contract import Command, ExecutionFiles, Job, SetupError


def python_command(module: str, job: Job, files: ExecutionFiles) -> Command:
    """Make the command that hands a job to a module's ``main``; raises SetupError.

    The interpreter is isolated: neither the step's directory nor its environment decide what is imported.
    """
    path = files.own("job")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(job))
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error
    return Command(argv=(sys.executable, "-I", "-m", module, str(path)), cwd=job.cwd, env=job.env)


def take_job(argv: list[str]) -> Job:
    """Read the job that a program was started for, and remove its file: it may hold secrets."""
    path = Path(argv[1])
    job = msgspec.json.decode(path.read_bytes(), type=Job)
    path.unlink()
    return job
