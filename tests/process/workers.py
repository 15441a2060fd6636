"""Workers as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.process.program import Program
from tests.process.waiting import wait_for

_READY = "Worker "
_ELSEWHERE = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"']


def may_be_elsewhere() -> bool:
    """Whether a process may be given another name of its machine here."""
    try:
        return subprocess.run([*_ELSEWHERE, "elsewhere", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class WorkerProgram(Program):
    """``python -m app worker``, ready once it says so; with a host, it takes itself to be on a machine of that name."""

    def __init__(
        self,
        home: Path,
        database_url: str,
        words: Sequence[str],
        *,
        log: Path,
        host: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home, database_url, log=log, settings=settings)
        self._words = words
        self._prefix = [*_ELSEWHERE, host] if host else []

    def start(self) -> WorkerProgram:
        """Start and wait until it says that it works."""
        begin = self.launch()
        wait_for("the worker", lambda: self._works(begin), seconds=60)
        return self

    def _command(self) -> list[str]:
        return [*self._prefix, sys.executable, "-m", "app", "worker", *self._words]

    def _works(self, begin: int) -> bool:
        assert self._process is not None
        told = self.output.read_bytes()[begin:].decode(errors="replace")
        assert self._process.poll() is None, f"the worker ended:\n{told}"
        return any(line.startswith(_READY) for line in told.splitlines())
