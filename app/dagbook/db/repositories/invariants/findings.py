"""Violated checks, each with its first rows; the caller provides a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import RowMapping

from dagbook.db.database import ReadConnection
from dagbook.db.repositories.invariants.check import Check

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
_MARGIN = timedelta(hours=1)  # of clocks: what the retention may just have deleted is not missed
ShownRow = dict[str, str | int | float | bool]  # without nulls


class Finding(msgspec.Struct, frozen=True):
    """The violations of a check: their number, and the first rows."""

    name: str
    holds: str
    count: int
    rows: Sequence[ShownRow]

    @property
    def sentences(self) -> list[str]:
        """Describe the violations, row by row."""
        return [f"{self.name}: {self.holds} But: {row}" for row in self.rows]


def find_broken(
    connection: ReadConnection, now: datetime, grace: timedelta, events_kept: timedelta | None = None
) -> list[Finding]:
    """Run every check; the caller provides a snapshot. Events of alerts are deleted after some time, or never."""
    moments = {
        "now": now,
        "grace_ago": now - grace,
        "minute_ago": now - timedelta(minutes=1),
        "ten_minutes_ago": now - timedelta(minutes=10),
        "hour_ago": now - timedelta(hours=1),
        "events_since": now - events_kept + _MARGIN if events_kept else _BEFORE_ALL,
    }
    findings = []
    for check in all_checks():
        rows = connection.execute(check.first_rows(), dict(moments)).mappings().all()
        count = int(rows[0]["number_of_rows"]) if rows else 0
        findings.append(Finding(check.name, check.holds, count, [_to_shown(row) for row in rows]))
    return findings


def all_checks() -> tuple[Check, ...]:
    # Imported for the first examination: to build the queries takes 0.04 s of every start.
    from dagbook.db.repositories.invariants import alerts, batches, definitions, nodes, runs, triggers  # noqa: PLC0415

    return (
        *runs.CHECKS,
        *nodes.CHECKS,
        *runs.HISTORY_CHECKS,
        *nodes.LOG_CHECKS,
        *runs.QUEUE_CHECKS,
        *definitions.SCHEDULE_CHECKS,
        *definitions.CHECKS,
        *alerts.CHECKS,
        *triggers.CHECKS,
        *batches.CHECKS,
        *definitions.REFERENCE_CHECKS,
    )


def _to_shown(row: RowMapping) -> ShownRow:
    shown: ShownRow = {}
    for name, value in row.items():
        if name != "number_of_rows" and value is not None:
            shown[name] = value if isinstance(value, str | int | float) else str(value)
    return shown
