"""Checks all invariants of the database in one snapshot; read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import encrypted
from dagbook.db.repositories.invariants.findings import Finding, find_broken
from dagbook.db.storage import Storage, find_damage, measure


class KeyUse(msgspec.Struct, frozen=True):
    """A key by its fingerprint: values that are encrypted with it, and seals of the audit that it signed."""

    key: str
    values: int
    seals: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an examination; ``damage`` is the result of the database's own check, None if it was not run."""

    at: datetime
    findings: Sequence[Finding]
    damage: Sequence[str] | None
    storage: Storage
    keys: Sequence[KeyUse]  # known ones first, of which the first one encrypts

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

    def __init__(
        self,
        database: Database,
        orphan_grace_seconds: float,
        now: Clock,
        alert_keep_days: int = 0,
        find_keys: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """``find_keys`` returns the fingerprints of the keys that this installation has."""
        self._database = database
        self._grace = timedelta(seconds=orphan_grace_seconds)
        self._events_kept = timedelta(days=alert_keep_days)
        self._now = now
        self._find_keys = find_keys
        self._lock = asyncio.Lock()

    async def examine(self, options: Examination) -> Report:
        """Run all checks in one transaction; one examination at a time, because each may be long."""
        async with self._lock:
            return await self._database.snapshot(lambda connection: self._examine(connection, options))

    def _examine(self, connection: ReadConnection, options: Examination) -> Report:
        now = self._now()
        values, seals = encrypted.count_by_key(connection), encrypted.count_seals_by_key(connection)
        names = dict.fromkeys((*self._find_keys(), *sorted(values), *sorted(seals)))
        return Report(
            at=now,
            findings=find_broken(connection, now, self._grace, self._events_kept),
            damage=find_damage(connection, quick=options.quick) if options.damage else None,
            storage=measure(connection),
            keys=[KeyUse(name, values.get(name, 0), seals.get(name, 0)) for name in names],
        )
