"""Compares the audit with a copy of it, and reports every difference.

Both are read once, in the order of ids and numbers. What the database has beyond the end of the copy is only counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditRow, SealRow
from dagbook.maintenance.audit.audit_chain import entry_hash, seal_head
from dagbook.maintenance.audit.audit_verification import Limit, Verified
from dagbook.maintenance.audit.copy_file import CopyLine, decode, read_lines

T = TypeVar("T")
_BATCH = 1_000
_MOST_DIFFERENCES = 1_000  # that are held in memory; the others are counted
_LIMITS = (Limit.FORGED, Limit.COPY_LATE, Limit.COPY_END, Limit.COPY_CHANGED)


class Copy(msgspec.Struct, frozen=True):
    """A copy as far as it was written before the database is read."""

    path: Path
    size: int

    @classmethod
    def of(cls, path: Path) -> Copy:
        """Take the present end of a file; raises OSError."""
        return cls(path, path.stat().st_size)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a comparison; ``differences`` are sentences, the first thousand of them."""

    differences: Sequence[str]
    left_out: int
    last_entry: int
    last_seal: int
    later_entries: int  # of the database, which the copy does not have
    pruned: int  # entries of the copy that a pruning has deleted

    @property
    def limits(self) -> Sequence[Limit]:
        """What the comparison does not show."""
        return (*_LIMITS, Limit.COPY_PRUNED) if self.pruned else _LIMITS


def compare(connection: ReadConnection, copy: Copy, verified: Verified) -> Compared:
    """Compare in the transaction that was verified; raises OSError if the file cannot be read."""
    comparison = _Comparison(connection)
    for number, line in _whole_lines(read_lines(copy.path, copy.size)):
        comparison.add(number, line)
    return comparison.report(verified.covered_up_to)


def _whole_lines(lines: Iterable[tuple[int, bytes, bool]]) -> Iterator[tuple[int, CopyLine | None]]:
    """Decode lines; None for a damaged one.

    A line that was cut off by a crash or a full disk is none: the next one is the same again, and begins like it.
    """
    cut: tuple[int, bytes] | None = None
    last = b""
    for number, text, is_complete in lines:
        if text == last:  # only its line end was cut off
            continue
        last = text
        if cut is not None and not (text.startswith(cut[1]) or cut[1].startswith(text)):
            yield cut[0], None
        cut = None
        found = decode(text)
        if found is not None and is_complete:
            yield number, found
        elif text and is_complete:
            cut = number, text
    if cut is not None:
        yield cut[0], None


