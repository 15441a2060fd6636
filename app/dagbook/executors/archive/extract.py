"""Extracts and lists archives: the two visitors of an existing archive."""

from __future__ import annotations

import stat
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO

from dagbook.executors.archive.entries import Entry, Kind, NullSink, Sink, split
from dagbook.executors.archive.options import Options
from dagbook.executors.archive.reading import Archive
from dagbook.executors.archive.report import ArchiveError, Code, Report, dump, explain
from dagbook.executors.archive.tree import Tree, check_name, check_target
from dagbook.executors.subprocess_executor import write_stdout

_FATAL = frozenset({Code.SPACE, Code.PASSWORD})
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PART_CHARACTERS = 256 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = "0001-01-01T00:00:00Z"
_TYPES = {Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK}


def extract(options: Options) -> None:
    """Extract an archive below a folder. Raises ArchiveError and OSError."""
    report = Report(verbose=options.verbose)
    with closing(Archive(Path(options.source), options.format, options.password)) as archive:
        if options.verify:
            archive.verify()
        tree = None if options.dry_run else Tree(Path(options.destination))
        extractor = Extractor(options, report, tree)
        try:
            archive.walk(extractor)
        finally:
            if tree is not None:
                tree.close()
    document = {
        "operation": options.operation,
        "source": options.source,
        "destination": options.destination,
        "filesExtracted": extractor.files,
        "bytesExtracted": extractor.size,
        "filesSkipped": extractor.skipped,
        "duration": report.duration(),
        **report.errors_member(),
        "verifyPerformed": options.verify,
    }
    write_stdout(dump(document) + "\n")


