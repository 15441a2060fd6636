"""The views for reports: one text for both databases, in ``migrations/views``.

In braces the text has what the databases write differently: ``{time r.created_at}`` is an instant, ``{day …}`` its date
in UTC, ``{seconds a - b}`` a duration, ``{since …}`` the seconds until now, ``{status …}`` and ``{node status …}``
words for the numbers, ``{root or sub r.root_id}`` a condition that is always true, and ``{join then …}`` a join
whose right side is read last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from dagbook.db.migrations.migration_support import migrations_directory
from dagbook.db.types import sqlite_time

# The words of the API. They are written down here, because a view keeps its words whatever the enums become.
_STATUSES = ("not_started", "running", "failed", "aborted", "succeeded", "queued", "partially_succeeded")
_NODE_STATUSES = ("not_started", "running", "failed", "aborted", "succeeded", "skipped", "partially_succeeded")
_MACRO = re.compile(r"\{(time|day|seconds|since|status|node status|root or sub|join then) ([^{}]+)\}")


def _words(words: tuple[str, ...]) -> Callable[[str], str]:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(words))
    return lambda column: f"CASE {column} {cases} END"


_ON_BOTH = {"status": _words(_STATUSES), "node status": _words(_NODE_STATUSES)}
_MACROS: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "sqlite": {
        "time": sqlite_time,
        "day": lambda column: f"date({column} / 1000000, 'unixepoch')",
        "seconds": lambda difference: f"(({difference}) / 1000000.0)",
        # julianday: unixepoch('subsec') needs SQLite 3.42, and other programs that open the file may have an older one.
        "since": lambda column: f"((julianday('now') - 2440587.5) * 86400.0 - {column} / 1000000.0)",
        "root or sub": lambda _: "TRUE",
        # Else a query that groups by steps goes through all nodes in the order of their names, whatever its window is.
        "join then": lambda table: f"CROSS JOIN {table}",
        **_ON_BOTH,
    },
    "postgresql": {
        "time": lambda column: column,
        "day": lambda column: f"CAST({column} AT TIME ZONE 'UTC' AS date)",
        # Not extract: that counts in numeric, which takes several times as long.
        "seconds": lambda difference: f"date_part('epoch', {difference})",
        "since": lambda column: f"date_part('epoch', now() - {column})",
        "join then": lambda table: f"JOIN {table}",
        # The indexes by time are partial: one has the root runs, one the sub-runs. Only so a query of both uses them.
        "root or sub": lambda column: f"({column} IS NULL OR {column} IS NOT NULL)",
        **_ON_BOTH,
    },
}


def create_views(connection: Connection, revision: str) -> None:
    """Create the views of a revision; on PostgreSQL one that is there is replaced and keeps its privileges."""
    for statement in read_views(revision, connection.dialect.name):
        connection.exec_driver_sql(statement)


def read_views(revision: str, dialect: str) -> list[str]:
    """Return the statements that create the views of a revision."""
    text = (migrations_directory() / "views" / f"{revision}.sql").read_text(encoding="utf-8")
    macros = _MACROS[dialect]
    sql = _MACRO.sub(lambda match: macros[match[1]](match[2]), text)
    if dialect == "postgresql":
        sql = sql.replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
    return [part for part in sql.split("\n\n") if part.strip() and not part.startswith("--")]