class _Stored(Generic[T]):
    """Rows of the database in order, taken by their keys."""

    def __init__(self, rows: Iterator[tuple[int, T]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def before(self, key: int) -> Iterator[int]:
        """Pass the rows before a key; yields their keys."""
        while self._next is not None and self._next[0] < key:
            yield self._next[0]
            self._next = next(self._rows, None)

    def take(self, key: int) -> T | None:
        """Pass and return the row with a key, if it is the next."""
        if self._next is None or self._next[0] != key:
            return None
        row = self._next[1]
        self._next = next(self._rows, None)
        return row


class _Comparison:
    def __init__(self, connection: ReadConnection) -> None:
        self._entries = _Stored(_read_entries(connection))
        self._seals = _Stored(_read_seals(connection))
        self._last_entry, self._last_seal = 0, 0
        self._covered = 0  # the last entry whose deletion is in the head of a seal of the copy
        self._missing: list[range] = []
        self._changed: list[tuple[AuditRow, AuditRow]] = []
        self._differences: list[str] = []
        self._left_out = 0

    def add(self, number: int, line: CopyLine | None) -> None:
        """Compare the next line."""
        if line is None:
            self._differ(f"line {number} of the copy is damaged")
        elif line.entry is not None:
            self._add_entry(number, line.entry)
        elif line.seal is not None:
            self._add_seal(number, line.seal)

    def report(self, covered: int) -> Compared:
        self._report_changed()
        pruned = self._report_missing(max(covered, self._covered))
        return Compared(
            differences=self._differences,
            left_out=self._left_out,
            last_entry=self._last_entry,
            last_seal=self._last_seal,
            later_entries=sum(1 for _ in self._entries.before(2**63)),
            pruned=pruned,
        )

    def _add_entry(self, number: int, entry: AuditRow) -> None:
        if entry.id <= self._last_entry:
            self._differ(f"line {number} of the copy is not in order: entry {entry.id} is after {self._last_entry}")
            return
        self._last_entry = entry.id
        for extra in self._entries.before(entry.id):
            self._differ(f"entry {extra} is in the database, but not in the copy")
        stored = self._entries.take(entry.id)
        if stored is None and self._missing and self._missing[-1].stop == entry.id:
            self._missing[-1] = range(self._missing[-1].start, entry.id + 1)
        elif stored is None:
            self._missing.append(range(entry.id, entry.id + 1))
        elif entry_hash(stored) != entry_hash(entry):
            if len(self._changed) < _MOST_DIFFERENCES:
                self._changed.append((entry, stored))
            else:
                self._left_out += 1

    def _add_seal(self, number: int, seal: SealRow) -> None:
        if seal.number <= self._last_seal:
            self._differ(f"line {number} of the copy is not in order: seal {seal.number} is after {self._last_seal}")
            return
        self._last_seal = seal.number
        self._covered = max(self._covered, seal.pruned_up_to or 0)
        for extra in self._seals.before(seal.number):
            self._differ(f"seal {extra} is in the database, but not in the copy")
        stored = self._seals.take(seal.number)
        if stored is None:
            self._differ(f"seal {seal.number} over the entries {seal.first_id} to {seal.last_id} is missing")
        elif _fixed_part(stored) != _fixed_part(seal):
            self._differ(f"seal {seal.number} is another one in the copy: it was made again or changed")

    def _report_missing(self, covered: int) -> int:
        """Report missing entries that were not pruned; returns the number of those that were."""
        pruned = 0
        for keys in self._missing:
            deleted = range(max(keys.start, covered + 1), keys.stop)
            pruned += len(keys) - len(deleted)
            if len(deleted) == 1:
                self._differ(f"entry {deleted.start} is missing, and no sealed audit.prune entry covers it")
            elif deleted:
                text = f"the entries {deleted.start} to {deleted.stop - 1} are missing"
                self._differ(f"{text}, and no sealed audit.prune entry covers them")
        return pruned

    def _report_changed(self) -> None:
        places = {_without_id(copied): copied.id for copied, _ in self._changed}
        for copied, stored in self._changed:
            place = places.get(_without_id(stored))
            names = [name for name in AuditRow.__struct_fields__ if getattr(copied, name) != getattr(stored, name)]
            if place is not None:
                self._differ(f"entry {stored.id} was exchanged: in the copy it is entry {place}")
            else:
                self._differ(f"entry {stored.id} was changed: its {', '.join(names)} differ from the copy")

    def _differ(self, sentence: str) -> None:
        if len(self._differences) < _MOST_DIFFERENCES:
            self._differences.append(sentence)
        else:
            self._left_out += 1


def _fixed_part(seal: SealRow) -> tuple[object, ...]:
    return seal_head(seal), seal.hash, seal.signature


def _without_id(entry: AuditRow) -> bytes:
    return entry_hash(msgspec.structs.replace(entry, id=0))


def _read_entries(connection: ReadConnection) -> Iterator[tuple[int, AuditRow]]:
    after = -(2**63) + 1
    while entries := audit.read_range(connection, after, 2**63 - 1, _BATCH):
        for entry in entries:
            yield entry.id, entry
        after = entries[-1].id


def _read_seals(connection: ReadConnection) -> Iterator[tuple[int, SealRow]]:
    after = 0
    while seals := audit.find_seals(connection, after, _BATCH):
        for seal in seals:
            yield seal.number, seal
        after = seals[-1].number
