"""Use case: delete old entries of the audit: only sealed ones, from the oldest on; their seals stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import PrunableSeal

_MOST_SEALS, _MOST_ENTRIES = 500, 5_000  # of one commit, which other writers wait for


class Pruned(msgspec.Struct, frozen=True):
    """The number of deleted entries, or of those to delete, and the id of the last one."""

    entries: int
    up_to: int


class AuditPruning:
    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def preview(self, before: datetime) -> Pruned:
        """Return what would be deleted: the entries under seals that were made before a time."""
        return Pruned(*await self._database.read(lambda connection: audit.sum_prunable(connection, before)))

    async def prune(self, before: datetime, actor: Actor) -> Pruned:
        """Delete these entries. The deletion is audited in the commit of the first batch."""
        planned = await self.preview(before)
        if not planned.entries:
            return planned
        after = {"before": before.isoformat(), "entries": planned.entries, "upTo": planned.up_to}
        audit_action = AuditAction(action=Action.AUDIT_PRUNE, kind="audit", name=str(planned.up_to), after=after)
        notes = [actor.entry(audit_action, self._now())]
        while seals := await self._next(before, planned.up_to):
            await self._remove(seals, notes)
            notes = []
        return planned

    async def _next(self, before: datetime, up_to: int) -> list[PrunableSeal]:
        found = await self._database.read(lambda connection: audit.find_prunable(connection, before, _MOST_SEALS))
        chosen: list[PrunableSeal] = []
        for seal in found:
            if seal.last_id > up_to or (chosen and sum(one.entries for one in chosen) > _MOST_ENTRIES):
                break
            chosen.append(seal)
        return chosen

    async def _remove(self, seals: Sequence[PrunableSeal], notes: Sequence[dict[str, Any]]) -> None:
        def work(connection: WriteConnection) -> None:
            audit.prune(connection, [seal.number for seal in seals], seals[-1].last_id, self._now())
            audit.add(connection, *notes)

        await self._database.write(work)
