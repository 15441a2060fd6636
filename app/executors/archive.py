"""The archive executor: a subprocess, because compression needs CPU time without a limit (DAG format 4.9)."""

from __future__ import annotations

from app.executors.archives import options
from app.executors.contract import Command, ExecutionFiles, Job
from app.executors.subprocess_executor import python_command


def command(job: Job, files: ExecutionFiles) -> Command:
    """Make the command for an operation on an archive. Raises SetupError."""
    options.read(job)
    return python_command("app.executors.archives.program", job, files)
