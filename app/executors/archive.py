"""The archive executor: a program of its own, since packing burns CPU for as long as it takes (DAG format 4.9)."""

from __future__ import annotations

from app.executors.archives import options
from app.executors.contract import Command, ExecutionFiles, Job
from app.executors.program import python_command


def command(job: Job, files: ExecutionFiles) -> Command:
    """Make the command that carries out an operation on an archive; raises SetupError."""
    options.read(job)
    return python_command("app.executors.archives.program", job, files)
