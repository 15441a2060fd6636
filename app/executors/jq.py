"""The jq executor: a program of its own, since a jq program may run for ever (DAG format 4.7)."""

from __future__ import annotations

from app.executors.config import Config
from app.executors.contract import Command, ExecutionFiles, Job
from app.executors.program import python_command


def command(job: Job, files: ExecutionFiles) -> Command:
    """Make the command that runs a jq program; raises SetupError."""
    Config(job.config, "jq").flag("raw")
    return python_command("app.executors.jq_program", job, files)
