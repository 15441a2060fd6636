"""The databases of released versions, one dump per engine: filled by the released program, restored by tests.

``python -m tests.db.dumps`` makes those of this version, once, when it is released (Linux, as root: the server gets a
host name and a home of its own, so that a dump says nothing about the machine).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from dagbook import __version__
from dagbook.db.url import sqlite_path
from tests.process.postgres import Cluster
from tests.process.server import Server
from tests.process.waiting import wait_for

FOLDER = Path(__file__).parent / "dumps"
SECRET_KEY = "another secret of more than thirty-two characters"  # noqa: S105 - of tests
_HOME = Path("/srv/dagbook-release")
_HOST = "dagbook"
_FLOW = """
tags: [nightly]
params: [DAY=monday]
schedule: "* * * * *"
steps:
  - {name: read, command: "echo read $DAY", output: COUNT}
  - {name: flaky, command: "test $DAG_RUN_STEP_NAME = other", depends: read, continueOn: {failure: true}}
  - {name: report, call: report, params: "OF=$COUNT", depends: flaky}
handlerOn: {exit: {command: echo over}}
---
name: report
steps: [{name: print, command: "echo of $OF"}]
"""
_FAILING = """
steps:
  - {name: fails, command: "echo no >&2; exit 3", retryPolicy: {limit: 1, intervalSec: 0}}
"""


def dump_of(version: str, engine: str) -> Path:
    return FOLDER / f"{version}.{engine}.sql"


def versions() -> list[str]:
    """Return the released versions, oldest first."""
    return sorted({path.name.rsplit(".", 2)[0] for path in FOLDER.glob("*.sql")}, key=lambda text: text.split("."))


async def restore(version: str, url: str) -> None:
    """Fill an empty database with the dump of a version."""
    path = sqlite_path(url)
    if path is not None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(dump_of(version, "sqlite").read_text(encoding="utf-8"))
        return
    import asyncpg  # noqa: PLC0415  # only for PostgreSQL

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        await connection.execute(dump_of(version, "postgresql").read_text(encoding="utf-8"))
    finally:
        await connection.close()


def _fill(server: Server) -> None:
    """Use what keeps rows: revisions, runs with retries, sub-runs and edits, queues, schedules, people and tokens."""
    client = server.api.client
    client.headers["Authorization"] = f"Bearer {_log_in(server)}"
    for name, spec in (("flow", _FLOW), ("failing", _FAILING)):
        server.api.store(name, spec)
    _put(server, "/dags/flow/spec", {"spec": _FLOW.replace("monday", "sunday")})
    _post(server, "/dags/flow/start", {"dagRunId": "first", "params": '{"DAY": "friday"}'})
    server.api.ended("first", name="flow")
    _post(server, "/dags/failing/start", {"dagRunId": "second"})
    server.api.ended("second", name="failing")
    _post(server, "/dag-runs/failing/second/retry", {"dagRunId": "second"})
    server.api.ended("second", name="failing")
    _post(server, "/queues/failing/pause", {})
    for number in range(3):
        _post(server, "/dags/failing/enqueue", {"dagRunId": f"waiting-{number}"})
    _post(server, "/users", {"username": "ann", "password": "correct horse battery", "role": "operator"})
    _post(server, "/tokens", {"name": "ci", "role": "viewer"})
    [slot] = wait_for("a scheduled run", lambda: client.get("/schedules/slots").json()["slots"], seconds=90)
    server.api.ended(slot["dagRunId"], name="flow")


def _log_in(server: Server) -> str:
    answer = server.api.client.post("/auth/login", json={"username": "admin", "password": "a long password"})
    return str(answer.raise_for_status().json()["token"])


def _post(server: Server, path: str, body: object) -> None:
    server.api.client.post(path, json=body).raise_for_status()


def _put(server: Server, path: str, body: object) -> None:
    server.api.client.put(path, json=body).raise_for_status()


class _ReleasedServer(Server):
    """A server on a machine that is called ``dagbook``, with no other variables than it needs."""

    def _command(self) -> list[str]:
        return ["unshare", "--uts", "sh", "-c", f'hostname {_HOST} && exec "$@"', "sh", *super()._command()]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in super()._environment().items() if name.startswith("DAGBOOK_")}
        path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        return kept | path | {"PATH": "/usr/bin:/bin", "HOME": str(_HOME), "SHELL": "/bin/sh", "LANG": "C.UTF-8"}


def _fill_database(url: str) -> None:
    settings = {
        "auth_mode": "builtin",
        "auth_admin_password": "a long password",
        "auth_token_secret": "a secret of more than thirty-two characters",
        "secret_key": SECRET_KEY,
    }
    server = _ReleasedServer(_HOME, url, log=_HOME.with_name("dagbook-release.log"), settings=settings)
    try:
        server.start()
        _fill(server)
        server.terminate()
    finally:
        server.clear()


def _sqlite_lines(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.iterdump()


def _postgresql_lines(url: str) -> Iterator[str]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", "--schema=public", plain]
    dump = subprocess.run(command, check=True, capture_output=True, text=True)
    # \restrict belongs to psql, and an empty database has its schema.
    yield from (line for line in dump.stdout.splitlines() if not line.startswith(("\\", "--", "CREATE SCHEMA")))


def main() -> None:
    """Make the dumps of this version."""
    FOLDER.mkdir(exist_ok=True)
    cluster = Cluster()
    try:
        for engine, url in (("sqlite", f"sqlite:///{_HOME}/dagbook.sqlite3"), ("postgresql", cluster.make_database())):
            _HOME.mkdir(mode=0o700)
            try:
                _fill_database(url)
                lines = _sqlite_lines(_HOME / "dagbook.sqlite3") if engine == "sqlite" else _postgresql_lines(url)
                dump_of(__version__, engine).write_text("\n".join(lines) + "\n", encoding="utf-8")
            finally:
                shutil.rmtree(_HOME)
                _HOME.with_name("dagbook-release.log").unlink(missing_ok=True)
    finally:
        cluster.remove()


if __name__ == "__main__":
    main()
