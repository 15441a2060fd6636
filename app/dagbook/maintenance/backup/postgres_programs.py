"""``pg_dump`` and ``pg_restore``: found, checked against the server, and run with the password in their environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import make_url

from dagbook.maintenance.backup.files import BackupError

_VERSION = re.compile(r"\b([0-9]+)(?:\.[0-9]+|devel|beta|rc)")
_TICK_SECONDS = 0.5
_MOST_ERROR = 600  # characters of what a program writes
# Variables of libpq that would change what the URL says.
_OWN = re.compile(r"PG[A-Z]+")


class Place:
    """A PostgreSQL database as these programs find it: its name, and a environment with the rest."""

    def __init__(self, url: str, schema: str) -> None:
        parsed = make_url(url)
        options = {name: str(value) for name, value in parsed.query.items()}
        host, port = options.get("host", parsed.host), options.get("port", parsed.port)
        given = {
            "PGHOST": host,
            "PGPORT": port,
            "PGUSER": parsed.username,
            "PGPASSWORD": parsed.password,
            "PGDATABASE": parsed.database,
            "PGSSLMODE": options.get("sslmode"),
            "PGSSLROOTCERT": options.get("sslrootcert"),
            "PGAPPNAME": "dagbook backup",
            "PGCONNECT_TIMEOUT": "10",
        }
        kept = {name: value for name, value in os.environ.items() if not _OWN.fullmatch(name)}
        # In the environment, which only this user can read, and never in arguments, which everyone can.
        self.environment: Mapping[str, str] = kept | {name: str(value) for name, value in given.items() if value}
        self.database = str(parsed.database)
        self.schema = schema


def find_program(name: str, server: int) -> str:
    """Return the path of a program that suits a server of a major version; raises BackupError."""
    path = shutil.which(name)
    fix = f"install the client programs of PostgreSQL {server} or later (Debian: postgresql-client-{server})"
    if path is None:
        raise BackupError(f"{name} was not found in PATH; {fix}")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - found above
    found = _VERSION.search(said)
    if found is None:
        raise BackupError(f"{path} does not say its version; {fix}")
    if int(found[1]) < server:
        raise BackupError(f"{path} is of version {found[1]}, older than the server, which is {server}; {fix}")
    return path


def run_program(
    arguments: Sequence[str], place: Place, *, growing: Path | None = None, tick: Callable[[int], None] | None = None
) -> str:
    """Run a program to its end and return what it printed; raises BackupError with what it complained about.

    ``tick`` is called with the size of the file ``growing``. When this call is interrupted, so is the program.
    """
    with subprocess.Popen(  # noqa: S603 - the program was found by ``find_program``
        arguments, env=dict(place.environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            out, err = _communicate(process, growing, tick)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        complaint = err.decode(errors="replace").strip()[-_MOST_ERROR:]
        raise BackupError(f"{Path(arguments[0]).name} failed: {complaint or f'status {process.returncode}'}")
    return out.decode(errors="replace")


def _communicate(
    process: subprocess.Popen[bytes], growing: Path | None, tick: Callable[[int], None] | None
) -> tuple[bytes, bytes]:
    while True:
        try:
            return process.communicate(timeout=_TICK_SECONDS)
        except subprocess.TimeoutExpired:
            if growing is not None and tick is not None:
                tick(growing.stat().st_size)
