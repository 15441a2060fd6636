"""Asks the database everything that must hold in it, at one moment, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from app.clock import Clock
from app.db.database import Database, ReadConnection
from app.db.repositories.reading import all_rows
from app.db.storage import Storage, find_damage, measure
from app.upkeep.invariants import CHECKS, Check

Shown = dict[str, str | int | float | bool]  # without what is null


class Finding(msgspec.Struct, frozen=True):
    """What a check has found: how many rows, and the first of them."""

    name: str
    holds: str
    count: int
    rows: Sequence[Shown]

    @property
    def sentences(self) -> list[str]:
        """Say what is wrong, row by row."""
        return [f"{self.name}: {self.holds} But: {row}" for row in self.rows]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor has seen; ``damage`` is what the database says of itself, None if it was not asked."""

    at: datetime
    findings: Sequence[Finding]
    damage: Sequence[str] | None
    storage: Storage

    @property
    def is_healthy(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.damage and not any(finding.count for finding in self.findings)


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """How thorough an examination is; the quick one of the database itself leaves out its indexes."""

    damage: bool = True
    quick: bool = False


class Doctor:
    """Examines a database, whoever works on it meanwhile."""

    def __init__(self, database: Database, orphan_grace_seconds: float, now: Clock) -> None:
        self._database = database
        self._grace = timedelta(seconds=orphan_grace_seconds)
        self._now = now
        self._turn = asyncio.Lock()

    async def examine(self, wanted: Examination) -> Report:
        """Ask everything, in one transaction that sees one state; one examination at a time, for each may be long."""
        async with self._turn:
            return await self._database.snapshot(lambda connection: self._examine(connection, wanted))

    def _examine(self, connection: ReadConnection, wanted: Examination) -> Report:
        now = self._now()
        return Report(
            at=now,
            findings=find_broken(connection, now, self._grace),
            damage=find_damage(connection, quick=wanted.quick) if wanted.damage else None,
            storage=measure(connection),
        )


def find_broken(connection: ReadConnection, now: datetime, grace: timedelta) -> list[Finding]:
    """Make every check; the caller sees to it that they all see one state."""
    moments = {
        "now": now,
        "grace_ago": now - grace,
        "minute_ago": now - timedelta(minutes=1),
        "hour_ago": now - timedelta(hours=1),
    }
    return [_make(connection, check, moments) for check in CHECKS]


def _make(connection: ReadConnection, check: Check, moments: Mapping[str, datetime]) -> Finding:
    rows = all_rows(connection, check.first_rows(), **moments)
    count = int(rows[0]["number_of_rows"]) if rows else 0
    return Finding(check.name, check.holds, count, [_show(row) for row in rows])


def _show(row: Mapping[str, Any]) -> Shown:
    return {name: _plain(value) for name, value in row.items() if name != "number_of_rows" and value is not None}


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float) else str(value)
