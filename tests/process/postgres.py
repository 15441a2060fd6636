"""A PostgreSQL server that may be stopped and started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
from sqlalchemy import make_url

from tests.memory import find_memory
from tests.process import store
from tests.process.program import ROOT
from tests.process.server import ServerError

_SCRIPT = ROOT / "scripts" / "postgres"


class Cluster:
    """A throwaway server through ``scripts/postgres``; a durable one is on a disk, with fsync.

    ``files`` is a folder by ``copy_files`` of another one, which is this server's then.
    """

    def __init__(self, *, durable: bool = False, files: Path | None = None) -> None:
        self._options = ["--durable"] if durable else []
        # Not below pytest's own folder: that one is closed to the account that PostgreSQL runs under.
        place = None if durable else find_memory()
        self._directory = str(files) if files else tempfile.mkdtemp(prefix="dagbook-postgres-", dir=place)
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

    def copy_files(self) -> Path:
        """Copy the files as they are, for another server; call it while this one is frozen or stopped."""
        folder = Path(tempfile.mkdtemp(prefix="dagbook-postgres-"))
        shutil.copystat(self._directory, folder)
        owner = Path(self._directory).stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        # Not shutil.copytree: the files belong to the account that PostgreSQL runs under.
        subprocess.run(["cp", "-a", f"{self._directory}/data", folder], check=True)
        (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = make_url(self.url).set(port=port).render_as_string(hide_password=False)
        (folder / "url").write_text(f"{url} {port}\n")
        return folder

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(int((Path(self._directory) / "data" / "postmaster.pid").read_text().split()[0]))
        return [first, *first.children(recursive=True)]

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory)
