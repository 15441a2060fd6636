"""The config of a step of PostgreSQL or SQLite, its statements, and the command that carries them out."""

from __future__ import annotations

import msgspec

from dagbook.executors import shell
from dagbook.executors.config import Config
from dagbook.executors.contract import Command, Job
from dagbook.executors.sql import rows
from dagbook.executors.sql.statements import Statement, split
from dagbook.executors.subprocess_executor import ProgramError, python_command


class Options(msgspec.Struct, frozen=True):
    """An address, the time limit in seconds (0: none), and the format of the rows."""

    dsn: str
    timeout: int
    form: str

    @property
    def took_too_long(self) -> ProgramError:
        """The error of a step that has reached its time limit."""
        return ProgramError(f"the statements took longer than {self.timeout} seconds (timeout in config)", 124)


def read(job: Job) -> Options:
    """Read the config of a job. Raises SetupError, which never repeats the address: it may contain a password."""
    config = Config(job.config, job.type)
    dsn = config.required("dsn", "give the address of the database")
    form = config.text("outputFormat").strip().lower()
    if form not in rows.FORMATS:
        raise config.error("outputFormat", f"has to be one of {', '.join(rows.FORMATS)}; it is {form!r}")
    return Options(dsn, config.integer("timeout", least=0), form)


def statements(job: Job) -> list[Statement]:
    """Return the statements of a job. Raises ProgramError."""
    found = split(job.line or job.script, job.type, job.values)
    if not found:
        raise ProgramError("there is no statement; write it in command or script")
    return found


def place(job: Job, position: int) -> str:
    """Say where a position in the text of a job is."""
    before = (job.line or job.script)[:position]
    return f"line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))}"


def command(module: str, job: Job) -> Command:
    """Make the command of a job, which works in the directory of the step. Raises SetupError."""
    shell.make_directory(job.cwd, job.account)
    return msgspec.structs.replace(python_command(module, job), cwd=job.cwd)
