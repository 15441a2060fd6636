"""Seals the audit: ranges of entries, chained by hash (house design section 6).

A chain inside each commit would make all writers wait for each other, so the seals are made a little later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection
from dagbook.db.errors import Conflict, DatabaseUnavailable
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import LastSeal, SealedEntry, SealRow
from dagbook.errors import AppError
from dagbook.maintenance.audit.audit_chain import make_seal, seal_context, seal_head

_log = logging.getLogger(__name__)
_seals = logging.getLogger("dagbook.audit.seals")
_seals.setLevel(logging.INFO)  # whatever log_level is: these lines are evidence
_EVERY_SECONDS = 60.0
_MOST_ENTRIES = 5_000  # of one seal: what is read and hashed at once
_WRITERS_SECONDS, _POLL_SECONDS = 5.0, 0.02


class EncryptsSeals(Protocol):
    """Holds the installation's key."""

    def encrypt(self, data: bytes, about: str) -> bytes:
        """Encrypt data with the installation's key. Raises AppError."""

    def decrypt(self, sealed: bytes, about: str) -> bytes:
        """Decrypt data. Raises AppError when it was encrypted with another key or for another context."""

    def find_other_keys(self, encrypted: Iterable[bytes]) -> list[str]:
        """Return the names of other keys that encrypted data names. Raises AppError."""


class AuditSealer:
    """Seals new entries periodically. Any number of servers may do so on one database."""

    def __init__(
        self, database: Database, signer: EncryptsSeals, now: Clock, every_seconds: float = _EVERY_SECONDS
    ) -> None:
        self._database = database
        self._signer = signer
        self._now = now
        self._loop = BackgroundLoop(
            "audit sealer",
            self.run_once,
            every_seconds=every_seconds,
            failure="the audit could not be sealed",
            expected=(DatabaseUnavailable, AppError),
        )

    def start(self) -> None:
        """Start sealing; starting twice is harmless."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop, then seal all entries; stopping without a start is harmless."""
        if await self._loop.stop():
            await self._loop.run_once()

    async def run_once(self) -> int:
        """Seal all entries whose order is final, and return their number."""
        last = await self._database.read_inline(audit.last_id)
        seal = await self._database.read_inline(audit.get_last_seal)
        done = seal.last_id if seal else 0
        if last <= done or not await _wait_for_writers(self._database):
            return 0
        sealed = 0
        while batch := await self._seal_next(last):
            sealed += batch
        return sealed

    async def _seal_next(self, last: int) -> int:
        """Seal the next entries up to ``last``; returns 0 when there are none, or another server was faster."""

        def read(connection: ReadConnection) -> tuple[LastSeal | None, Sequence[SealedEntry]]:
            seal = audit.get_last_seal(connection)
            return seal, audit.read_range(connection, seal.last_id if seal else 0, last, _MOST_ENTRIES)

        previous, entries = await self._database.read(read)
        if not entries:
            return 0
        seal = await asyncio.to_thread(make_signed_seal, previous, entries, self._signer, self._now())
        if not await self._store(seal):
            return 0
        log_seal(seal)
        return len(entries)

    async def _store(self, seal: SealRow) -> bool:
        try:
            await self._database.write(lambda connection: audit.add_seal(connection, seal))
        except Conflict:
            now = await self._database.read_inline(audit.get_last_seal)
            if now is None or now.number < seal.number:
                raise
            return False  # another server was faster
        return True


def make_signed_seal(
    previous: LastSeal | None,
    entries: Sequence[SealedEntry],
    signer: EncryptsSeals,
    now: datetime,
    pruned_up_to: int = 0,
) -> SealRow:
    """Make the seal that follows the last one; raises AppError if the key cannot be used."""
    if previous is not None and not is_signed(previous, signer):
        _log.error(
            "the audit is sealed on top of seal %d, which was not signed with the key of this server: the key or the "
            "audit was changed; see what dagbook audit verify says",
            previous.number,
        )
    number, chained = (previous.number, previous.hash) if previous else (0, "")
    at = max(now, previous.sealed_at) if previous else now
    seal = make_seal(number + 1, entries, chained, at, pruned_up_to)
    signature = signer.encrypt(bytes.fromhex(seal.hash), seal_context(seal.number))
    return msgspec.structs.replace(seal, signature=signature)


def is_signed(seal: LastSeal | SealRow, signer: EncryptsSeals) -> bool:
    """Whether a seal was signed with the key."""
    try:
        return signer.decrypt(seal.signature, seal_context(seal.number)).hex() == seal.hash
    except AppError:
        return False


def log_seal(seal: SealRow) -> None:
    """Write the head of a seal to the log, where it cannot be changed from the database."""
    _seals.info(
        "the audit is sealed up to entry %d: seal %d:%s", seal.last_id, seal.number, seal.hash, extra=seal_head(seal)
    )


async def _wait_for_writers(database: Database) -> bool:
    """Wait for transactions that write entries now: their ids may be lower than those of committed entries.

    Returns False if they take too long.
    """
    writers = await database.read_inline(audit.find_writers)
    try:
        async with asyncio.timeout(_WRITERS_SECONDS):
            while writers:
                await asyncio.sleep(_POLL_SECONDS)
                writers &= await database.read_inline(audit.find_writers)
    except TimeoutError:
        _log.info("the audit is sealed later: an entry has waited for its commit for %g s", _WRITERS_SECONDS)
        return False
    return True
