"""Checks all invariants of the database in one snapshot; read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import RowMapping

from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection
from dagbook.db.storage import Storage, find_damage, measure
from dagbook.maintenance.doctor.check import Check

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


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an examination; ``damage`` is the result of the database's own check, None if it was not run."""

    at: datetime
    findings: Sequence[Finding]
    damage: Sequence[str] | None
    storage: Storage

    @property
    def is_healthy(self) -> bool:
        """Whether there are no violations and no damage."""
        return not self.damage and not any(finding.count for finding in self.findings)


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an examination; ``quick`` leaves the indexes out of the database's own check."""

    damage: bool = True
    quick: bool = False


class Doctor:
    """Examines a database, also one that servers use."""

    def __init__(self, database: Database, orphan_grace_seconds: float, now: Clock) -> None:
        self._database = database
        self._grace = timedelta(seconds=orphan_grace_seconds)
        self._now = now
        self._lock = asyncio.Lock()

    async def examine(self, options: Examination) -> Report:
        """Run all checks in one transaction; one examination at a time, because each may be long."""
        async with self._lock:
            return await self._database.snapshot(lambda connection: self._examine(connection, options))

    def _examine(self, connection: ReadConnection, options: Examination) -> Report:
        now = self._now()
        return Report(
            at=now,
            findings=find_broken(connection, now, self._grace),
            damage=find_damage(connection, quick=options.quick) if options.damage else None,
            storage=measure(connection),
        )


def find_broken(connection: ReadConnection, now: datetime, grace: timedelta) -> list[Finding]:
    """Run every check; the caller provides a snapshot."""
    moments = {
        "now": now,
        "grace_ago": now - grace,
        "minute_ago": now - timedelta(minutes=1),
        "hour_ago": now - timedelta(hours=1),
    }
    findings = []
    for check in all_checks():
        rows = connection.execute(check.first_rows(), dict(moments)).mappings().all()
        count = int(rows[0]["number_of_rows"]) if rows else 0
        findings.append(Finding(check.name, check.holds, count, [_to_shown(row) for row in rows]))
    return findings


def all_checks() -> tuple[Check, ...]:
    # Imported for the first examination: to build the queries takes 0.04 s of every start.
    from dagbook.maintenance.doctor import definitions, nodes, runs  # noqa: PLC0415

    return (
        *runs.CHECKS,
        *nodes.CHECKS,
        *runs.HISTORY_CHECKS,
        *nodes.LOG_CHECKS,
        *runs.QUEUE_CHECKS,
        *definitions.SCHEDULE_CHECKS,
        *definitions.CHECKS,
        *definitions.REFERENCE_CHECKS,
    )


def _to_shown(row: RowMapping) -> ShownRow:
    shown: ShownRow = {}
    for name, value in row.items():
        if name != "number_of_rows" and value is not None:
            shown[name] = value if isinstance(value, str | int | float) else str(value)
    return shown
