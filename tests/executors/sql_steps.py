"""Steps of SQL, each in the process that a run starts for it."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from dagbook.executors.contract import Command, ExecutionFiles, Job
from dagbook.executors.process import process
from dagbook.executors.process.process import OwnProcess


class Ended(msgspec.Struct, frozen=True):
    """How a step ended, and what it wrote."""

    code: int | None
    out: str
    err: str


class SqlStep:
    """A step that carries out statements in a database; its files are those of one execution after the other."""

    def __init__(self, kind: str, dsn: str, files: ExecutionFiles) -> None:
        self.kind, self.dsn, self.files = kind, dsn, files
        self._started = 0

    def job(self, text: str, values: dict[str, str] | None = None, **more: Any) -> Job:
        """Make the job of a text; ``more`` are fields of the job, or keys of its config."""
        fields = {name: more.pop(name) for name in list(more) if name in Job.__struct_fields__}
        base: dict[str, Any] = {"cwd": self.files.directory, "env": {"PATH": os.environ["PATH"]}}
        config = {"dsn": self.dsn, **more}
        return Job(type=self.kind, id="1", script=text, values=values or {}, config=config, **(base | fields))

    def start(self, text: str, values: dict[str, str] | None = None, **more: Any) -> OwnProcess:
        """Start the process of a job."""
        make = import_module(f"dagbook.executors.sql.{self.kind}").command
        command: Command = make(self.job(text, values, **more))
        self._started += 1
        for path in (self.files.stdout, self.files.stderr):
            path.unlink(missing_ok=True)
        return process.spawn(command, ExecutionFiles(f"{self.files.base}{self._started}", *self.outputs))

    @property
    def outputs(self) -> tuple[Path, Path]:
        """The files of stdout and stderr."""
        return self.files.stdout, self.files.stderr

    async def run(self, text: str, values: dict[str, str] | None = None, **more: Any) -> Ended:
        """Run a job to its end."""
        outcome = await self.start(text, values, **more).wait()
        return Ended(outcome.exit_code, *(path.read_text() for path in self.outputs))
