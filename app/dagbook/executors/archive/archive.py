"""The archive executor: a subprocess, because compression needs CPU time without a limit (DAG format 4.9)."""

from __future__ import annotations

from dagbook.executors.archive import options
from dagbook.executors.contract import Command, ExecutionFiles, Job
from dagbook.executors.subprocess_executor import python_command


def command(job: Job, files: ExecutionFiles) -> Command:
    """Make the command for an operation on an archive. Raises SetupError."""
    options.read(job)
    return python_command("dagbook.executors.archive.program", job, files)
