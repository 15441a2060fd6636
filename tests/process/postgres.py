"""A PostgreSQL server that may be stopped and started."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil brings no types

from tests.memory import find_memory
from tests.process import store
from tests.process.program import ROOT
from tests.process.server import ServerError

_SCRIPT = ROOT / "scripts" / "postgres"


class Cluster:
    """A throwaway server through ``scripts/postgres``; a durable one is on a disk, with fsync."""

    def __init__(self, *, durable: bool = False) -> None:
        self._options = ["--durable"] if durable else []
        # Not below pytest's own folder: that one is closed to the account that PostgreSQL runs under.
        self._directory = tempfile.mkdtemp(prefix="dagbook-postgres-", dir=None if durable else find_memory())
        self.url = self.start()
        self._template = ""

    def make_database(self) -> str:
        """Make a database with all tables, which its first server need not make."""
        if not self._template:
            self._template = store.make_database(self.url)
            store.migrate(self._template)
        return store.make_database(self.url, self._template)

    def start(self) -> str:
        command = [str(_SCRIPT), "start", self._directory, *self._options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"scripts/postgres could not start a server:\n{done.stderr}")
        return done.stdout.strip()

    def stop(self) -> None:
        """Stop it as a crash would."""
        subprocess.run([_SCRIPT, "stop", self._directory], check=True)

    def freeze(self) -> None:
        """Let none of its processes go on: the kernel still takes connections and data, but nothing answers."""
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        """Let its processes go on."""
        for process in reversed(self._processes()):
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(int((Path(self._directory) / "data" / "postmaster.pid").read_text().split()[0]))
        return [first, *first.children(recursive=True)]

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory)