class Extractor:
    """Writes entries into a tree; without one (``dryRun``) it only counts them."""

    reads = True

    def __init__(self, options: Options, report: Report, tree: Tree | None) -> None:
        self.files = 0
        self.size = 0
        self.skipped = 0
        self._options = options
        self._filter = options.filter()
        self._report = report
        self._tree = tree

    def visit(self, entry: Entry) -> Sink | None:
        """Extract an entry; the data of a file are written to the sink."""
        try:
            return self._extract(entry)
        except (ArchiveError, OSError) as error:
            self.failed(entry, explain(error, Code.EXTRACT))
            return None

    def failed(self, entry: Entry, error: ArchiveError) -> None:  # noqa: ARG002 - the error names it
        """Record the error and continue if ``continueOnError`` is set and other entries may succeed; else raise it."""
        if not self._options.keep_going or error.exit_code in _FATAL:
            raise error
        self._report.record(error)

    def count(self, entry: Entry, size: int) -> None:
        """Count an extracted entry."""
        self.files += 1
        self.size += size
        self._report.log(f"extracted {entry.name} ({size} bytes)")

    def _extract(self, entry: Entry) -> Sink | None:
        check_name(entry)
        if not self._filter.matches("/".join(entry.parts)):
            self.skipped += 1
            return None
        parts = self._target_parts(entry.parts)
        if not parts:
            self.skipped += entry.kind is not Kind.DIRECTORY
            return None
        match entry.kind:
            case Kind.DIRECTORY:
                if self._tree is not None and self._options.preserve_paths:
                    self._tree.make_folder(parts, entry.mode)
            case Kind.FILE:
                sink: Sink = NullSink()
                if self._tree is not None:
                    sink = self._tree.make_file(parts, entry, overwrite=self._options.overwrite)
                return _CountingSink(self, entry, sink)
            case Kind.SYMLINK | Kind.HARDLINK:
                self._make_link(parts, entry)
                self.count(entry, 0)
            case Kind.OTHER:
                raise ArchiveError(
                    Code.CORRUPT, f"the entry {entry.name!r} is a device or a pipe, which are not extracted"
                )
        return None

    def _target_parts(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the path of an entry below the destination; empty when all its parts are stripped."""
        kept = parts[self._options.strip :]
        return kept if self._options.preserve_paths else kept[-1:]

    def _make_link(self, parts: tuple[str, ...], entry: Entry) -> None:
        overwrite = self._options.overwrite
        if entry.kind is Kind.SYMLINK:
            check_target(parts, entry.target)
            if self._tree is not None:
                self._tree.make_symlink(parts, entry.target, overwrite=overwrite)
            return
        if ".." in PurePosixPath(entry.target).parts:
            raise ArchiveError(Code.CORRUPT, f"{entry.name!r} is a hard link to {entry.target!r}, outside the archive")
        target = self._target_parts(split(entry.target))
        if self._tree is not None:
            self._tree.make_hard_link(parts, target, overwrite=overwrite)


class _CountingSink:
    """Counts its file when it is complete, and skips the rest of one that cannot be written."""

    def __init__(self, extractor: Extractor, entry: Entry, sink: Sink) -> None:
        self._extractor = extractor
        self._entry = entry
        self._sink: Sink | None = sink
        self._size = 0

    def write(self, data: bytes) -> None:
        if self._sink is None:
            return
        try:
            self._sink.write(data)
        except OSError as error:
            self.discard()
            self._extractor.failed(self._entry, explain(error, Code.EXTRACT))
        self._size += len(data)

    def finish(self) -> None:
        if self._sink is None:
            return
        try:
            self._sink.finish()
        except (ArchiveError, OSError) as error:
            self._extractor.failed(self._entry, explain(error, Code.EXTRACT))
            return
        self._extractor.count(self._entry, self._size)

    def discard(self) -> None:
        if self._sink is not None:
            self._sink.discard()
            self._sink = None


def list_entries(options: Options) -> None:
    """List an archive. Raises ArchiveError and OSError."""
    report = Report(verbose=options.verbose)
    with (
        closing(Archive(Path(options.source), options.format, options.password)) as archive,
        tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+", encoding="utf-8", errors="replace") as lines,
    ):
        lister = Lister(options, lines)
        archive.walk(lister)
        head = {
            "operation": options.operation,
            "source": options.source,
            "totalFiles": lister.count,
            "totalSize": lister.size,
        }
        write_stdout(f'{dump(head)[:-2]},\n  "files": [')
        lines.seek(0)
        while part := lines.read(_PART_CHARACTERS):
            write_stdout(part)
        write_stdout("\n  ]" if lister.count else "]")
    write_stdout(f',\n  "verified": {dump(options.verify)},\n  "duration": {dump(report.duration())}\n}}\n')


class Lister:
    """Writes a line for each entry to a file: there may be too many for memory."""

    def __init__(self, options: Options, lines: IO[str]) -> None:
        self.reads = options.verify
        self.count = 0
        self.size = 0
        self._filter = options.filter()
        self._lines = lines

    def visit(self, entry: Entry) -> Sink | None:
        """List an entry; data are read to verify them, or when the size is known only from them."""
        if not self._filter.matches("/".join(entry.parts)):
            return NullSink() if self.reads and entry.kind is Kind.FILE else None
        if entry.size is None:
            return _MeasuringSink(self, entry)
        self.add(entry, entry.size)
        return NullSink() if self.reads and entry.kind is Kind.FILE else None

    def failed(self, entry: Entry, error: ArchiveError) -> None:  # noqa: ARG002 - one damaged entry is enough
        """Raise the error."""
        raise error

    def add(self, entry: Entry, size: int) -> None:
        """Write the line of an entry."""
        mode = stat.filemode(_TYPES.get(entry.kind, stat.S_IFREG) | entry.mode & 0o777)
        line = {
            "path": "/".join(entry.parts) or ".",
            "size": size,
            "mode": f"L{mode[1:]}" if entry.kind is Kind.SYMLINK else mode,
            "modTime": _format_time(entry.modified),
            "isDir": entry.kind is Kind.DIRECTORY,
        }
        self._lines.write(f"{',' if self.count else ''}\n    {dump(line, '    ')}")
        self.count += 1
        self.size += size


class _MeasuringSink(NullSink):
    """Reads data to learn their size."""

    def __init__(self, lister: Lister, entry: Entry) -> None:
        super().__init__()
        self._lister = lister
        self._entry = entry

    def finish(self) -> None:
        self._lister.add(self._entry, self.size)


def _format_time(seconds: float | None) -> str:
    if seconds is None:
        return _NO_TIME
    try:
        return (_EPOCH + timedelta(seconds=int(seconds))).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return _NO_TIME
