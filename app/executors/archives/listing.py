"""Lists what is in an archive."""

from __future__ import annotations

import stat
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from app.executors.archives.entries import Entry, Kind, Sink, Void
from app.executors.archives.failure import ArchiveError
from app.executors.archives.options import Options
from app.executors.archives.reading import Archive
from app.executors.archives.report import Report, dump
from app.executors.program import write_stdout

_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PART_CHARACTERS = 256 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = "0001-01-01T00:00:00Z"
_TYPES = {Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK}


def list_entries(options: Options) -> None:
    """Print the list; raises ArchiveError and OSError."""
    report = Report(verbose=options.verbose)
    with (
        closing(Archive(Path(options.source), options.format, options.password)) as archive,
        tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+", encoding="utf-8", errors="replace") as lines,
    ):
        listing = Listing(options, lines)
        archive.walk(listing)
        head = {
            "operation": options.operation,
            "source": options.source,
            "totalFiles": listing.count,
            "totalSize": listing.size,
        }
        write_stdout(f'{dump(head)[:-2]},\n  "files": [')
        lines.seek(0)
        while part := lines.read(_PART_CHARACTERS):
            write_stdout(part)
        write_stdout("\n  ]" if listing.count else "]")
    write_stdout(f',\n  "verified": {dump(options.verify)},\n  "duration": {dump(report.duration())}\n}}\n')


class Listing:
    """A visitor that writes a line for each entry: there may be more than memory should hold."""

    def __init__(self, options: Options, lines: IO[str]) -> None:
        self.reads = options.verify
        self.count = 0
        self.size = 0
        self._filter = options.filter()
        self._lines = lines

    def begin(self, entry: Entry) -> Sink | None:
        """Note an entry; data are read when they are to be checked, or only they tell their size."""
        if not self._filter.matches("/".join(entry.parts)):
            return Void() if self.reads and entry.kind is Kind.FILE else None
        if entry.size is None:
            return _Measured(self, entry)
        self.note(entry, entry.size)
        return Void() if self.reads and entry.kind is Kind.FILE else None

    def failed(self, entry: Entry, error: ArchiveError) -> None:  # noqa: ARG002 - an archive is whole or not
        """Give up."""
        raise error

    def note(self, entry: Entry, size: int) -> None:
        """Write the line of an entry."""
        line = {
            "path": "/".join(entry.parts) or ".",
            "size": size,
            "mode": _mode(entry),
            "modTime": _time(entry.modified),
            "isDir": entry.kind is Kind.DIRECTORY,
        }
        self._lines.write(f"{',' if self.count else ''}\n    {dump(line, '    ')}")
        self.count += 1
        self.size += size


class _Measured(Void):
    """Data that are read for their size."""

    def __init__(self, listing: Listing, entry: Entry) -> None:
        super().__init__()
        self._listing = listing
        self._entry = entry

    def done(self) -> None:
        self._listing.note(self._entry, self.size)


def _mode(entry: Entry) -> str:
    text = stat.filemode(_TYPES.get(entry.kind, stat.S_IFREG) | entry.mode & 0o777)
    return f"L{text[1:]}" if entry.kind is Kind.SYMLINK else text


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _NO_TIME
    try:
        return (_EPOCH + timedelta(seconds=int(seconds))).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return _NO_TIME
