"""``dagbook`` with a fault at one of its commits, for the experiment ``sweep``: ``python -m tests.chaos.faulty serve``.

The file that CHAOS_FAULT names orders it: ``number fault``. The commits after it is written are counted, and at the one
with this number the file is removed, and the process is killed just before or just after it, or the commit is
reported as failed although it was applied.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagbook.cli import main
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.postgres.postgres import Postgres
from dagbook.db.sqlite.sqlite import Sqlite

BEFORE, AFTER, FAILED = "before", "after", "failed"


class Fault:
    """Counts commits, and says which one has the fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._order = ""
        self._count = 0

    def at_next(self) -> str:
        """Count a commit; returns its fault, or nothing."""
        try:
            order = self._path.read_text()
        except FileNotFoundError:
            return ""
        if order != self._order:
            self._order, self._count = order, 0
        self._count += 1
        number, _, fault = order.partition(" ")
        if self._count != int(number):
            return ""
        self._path.unlink()
        return fault


def plant(fault: Fault, backend: type[Any]) -> None:
    """Let the commits of a backend have the fault."""
    write: Callable[..., Any] = backend.write

    async def faulty(self: Any, work: Any, committed: Any, **options: bool) -> Any:
        found = fault.at_next()
        if found == BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await write(self, work, committed, **options)
        if found == AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if found == FAILED:
            raise DatabaseUnavailable("the connection to PostgreSQL was lost", "by the experiment")
        return result

    backend.write = faulty


if __name__ == "__main__":
    for one in (Sqlite, Postgres):
        plant(Fault(Path(os.environ["CHAOS_FAULT"])), one)
    main()
