"""Copies the audit to a file as it is made, on a disk that the owner of the database cannot write to (``audit_copy``).

Entries are copied in the order of their ids, from the database, after their commit: so the file has no entry that the
database lost in a crash, and what was committed while it could not be written is copied when it can be again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dagbook.background import BackgroundLoop
from dagbook.db.database import AUDIT, Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditRow, SealRow
from dagbook.maintenance.audit.audit_chain import entry_hash
from dagbook.maintenance.audit.audit_sealing import wait_for_writers
from dagbook.maintenance.audit.copy_file import CopyFile, encode_entry, encode_seal

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 1.0  # also for the entries of other servers
_FAILED_SECONDS = 5.0
_REPEAT_SECONDS = 600.0
_MOST_ENTRIES, _MOST_SEALS = 1_000, 100  # of one write


class _OtherHistoryError(OSError):
    """The file is not a copy of this database's audit."""


class AuditCopy:
    """Appends new entries and seals to the file; while that fails, ``problem`` says why, and all else goes on."""

    def __init__(self, database: Database, path: Path, seconds: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._path = path
        self._seconds = seconds
        self._file: CopyFile | None = None
        self._entry, self._seal = 0, 0  # the last ones in the file
        self.problem = ""
        self._said_at = 0.0
        self._loop = BackgroundLoop(
            "audit copy",
            self.run_once,
            every_seconds=lambda: _FAILED_SECONDS if self.problem else _EVERY_SECONDS,
            failure="the audit could not be copied",
            expected=(DatabaseUnavailable,),
        )

    def start(self) -> None:
        """Copy what the file lacks, then go on; starting twice is harmless."""
        if not self._loop.is_started:
            self._database.on_commit(self._committed)
            self._loop.start(0.0)

    async def stop(self) -> None:
        """Copy the rest and close the file; stopping without a start is harmless."""
        if await self._loop.stop():
            await self._loop.run_once()
            self.close()

    def _committed(self, kinds: set[str]) -> None:
        if AUDIT in kinds and not self.problem:
            self._loop.wake()

    async def run_once(self) -> None:
        """Copy all entries whose order is final, and all seals over them."""
        try:
            await self._copy(self._file or await self._open())
        except OSError as error:
            self.close()
            self._say(_describe(error))
        else:
            if self.problem:
                _log.warning("the audit is copied to %s again", self._path)
            self.problem = ""

    async def _open(self) -> CopyFile:
        file = await asyncio.to_thread(CopyFile, self._path)
        self._file = file
        self._entry, self._seal = file.entry.id if file.entry else 0, file.seal.number if file.seal else 0
        await self._check_history(file)
        _log.info("the audit is copied to %s, from entry %d on", self._path, self._entry + 1)
        return file

    async def _check_history(self, file: CopyFile) -> None:
        """Raise OSError if the end of the file is not what the database has there."""

        def read(connection: ReadConnection) -> tuple[Sequence[AuditRow], Sequence[SealRow], int]:
            entries = audit.read_range(connection, self._entry - 1, self._entry)
            return entries, audit.find_seals(connection, self._seal - 1, 1), audit.last_id(connection)

        entries, seals, last = await self._database.read(read)
        is_other_entry = file.entry and any(entry_hash(entry) != entry_hash(file.entry) for entry in entries)
        is_other_seal = file.seal and (not seals or seals[0].hash != file.seal.hash)
        if is_other_entry or is_other_seal or last < self._entry:
            raise _OtherHistoryError(
                f"it ends with entry {self._entry} and seal {self._seal}, and this database has others; compare them "
                "by dagbook audit verify --copy, then keep that file and give audit_copy another one"
            )

    async def _copy(self, file: CopyFile) -> None:
        await asyncio.to_thread(file.check)
        newest, last = await self._database.read_inline(
            lambda connection: (audit.get_last_seal(connection), audit.last_id(connection))
        )
        if last > self._entry and await wait_for_writers(self._database):
            while entries := await self._database.read(
                lambda connection: audit.read_range(connection, self._entry, last, _MOST_ENTRIES)
            ):
                await asyncio.to_thread(file.append, b"".join(map(encode_entry, entries)))
                self._entry = entries[-1].id
        while newest is not None and newest.number > self._seal:
            seals = await self._database.read(lambda connection: audit.find_seals(connection, self._seal, _MOST_SEALS))
            seals = [one for one in seals if one.last_id <= self._entry]
            if not seals:
                return
            await asyncio.to_thread(file.append, b"".join(map(encode_seal, seals)))
            self._seal = seals[-1].number

    def close(self) -> None:
        """Close the file, until the next round."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _say(self, problem: str) -> None:
        now = self._seconds()
        if problem != self.problem or now - self._said_at >= _REPEAT_SECONDS:
            _log.error("the audit is not copied to %s: %s; the server goes on without a copy", self._path, problem)
            self._said_at = now
        self.problem = problem


def _describe(error: OSError) -> str:
    if isinstance(error, _OtherHistoryError):
        return str(error)
    if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
        return "another process writes to it"
    return error.strerror or str(error)
