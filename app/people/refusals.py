"""Notes in the audit of what changed nothing here.

The number of those of refusals is bounded: whoever is refused may try as often as he likes.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

import msgspec

from app.auth.audit_context import Actor, AuditAction
from app.clock import Clock
from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.db.repositories import audit

_log = logging.getLogger(__name__)
_MOST, _SECONDS = 100, 60.0


class Refusals:
    """Writes down what was refused, ``most`` things in a minute; the next note says how many were left out."""

    def __init__(
        self, database: Database, now: Clock, seconds: Callable[[], float] = time.monotonic, most: int = _MOST
    ) -> None:
        self._database = database
        self._now = now
        self._seconds = seconds
        self._most = most
        self._noted: deque[float] = deque()
        self._left_out = 0

    async def note_elsewhere(self, origin: Actor, audit_action: AuditAction) -> None:
        """Write down what was done on another server, which cannot be one commit; the answer comes all the same."""
        await self._write(origin, audit_action)

    async def note(self, origin: Actor, audit_action: AuditAction) -> None:
        """Write one down. An answer that is a refusal anyway does not fail because the database is away."""
        if not self._has_room():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        if left_out:
            audit_action = msgspec.structs.replace(
                audit_action, after={**(audit_action.after or {}), "leftOutBefore": left_out}
            )
        if not await self._write(origin, audit_action):
            self._left_out += left_out + 1

    async def _write(self, origin: Actor, audit_action: AuditAction) -> bool:
        entry = origin.entry(audit_action, self._now())
        try:
            await self._database.write(lambda connection: audit.add(connection, entry))
        except DatabaseUnavailable as error:
            _log.warning(
                "%s of %s %r could not be noted in the audit: %s",
                audit_action.action,
                audit_action.kind,
                audit_action.name,
                error,
            )
            return False
        return True

    def _has_room(self) -> bool:
        now = self._seconds()
        while self._noted and now - self._noted[0] >= _SECONDS:
            self._noted.popleft()
        if len(self._noted) >= self._most:
            return False
        self._noted.append(now)
        return True
