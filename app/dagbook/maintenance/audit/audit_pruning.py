"""Deletes old audit entries, so that the rest can still be verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import PrunableSeal, SealRow
from dagbook.errors import BadRequestError
from dagbook.maintenance.audit.audit_sealing import AuditSealer, EncryptsSeals, log_seal, make_signed_seal

_MOST_SEALS, _MOST_PRUNED = 500, 5_000  # of one commit, which other writers wait for


class Pruned(msgspec.Struct, frozen=True):
    """The number of deleted entries, or of those to delete, and the id of the last one."""

    entries: int
    up_to: int


class AuditPruning:
    """Prunes entries that were sealed before a time, but none younger than ``keep_days``; 0 for no such limit."""

    def __init__(self, database: Database, signer: EncryptsSeals, now: Clock, keep_days: int = 0) -> None:
        self._database = database
        self._signer = signer
        self._sealer = AuditSealer(database, signer, now)
        self._now = now
        self._keep_days = keep_days

    async def preview(self, before: datetime) -> Pruned:
        """Return what would be deleted; raises BadRequestError for a time within ``keep_days``."""
        self._check_age(before)
        return Pruned(*await self._database.read(lambda connection: audit.sum_prunable(connection, before)))

    async def prune(self, before: datetime, actor: Actor) -> Pruned:
        """Delete these entries; raises as ``preview``, and AppError if the key cannot be used.

        The first commit has the audit entry, the seal over it and the first deletions: no deletion is without them.
        """
        up_to = (await self.preview(before)).up_to
        if not up_to:
            return Pruned(0, 0)
        await self._sealer.run_once()  # so that the commit below, during which others wait, has little to seal
        after = {"before": before.isoformat()}
        planned, seal = await self._database.write(lambda connection: self._start(connection, up_to, after, actor))
        if seal is not None:
            log_seal(seal)
        while await self._database.write(lambda connection: self._remove(connection, planned.up_to)):
            pass
        return planned

    def _check_age(self, before: datetime) -> None:
        youngest = self._now() - timedelta(days=self._keep_days)
        if self._keep_days and before > youngest:
            raise BadRequestError(
                f"before: audit_keep_days keeps the entries of the last {self._keep_days} days; "
                f"give a time up to {youngest.isoformat(timespec='seconds')}"
            )

    def _start(
        self, connection: WriteConnection, up_to: int, after: Mapping[str, object], actor: Actor
    ) -> tuple[Pruned, SealRow | None]:
        audit.lock(connection)
        planned = Pruned(*audit.sum_unpruned(connection, up_to))
        if not planned.entries:  # another request was faster
            return planned, None
        after = {**after, "entries": planned.entries, "upTo": planned.up_to}
        audit_action = AuditAction(action=Action.AUDIT_PRUNE, kind="audit", name=str(planned.up_to), after=after)
        audit.add(connection, actor.entry(audit_action, self._now()))
        seal = self._seal(connection, planned.up_to)
        self._remove(connection, planned.up_to)
        return planned, seal

    def _seal(self, connection: WriteConnection, pruned_up_to: int) -> SealRow:
        previous = audit.get_last_seal(connection)
        entries = audit.read_range(connection, previous.last_id if previous else 0, audit.last_id(connection))
        seal = make_signed_seal(previous, entries, self._signer, self._now(), pruned_up_to)
        audit.add_seal(connection, seal)
        return seal

    def _remove(self, connection: WriteConnection, up_to: int) -> int:
        """Delete the next entries; returns their number."""
        chosen = _first_of(audit.find_prunable(connection, up_to, _MOST_SEALS))
        if chosen:
            audit.prune(connection, [seal.number for seal in chosen], chosen[-1].last_id, self._now())
        return len(chosen)


def _first_of(seals: Sequence[PrunableSeal]) -> list[PrunableSeal]:
    chosen: list[PrunableSeal] = []
    for seal in seals:
        if chosen and sum(one.entries for one in chosen) > _MOST_PRUNED:
            break
        chosen.append(seal)
    return chosen
