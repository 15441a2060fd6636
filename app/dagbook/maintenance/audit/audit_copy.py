"""The copy of the audit in a file that the owner of the database cannot write to (``audit_copy``), and its comparison.

The file has a line of JSON for each sealed entry, and one for the seal behind its entries. Lines are only appended: one
that a crash or a full disk has cut off stays, and the entries of its seal are written again behind it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dagbook.background import BackgroundLoop
from dagbook.db.database import Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditRow, SealedEntry, SealRow
from dagbook.maintenance.audit.audit_chain import entry_hash, seal_head
from dagbook.maintenance.audit.audit_verification import Limit

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 5.0
_SEALS = 10  # of one write
_TAIL_BYTES = 64 * 1024


class _OtherHistoryError(Exception):
    """The file is not a copy of this database's audit."""


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry, whose ``before`` and ``after`` are the stored texts, or what never changes of a seal."""

    entry: SealedEntry | None = None
    seal: SealRow | None = None


class AuditCopy:
    """Appends what was sealed; while that fails, ``problem`` says why, and all else goes on."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path
        self.problem = ""
        failure, expected = "the audit could not be copied", (DatabaseUnavailable,)
        self._loop = BackgroundLoop(
            "audit copy", self.run_once, every_seconds=_EVERY_SECONDS, failure=failure, expected=expected
        )

    def start(self) -> None:
        """Copy what the file lacks, then go on; starting twice is harmless."""
        self._loop.start(0.0)

    async def stop(self) -> None:
        """Copy the rest; stopping without a start is harmless."""
        if await self._loop.stop():
            await self._loop.run_once()

    async def run_once(self) -> None:
        """Append all seals that the file lacks, each behind its entries."""
        problem = ""
        try:
            while await self._append_next():
                pass
        except (OSError, _OtherHistoryError) as error:
            problem = getattr(error, "strerror", None) or str(error)
        if problem and problem != self.problem:
            _log.error("the audit is not copied to %s: %s; the server goes on without a copy", self._path, problem)
        elif self.problem and not problem:
            _log.warning("the audit is copied to %s again", self._path)
        self.problem = problem

    async def _append_next(self) -> bool:
        file = await asyncio.to_thread(os.open, self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)  # another server may have the same file
            last = await asyncio.to_thread(_read_last_seal, file)
            lines = await self._database.read(lambda connection: _encode_next(connection, last))
            await asyncio.to_thread(_append, file, lines)
            return bool(lines)
        finally:
            os.close(file)


def _read_last_seal(file: int) -> SealRow | None:
    size, length, end = os.fstat(file).st_size, _TAIL_BYTES, b""
    while len(end) < size:
        end = os.pread(file, length, max(size - length, 0))
        lines = (_decode(line) for line in reversed(end.splitlines()) if line.startswith(b'{"seal"'))
        if seal := next((line.seal for line in lines if line), None):
            return seal
        length = min(4 * length, size)
    return None


def _encode_next(connection: ReadConnection, last: SealRow | None) -> bytes:
    """Return the lines of the next seals; raises _OtherHistoryError if the last one is not in the database."""
    seals = audit.find_seals(connection, last.number - 1 if last else 0, _SEALS)
    if last and (not seals or seals[0].hash != last.hash):
        raise _OtherHistoryError(
            f"it ends with seal {last.number}, and this database has another one; compare them by dagbook audit verify "
            "--copy, then keep that file and give audit_copy another one"
        )
    done, lines = last.last_id if last else 0, list[_Line]()
    for seal in seals[1:] if last else seals:
        lines += [_Line(entry=entry) for entry in audit.read_range(connection, done, seal.last_id)]
        lines.append(_Line(seal=msgspec.structs.replace(seal, marks=None, pruned_at=None)))
        done = seal.last_id
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _append(file: int, lines: bytes) -> None:
    """Append lines, and return when the disk has them."""
    is_cut = os.pread(file, 1, max(os.fstat(file).st_size - 1, 0)) not in (b"", b"\n")
    rest = memoryview(b"\n" * is_cut + lines if lines else b"")
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fdatasync(file)


def _decode(line: bytes) -> _Line | None:
    try:
        return msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class Compared(msgspec.Struct, kw_only=True):
    """The differences between the audit and a copy of it, as sentences, and what they have in common."""

    differences: list[str] = []
    last_entry: int = 0
    last_seal: int = 0
    later_entries: int = 0  # of the database, behind the end of the copy
    pruned: int = 0  # entries of the copy that a pruning has deleted

    @property
    def limits(self) -> Sequence[Limit]:
        """What the comparison does not show."""
        limits = (Limit.UNSEALED, Limit.FORGED, Limit.COPY_END, Limit.COPY_CHANGED)
        return (*limits, Limit.COPY_PRUNED) if self.pruned else limits


def compare(connection: ReadConnection, path: Path, size: int, pruned_up_to: int) -> Compared:
    """Compare the first bytes of a copy with the rows of a transaction; raises OSError.

    A damaged line is none: its entry is not in the copy, unless it is written again behind it. Of two lines of an entry
    the first counts: a change that was made in between is in the second one, too.
    """
    compared, batch = Compared(), dict[int, SealedEntry]()
    with path.open("rb") as file:
        for text in file:
            size -= len(text)
            line = _decode(text) if size >= 0 else None
            if line and line.entry:
                batch.setdefault(line.entry.id, line.entry)
            elif line and line.seal:
                _compare_entries(connection, compared, batch, line.seal.last_id, pruned_up_to)
                _compare_seal(connection, compared, line.seal)
    _compare_entries(connection, compared, batch, max(batch, default=0), pruned_up_to)
    compared.later_entries = audit.count_after(connection, compared.last_entry)
    return compared


def _compare_entries(
    connection: ReadConnection, compared: Compared, batch: dict[int, SealedEntry], last: int, pruned_up_to: int
) -> None:
    """Compare the entries behind those of before, up to the last one of a seal."""
    of_copy = {number: batch.pop(number) for number in list(batch) if number <= last}
    stored = {entry.id: entry for entry in audit.read_range(connection, compared.last_entry or -(2**63) + 1, last)}
    for number in sorted(of_copy.keys() | stored.keys()):
        copied, found = of_copy.get(number), stored.get(number)
        if copied is None:
            compared.differences.append(f"entry {number} is in the database, but not in the copy")
        elif found is None and number <= pruned_up_to:
            compared.pruned += 1
        elif found is None:
            compared.differences.append(f"entry {number} is missing, and no sealed audit.prune entry covers it")
        elif entry_hash(found) != entry_hash(copied):
            names = [name for name in AuditRow.__struct_fields__ if getattr(copied, name) != getattr(found, name)]
            compared.differences.append(f"entry {number} was changed: its {', '.join(names)} differ from the copy")
    compared.last_entry = max(compared.last_entry, last)


def _compare_seal(connection: ReadConnection, compared: Compared, seal: SealRow) -> None:
    found = next(iter(audit.find_seals(connection, seal.number - 1, 1)), None)
    if found is None or found.number != seal.number:
        compared.differences.append(f"seal {seal.number} over the entries {seal.first_id} to {seal.last_id} is missing")
    elif (seal_head(found), found.hash, found.signature) != (seal_head(seal), seal.hash, seal.signature):
        compared.differences.append(f"seal {seal.number} is another one in the copy: it was made again or changed")
    compared.last_seal = seal.number
