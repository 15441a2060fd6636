"""A PostgreSQL server that may be stopped and started."""

from __future__ import annotations

import shutil
import subprocess
import tempfile

from tests.process.program import ROOT

_SCRIPT = ROOT / "scripts" / "postgres"


class Cluster:
    """A throwaway server through ``scripts/postgres``."""

    def __init__(self) -> None:
        # Not below pytest's own folder: that one is closed to the account that PostgreSQL runs under.
        self._directory = tempfile.mkdtemp(prefix="dagbook-postgres-")
        self.url = self.start()

    def start(self) -> str:
        done = subprocess.run([_SCRIPT, "start", self._directory], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"scripts/postgres could not start a server:\n{done.stderr}"
        return done.stdout.strip()

    def stop(self) -> None:
        """Stop it as a crash would."""
        subprocess.run([_SCRIPT, "stop", self._directory], check=True)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory)
