"""The jq executor: a program of its own, since a jq program may run for ever (DAG format 4.7)."""

from __future__ import annotations

from app.executors.config import Config
from app.executors.contract import Command, ExecutionFiles, Job, SetupError
from app.executors.program import python_command


def command(job: Job, files: ExecutionFiles) -> Command:
    """Make the command that runs a jq program; raises SetupError."""
    Config(job.config, "jq").flag("raw")
    if not job.line.strip():
        raise SetupError("jq: the step has no command; write the jq program there, for example: .items[].name")
    return python_command("app.executors.jq_program", job, files)
