"""Where an experiment runs: a new folder and a new database, so that it touches nobody's data."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import make_url

from dagbook.db.errors import MissingPrivilege
from tests.chaos.experiment import ExperimentError
from tests.process import store
from tests.process.postgres import Cluster
from tests.process.server import Server


class Sandbox(msgspec.Struct, frozen=True):
    """A folder and a database, both empty at first; without a ``url`` the database is a SQLite file in the folder.

    ``cluster`` is the PostgreSQL server of the database if it was made for this sandbox, and may be stopped.
    """

    directory: Path
    url: str = ""
    cluster: Cluster | None = None

    def make_servers(self, count: int) -> list[Server]:
        """Return servers with one home and one database, not started."""
        home = self.directory / "home"
        return [Server(home, self.url, log=self.directory / f"server-{number}.log") for number in range(count)]


@contextmanager
def make_sandbox(server: str = "", *, cluster: Cluster | None = None, keep: bool = False) -> Iterator[Sandbox]:
    """Make a sandbox, and remove it in the end unless it is to be kept.

    ``server`` is the address of any database of a PostgreSQL server: the sandbox's database is made beside it, and
    the addressed one is neither read nor written. Or it is made on ``cluster``. Raises ExperimentError and
    DatabaseUnavailable.
    """
    server = cluster.url if cluster else server
    directory = Path(tempfile.mkdtemp(prefix="dagbook-chaos-"))
    try:
        url = _make_database(server) if server else ""
        try:
            yield Sandbox(directory, url, cluster)
        finally:
            if url and not keep:
                store.execute(server, f"DROP DATABASE {make_url(url).database} WITH (FORCE)")
    finally:
        if not keep:
            shutil.rmtree(directory)


def _make_database(server: str) -> str:
    try:
        return store.make_database(server)
    except MissingPrivilege as error:
        raise ExperimentError(
            f"no database can be made there: {error}; allow it with ALTER ROLE {make_url(server).username} CREATEDB"
        ) from error
