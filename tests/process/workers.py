"""Workers as processes of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.process.program import Program
from tests.process.server import Worker

_ELSEWHERE = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"']


def may_be_elsewhere() -> bool:
    """Whether a process may be given another name of its machine here."""
    try:
        return subprocess.run([*_ELSEWHERE, "elsewhere", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class WorkerProgram(Worker, Program):
    """``dagbook worker``; with a host, it takes itself to be on a machine of that name."""

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
        super().__init__(home, database_url, words, log=log, settings=settings)
        self._prefix = [*_ELSEWHERE, host] if host else []

    def _command(self) -> list[str]:
        return [*self._prefix, *super()._command()]

    def ask_health(self, *words: str) -> tuple[int, str]:
        """Return exit status and output of ``dagbook worker --health`` beside it."""
        done = subprocess.run(
            self._program("worker", "--health", *words),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr
