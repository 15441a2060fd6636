"""The file of a copy of the audit, a line of JSON for each entry and seal: only appended, by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dagbook.db.repositories.audit import AuditRow, SealRow

_TAIL_BYTES = 256 * 1024
_MAX_LINE_BYTES = 4 * 1024 * 1024


class CopyLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: an entry, whose ``before`` and ``after`` are the stored texts, or a seal, without its digests."""

    entry: AuditRow | None = None
    seal: SealRow | None = None


def encode_entry(entry: AuditRow) -> bytes:
    return msgspec.json.encode(CopyLine(entry=entry)) + b"\n"


def encode_seal(seal: SealRow) -> bytes:
    """Encode what never changes of a seal."""
    return msgspec.json.encode(CopyLine(seal=msgspec.structs.replace(seal, marks=None, pruned_at=None))) + b"\n"


def decode(line: bytes) -> CopyLine | None:
    """Decode a line; None if it is damaged."""
    try:
        found = msgspec.json.decode(line, type=CopyLine)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if (found.entry is None) == (found.seal is None) else found


class CopyFile:
    """A copy that is open for appending, with its last entry and its last seal; every method may raise OSError.

    A line that was cut off, by a crash or a full disk, stays as it is, and the next line is its entry or seal again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.entry: AuditRow | None = None
        self.seal: SealRow | None = None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_cut = self._read_end()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Raise OSError if the path is not this file any more: it was moved, or its disk is gone."""
        if not os.path.samestat(self._path.stat(), os.fstat(self._file)):
            raise OSError("it was replaced by another file")

    def append(self, lines: bytes) -> None:
        """Append lines, and return when the disk has them."""
        rest = memoryview(b"\n" + lines if self._is_cut else lines)
        self._is_cut = True
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fdatasync(self._file)
        self._is_cut = False

    def close(self) -> None:
        os.close(self._file)

    def _read_end(self) -> bool:
        """Read back to the last entry and the last seal; returns whether the last line is cut off."""
        size = os.fstat(self._file).st_size
        end, length = b"", _TAIL_BYTES
        while size > len(end):
            length = min(2 * length, size)
            end = os.pread(self._file, length, size - length)
            whole = end if length == size else end[end.find(b"\n") + 1 :]
            self._find_last(whole)
            if self.entry is not None and self.seal is not None:
                break
        return bool(end) and not end.endswith(b"\n")

    def _find_last(self, lines: bytes) -> None:
        self.entry = self.seal = None
        for line in reversed(lines.split(b"\n")[:-1]):
            found = decode(line)
            if found is None:
                continue
            self.entry = self.entry or found.entry
            self.seal = self.seal or found.seal
            if self.entry is not None and self.seal is not None:
                return


def read_lines(path: Path, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """Read the first ``size`` bytes: number and text of each line, and whether it is complete. Raises OSError."""
    with path.open("rb") as file:
        number = 0
        while size > 0 and (line := file.readline(min(_MAX_LINE_BYTES, size))):
            size -= len(line)
            number += 1
            yield number, line.removesuffix(b"\n"), line.endswith(b"\n")
