"""Workers as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.process.program import ROOT, Program
from tests.process.waiting import wait_for

_READY = "Worker "


class WorkerProgram(Program):
    """``python -m app worker``; what it has in common with a server is how it is started and ended."""

    def __init__(
        self, home: Path, database_url: str, *labels: str, name: str = "", log: Path, capacity: int = 10, host: str = ""
    ) -> None:
        super().__init__(home, database_url, log=log)
        self._words = [f"--label={label}" for label in labels] + [f"--max-active-runs={capacity}"]
        self._words += [f"--id={name}"] if name else []
        self._host = host

    def start(self) -> WorkerProgram:
        """Start and wait until it says that it works."""
        begin = self.launch()
        wait_for("the worker", lambda: self._works(begin), seconds=60)
        return self

    def launch(self) -> int:
        begin = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                cwd=ROOT,
                env=self._environment() | {"PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return begin

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "app", "worker", *self._words]

    def _works(self, begin: int) -> bool:
        assert self._process is not None
        told = self.output.read_bytes()[begin:].decode(errors="replace")
        assert self._process.poll() is None, f"the worker ended:\n{told}"
        return any(line.startswith(_READY) for line in told.splitlines())
