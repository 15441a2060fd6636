"""How the database goes about a statement."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dagbook.db.database import ReadConnection, WriteConnection
from tests.statements import noting_statements


def selects(connection: WriteConnection, work: Callable[[ReadConnection], object]) -> list[str]:
    """Do the work, and give each of its SELECTs, without what stands in parentheses there."""
    noted: list[str] = []
    with noting_statements(lambda statement, *_: noted.append(statement)):
        work(connection)
    found = [part for statement in noted for part in re.split(r"\bSELECT\b", statement)[1:]]
    return [re.sub(r"\([^()]*\)", "", part) for part in found]


def plans(connection: WriteConnection, work: Callable[[ReadConnection], object]) -> str:
    """Do the work, and tell how the database went about each of its statements, line by line."""
    postgres = connection.dialect.name == "postgresql"
    if postgres:  # so few rows are cheapest to go through, whatever indexes there are
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    noted: list[tuple[str, Any]] = []
    with noting_statements(lambda statement, values, many: noted.append((statement, values[0] if many else values))):
        work(connection)
    explain = "EXPLAIN" if postgres else "EXPLAIN QUERY PLAN"
    found = [connection.exec_driver_sql(f"{explain} {statement}", parameters).all() for statement, parameters in noted]
    return "\n".join(str(row[-1]) for rows in found for row in rows)


def scanned(plan: str) -> set[str]:
    """Name the tables that are gone through row by row without an index."""
    found = re.findall(r"SCAN (\w+)$|Seq Scan on (\w+)", plan, re.MULTILINE)
    return {name for pair in found for name in pair if name}
