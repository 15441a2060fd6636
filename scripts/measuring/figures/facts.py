"""What a result file says about the machine, the commit and the command."""

from __future__ import annotations

import os
import platform
import shlex
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy import text

from dagbook.db.database import WriteConnection
from scripts.measuring.figures.results import Machine
from tests.process import store
from tests.process.program import ROOT

# Changes elsewhere, such as in pages and result files, do not change what is measured.
_MEASURED = ("app", "migrations", "tests", "scripts", "pyproject.toml", "requirements")
_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
_OWN_OPTIONS = ("--result",)
_ADDRESS = "--database-url"


class Commit(NamedTuple):
    """The commit of a checkout, the last one that changed the program, and whether files differ from it."""

    commit: str
    program_commit: str
    program_tree: str
    modified: bool


def read_commit() -> Commit:
    """Return the commit of this checkout."""
    program = _git("log", "-1", "--format=%H", "--", "app", "migrations")
    changed = _git("status", "--porcelain", "--", *_MEASURED)
    head, tree = _git("rev-parse", "HEAD", "HEAD:app").splitlines()
    return Commit(head[:10], program[:10], tree[:10], bool(changed))


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def now() -> str:
    """Return the time as text, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_database(url: str, folder: Path) -> tuple[str, str]:
    """Return the version of a database and what it does for durability, read from its own connection.

    ``url`` is that of a PostgreSQL server; without it, it is SQLite as Dagbook opens it, tried in ``folder``.
    """
    if not url:
        probe = f"sqlite:///{folder}/probe.sqlite3"
        level = store.write(probe, lambda connection: str(_scalar(connection, "PRAGMA synchronous")))
        return f"SQLite {sqlite3.sqlite_version}", f"synchronous={_SYNCHRONOUS[int(level)]}"

    def ask(connection: WriteConnection) -> tuple[str, str]:
        names = ("fsync", "synchronous_commit", "full_page_writes")
        return str(_scalar(connection, "SHOW server_version")), " ".join(
            f"{name}={_scalar(connection, f'SHOW {name}')}" for name in names
        )

    version, durability = store.write(url, ask)
    return f"PostgreSQL {version.split()[0]}", durability


def _scalar(connection: WriteConnection, statement: str) -> object:
    return connection.execute(text(statement)).scalar()


def load() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 1)


def describe_machine(database: str, load_before: float) -> Machine:
    """Describe this machine without its name; called at the end."""
    return Machine(
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 1024**3),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        database=database,
        load_before=load_before,
        load_after=load(),
    )


def describe_command(program: str, words: Sequence[str], seed: int | None) -> str:
    """Return a command as it can be typed again: with its seed, without the result file and addresses."""
    kept, skipped = [], False
    for word in words:
        name = word.partition("=")[0]
        if skipped:
            skipped = False
        elif name in _OWN_OPTIONS:
            skipped = name == word
        elif name == _ADDRESS:
            skipped = name == word
            kept += [_ADDRESS, "…"]
        else:
            kept.append(word)
    has_seed = any(word.partition("=")[0] == "--seed" for word in kept)
    more = [] if has_seed or seed is None else ["--seed", str(seed)]
    return " ".join([program, *(word if word == "…" else shlex.quote(word) for word in [*kept, *more])])
