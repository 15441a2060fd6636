"""The jq executor: a subprocess, because a jq program may never end (DAG format 4.7)."""

from __future__ import annotations

from app.executors.config import Config
from app.executors.contract import Command, ExecutionFiles, Job
from app.executors.subprocess_executor import python_command


def command(job: Job, files: ExecutionFiles) -> Command:
    """Make the command that runs a jq program. Raises SetupError."""
    Config(job.config, "jq").flag("raw")
    return python_command("app.executors.jq_program", job, files)
