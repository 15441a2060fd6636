"""``dagbook serve --demo``: the example DAGs, in a temporary home unless the caller chooses one."""

from __future__ import annotations

import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from dagbook.auth.audit_context import local_actor
from dagbook.cli.output import echo
from dagbook.cli.server.systemd import program
from dagbook.cli.settings import current_settings, uses_defaults
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import dags
from dagbook.db.repositories.runs import run_history
from dagbook.definitions.service import SaveContext
from dagbook.errors import AlreadyExistsError
from dagbook.main import Server
from dagbook.settings import Settings
from dagbook.web import files

_NOTE = "An example of dagbook serve --demo"


class Demo:
    """A demo server: its settings, and whether its home is deleted at its end."""

    def __init__(self, settings: Settings, *, is_temporary: bool) -> None:
        self.settings = settings
        self._is_temporary = is_temporary

    async def add_examples(self, server: Server) -> None:
        """Store the examples that are missing, unless the database has other DAGs; print what was done."""
        database, definitions = server.services.runs.database, server.services.dags.definitions
        names = files.example_names()

        def find_stored(connection: ReadConnection) -> tuple[int, set[str]]:
            stored = {row.file_name for row in dags.find_files(connection, names)}
            return run_history.count_dags(connection), stored

        count, stored = await database.read(find_stored)
        if count > len(stored):
            echo(f"Demo: the database has other DAGs ({count - len(stored)}), so no example is added", err=True)
            return
        context = SaveContext(actor=local_actor(), note=_NOTE)
        for name in names:
            if name not in stored:
                try:
                    await definitions.create(name, files.read_example(name), context)
                except AlreadyExistsError:  # another server of the same database
                    continue

    def describe(self, address: str) -> None:
        """Print how to go on, after the line that the server serves."""
        home = self.settings.home
        if self._is_temporary:
            echo(f"Demo: everything is in the temporary home {home}, which is deleted when this server stops", err=True)
        echo(f"Open {address} in a browser, or start the first run in another terminal:", err=True)
        echo(f"  {shlex.join([*program(), 'run', files.example_names()[0], '--home', str(home)])}", err=True)

    def close(self) -> None:
        """Delete a temporary home, unless steps are running in it, which outlive their server."""
        home = self.settings.home
        if not self._is_temporary:
            return
        # Each process of a step names the files of its output.
        words = (word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ())
        if any(str(self.settings.spool_dir) in word for word in words):
            echo(f"Demo: steps are running, so {home} is kept; continue with them by", err=True)
            echo(f"  {shlex.join([*program(), 'serve', '--home', str(home)])}", err=True)
        else:
            shutil.rmtree(home, ignore_errors=True)
            echo(f"Demo: {home} is deleted", err=True)


@contextmanager
def open_demo() -> Iterator[Demo]:
    """Choose the home of a demo: a temporary one, unless home or database are given; never the usual one.

    Raises ``SettingsError``.
    """
    if not uses_defaults("home", "database_url"):
        yield Demo(current_settings(), is_temporary=False)
        return
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a terminal that is closed ends a demo as Ctrl+C does
        signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
    demo = Demo(current_settings(Path(tempfile.mkdtemp(prefix="dagbook-demo-"))), is_temporary=True)
    try:
        yield demo
    finally:
        demo.close()
