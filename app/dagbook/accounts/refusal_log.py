"""Audit entries of refused, failed and remote actions.

Refusals are limited: a refused client may try any number of times.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

import msgspec

from dagbook.auth.audit_context import Actor, AuditAction
from dagbook.clock import Clock
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit

_log = logging.getLogger(__name__)
_MAX_PER_PERIOD, _PERIOD_SECONDS = 100, 60.0


class RefusalLog:
    """Records refused actions, at most ``limit`` per minute; the next entry has the number of those left out."""

    def __init__(
        self,
        database: Database,
        now: Clock,
        seconds: Callable[[], float] = time.monotonic,
        limit: int = _MAX_PER_PERIOD,
    ) -> None:
        self._database = database
        self._now = now
        self._seconds = seconds
        self._limit = limit
        self._recorded: deque[float] = deque()
        self._left_out = 0

    async def record(self, actor: Actor, audit_action: AuditAction) -> None:
        """Record a refusal. The response, a refusal anyway, does not fail if the database is unavailable."""
        if not self._may_record():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        if left_out:
            audit_action = msgspec.structs.replace(
                audit_action, after={**(audit_action.after or {}), "leftOutBefore": left_out}
            )
        if not await self.record_remote(actor, audit_action):
            self._left_out += left_out + 1

    async def record_remote(self, actor: Actor, audit_action: AuditAction) -> bool:
        """Record an action done on another server; returns False, and the request does not fail, if that fails."""
        entry = actor.entry(audit_action, self._now())
        try:
            await self._database.write(lambda connection: audit.add(connection, entry))
        except DatabaseUnavailable as error:
            _log.warning(
                "%s of %s %r could not be recorded in the audit: %s",
                audit_action.action,
                audit_action.kind,
                audit_action.name,
                error,
            )
            return False
        return True

    def _may_record(self) -> bool:
        now = self._seconds()
        while self._recorded and now - self._recorded[0] >= _PERIOD_SECONDS:
            self._recorded.popleft()
        if len(self._recorded) >= self._limit:
            return False
        self._recorded.append(now)
        return True
