"""The jq executor: a subprocess, because a jq program may never end (DAG format 4.7)."""

from __future__ import annotations

from dagbook.executors.config import Config
from dagbook.executors.contract import Command, Job
from dagbook.executors.subprocess_executor import python_command


def command(job: Job) -> Command:
    """Make the command that runs a jq program. Raises SetupError."""
    Config(job.config, "jq").flag("raw")
    return python_command("dagbook.executors.jq.program", job)
