"""The subprocess of a step of SQLite."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from itertools import repeat
from pathlib import Path
from threading import Timer

from dagbook.executors.config import Config
from dagbook.executors.contract import Command, Job
from dagbook.executors.sql import options
from dagbook.executors.sql.rows import BATCH, RowWriter
from dagbook.executors.sql.statements import Statement
from dagbook.executors.subprocess_executor import ProgramError, run_program

_LOCK_SECONDS = 10  # to wait for others that write, without a timeout
_OTHER_ADDRESS = re.compile(r"(?!file:)\w[\w+.-]*:/")
# They begin a transaction of their own, or have no effect or no place in one.
_OUTSIDE = frozenset({"ATTACH", "BEGIN", "DETACH", "PRAGMA", "VACUUM"})


def command(job: Job) -> Command:
    """Make the command that carries out the statements of a job. Raises SetupError."""
    if _OTHER_ADDRESS.match(options.read(job).dsn):
        raise Config(job.config, job.type).error("dsn", "write the path of a file, file:PATH?OPTIONS or :memory:")
    return options.command(__name__, job)


def main(job: Job) -> int:
    """Carry out the statements of a job in one transaction, which is rolled back when this process ends."""
    given, statements = options.read(job), options.statements(job)
    place = "the database"
    try:
        with closing(_open(given)) as connection:
            writer = RowWriter(given.form)
            _refuse_own(connection, job.own_files)
            for number, statement in enumerate(statements, 1):
                place = f"statement {number}, {options.place(job, statement.start)}"
                if len(statements) > 1 and not connection.in_transaction and statement.word not in _OUTSIDE:
                    connection.execute("BEGIN")
                _carry_out(connection, statement, writer)
                _refuse_own(connection, job.own_files)
            if connection.in_transaction:
                connection.execute("COMMIT")
    except (sqlite3.Error, UnicodeError) as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_INTERRUPT":
            raise given.took_too_long from None
        raise ProgramError(f"sqlite: {place}: {error}{f' ({name})' if name else ''}") from None
    return 0


def _open(given: options.Options) -> sqlite3.Connection:
    wait = given.timeout or _LOCK_SECONDS
    connection = sqlite3.connect(given.dsn, wait, isolation_level=None, uri=given.dsn.startswith("file:"))
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    limit = Timer(given.timeout, connection.interrupt)
    limit.daemon = True
    if given.timeout:
        limit.start()
    return connection


def _carry_out(connection: sqlite3.Connection, statement: Statement, writer: RowWriter) -> None:
    cursor = connection.execute(statement.render(repeat("?")), [piece.guessed for piece in statement.bound])
    if cursor.description is None:
        if cursor.rowcount >= 0:
            sys.stderr.write(f"{statement.word} {cursor.rowcount}\n")
        return
    writer.begin(column[0] for column in cursor.description)
    while rows := cursor.fetchmany(BATCH):
        writer.add(rows)
    writer.end()


def _refuse_own(connection: sqlite3.Connection, own_files: Iterable[Path]) -> None:
    """Refuse the files of the server, by whatever name or statement they were opened, before anything reads them."""
    for _, _, opened in connection.execute("PRAGMA database_list").fetchall():
        for own in own_files if opened else ():
            with suppress(OSError):
                if own.samefile(opened):
                    raise ProgramError(f"sqlite: {opened} is a file of Dagbook itself, which no step may open")


if __name__ == "__main__":
    sys.exit(run_program(main))
