"""Unpacks an archive below a folder."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path, PurePosixPath

from app.executors.archives.entries import Entry, Kind, Sink, Void, split
from app.executors.archives.failure import ArchiveError, Code, explain
from app.executors.archives.options import Options
from app.executors.archives.reading import Archive
from app.executors.archives.report import Report, dump
from app.executors.archives.tree import Tree, check_name, check_target
from app.executors.program import write_stdout

_HOPELESS = frozenset({Code.SPACE, Code.PASSWORD})


def extract(options: Options) -> None:
    """Unpack; raises ArchiveError and OSError."""
    report = Report(verbose=options.verbose)
    with closing(Archive(Path(options.source), options.format, options.password)) as archive:
        if options.verify:
            archive.verify()
        tree = None if options.dry_run else Tree(Path(options.destination))
        unpacking = Unpacking(options, report, tree)
        try:
            archive.walk(unpacking)
        finally:
            if tree is not None:
                tree.close()
    document = {
        "operation": options.operation,
        "source": options.source,
        "destination": options.destination,
        "filesExtracted": unpacking.files,
        "bytesExtracted": unpacking.size,
        "filesSkipped": unpacking.skipped,
        "duration": report.duration(),
        **report.errors_member(),
        "verifyPerformed": options.verify,
    }
    write_stdout(dump(document) + "\n")


class Unpacking:
    """A visitor that writes what it sees into a tree; without one it only looks what would be done."""

    reads = True

    def __init__(self, options: Options, report: Report, tree: Tree | None) -> None:
        self.files = 0
        self.size = 0
        self.skipped = 0
        self._options = options
        self._filter = options.filter()
        self._report = report
        self._tree = tree

    def begin(self, entry: Entry) -> Sink | None:
        """Make an entry; the sink of a file writes it."""
        try:
            return self._begin(entry)
        except (ArchiveError, OSError) as error:
            self.failed(entry, explain(error, Code.EXTRACT))
            return None

    def failed(self, entry: Entry, error: ArchiveError) -> None:  # noqa: ARG002 - the error names it
        """Go on after an error of one entry, if that is wanted and there is hope for the others."""
        if not self._options.keep_going or error.exit_code in _HOPELESS:
            raise error
        self._report.note(error)

    def finished(self, entry: Entry, size: int) -> None:
        """Count what is unpacked."""
        self.files += 1
        self.size += size
        self._report.tell(f"extracted {entry.name} ({size} bytes)")

    def _begin(self, entry: Entry) -> Sink | None:
        check_name(entry)
        if not self._filter.matches("/".join(entry.parts)):
            self.skipped += 1
            return None
        parts = self._place(entry.parts)
        if not parts:
            self.skipped += entry.kind is not Kind.DIRECTORY
            return None
        match entry.kind:
            case Kind.DIRECTORY:
                self._make_folder(parts, entry)
            case Kind.FILE:
                return self._make_file(parts, entry)
            case Kind.SYMLINK | Kind.HARDLINK:
                self._make_link(parts, entry)
                self.finished(entry, 0)
            case Kind.OTHER:
                raise ArchiveError(
                    Code.CORRUPT, f"the entry {entry.name!r} is a device or a pipe, which are not extracted"
                )
        return None

    def _place(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Say where an entry belongs; nowhere when all its names are stripped."""
        kept = parts[self._options.strip :]
        return kept if self._options.preserve_paths else kept[-1:]

    def _make_folder(self, parts: tuple[str, ...], entry: Entry) -> None:
        if self._tree is not None and self._options.preserve_paths:
            self._tree.make_folder(parts, entry.mode)

    def _make_file(self, parts: tuple[str, ...], entry: Entry) -> Sink:
        if self._tree is None:
            return _Counted(self, entry, Void())
        return _Counted(self, entry, self._tree.make_file(parts, entry, overwrite=self._options.overwrite))

    def _make_link(self, parts: tuple[str, ...], entry: Entry) -> None:
        overwrite = self._options.overwrite
        if entry.kind is Kind.SYMLINK:
            check_target(parts, entry.target)
            if self._tree is not None:
                self._tree.make_link(parts, entry.target, overwrite=overwrite)
            return
        if ".." in PurePosixPath(entry.target).parts:
            raise ArchiveError(Code.CORRUPT, f"{entry.name!r} is a hard link to {entry.target!r}, outside the archive")
        target = self._place(split(entry.target))
        if self._tree is not None:
            self._tree.make_second_name(parts, target, overwrite=overwrite)


class _Counted:
    """A sink that tells when its file is whole, and survives that it cannot be."""

    def __init__(self, unpacking: Unpacking, entry: Entry, sink: Sink) -> None:
        self._unpacking = unpacking
        self._entry = entry
        self._sink: Sink | None = sink
        self._size = 0

    def write(self, data: bytes) -> None:
        if self._sink is None:
            return
        try:
            self._sink.write(data)
        except OSError as error:
            self._give_up(error)
        self._size += len(data)

    def done(self) -> None:
        if self._sink is None:
            return
        try:
            self._sink.done()
        except (ArchiveError, OSError) as error:
            self._unpacking.failed(self._entry, explain(error, Code.EXTRACT))
            return
        self._unpacking.finished(self._entry, self._size)

    def drop(self) -> None:
        if self._sink is not None:
            self._sink.drop()
            self._sink = None

    def _give_up(self, error: OSError) -> None:
        self.drop()
        self._unpacking.failed(self._entry, explain(error, Code.EXTRACT))
