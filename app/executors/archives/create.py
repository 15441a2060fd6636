"""Creates an archive: it takes its name only when it is whole."""

from __future__ import annotations

import os
import secrets
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from app.executors.archives import formats
from app.executors.archives.failure import ArchiveError, Code, explain
from app.executors.archives.formats import Format
from app.executors.archives.members import Inode, Member, Search, inodes
from app.executors.archives.options import Options
from app.executors.archives.pack import Writer, writer
from app.executors.archives.reading import Archive
from app.executors.archives.report import Report, dump
from app.executors.program import write_stdout

_HOPELESS = frozenset({Code.SOURCE, Code.SPACE})
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def create(options: Options) -> None:
    """Create an archive; raises ArchiveError and OSError."""
    form = formats.for_creation(options.format, options.destination)
    if form.container == formats.SINGLE and Path(options.source).is_dir():
        raise ArchiveError(
            Code.CREATE, f"{options.source} is a folder, and this format holds one file; choose tar.{form.codec}"
        )
    packing = Packing(options, Report(verbose=options.verbose))
    if options.dry_run:
        packing.add_all(None, frozenset())
    else:
        _write(options, form, packing)
    packing.print_report()


def _write(options: Options, form: Format, packing: Packing) -> None:
    target = Path(options.destination)
    _prepare(target)
    passing = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with open(os.open(passing, _NEW_FILE, 0o666), "w+b") as file:  # noqa: PTH123 - a descriptor
            _fill(options, form, packing, file, inodes(target, passing))
        if options.verify:
            with closing(Archive(passing, form)) as archive:
                archive.verify()
        passing.replace(target)
    finally:
        with suppress(FileNotFoundError):
            passing.unlink()


def _fill(options: Options, form: Format, packing: Packing, file: BinaryIO, own: frozenset[Inode]) -> None:
    archive = writer(form, file, options.level, follow_links=options.follow_links)
    try:
        packing.add_all(archive, own)
        archive.close()
    except BaseException:
        with suppress(Exception):  # it will be removed; left open it would complain later
            archive.close()
        raise


def _prepare(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ArchiveError(Code.DESTINATION, f"the folder of the destination, {target.parent}, is no folder") from None
    if target.is_dir():
        raise ArchiveError(Code.DESTINATION, f"the destination {target} is a folder; name the archive itself")


class Packing:
    """Adds members and counts them."""

    def __init__(self, options: Options, report: Report) -> None:
        self.files = 0
        self.size = 0
        self._options = options
        self._report = report

    def add_all(self, archive: Writer | None, own: frozenset[Inode]) -> None:
        """Add everything the source has but our own files; without an archive only count."""
        for member in Search(self._options, own, self._failed):
            try:
                if archive is not None:
                    archive.add(member)
            except PermissionError as error:  # found out before anything of the member was written
                self._failed(explain(error, Code.CREATE))
                continue
            self._count(member)

    def print_report(self) -> None:
        """Print the result."""
        document = {
            "operation": self._options.operation,
            "source": self._options.source,
            "destination": self._options.destination,
            "filesAdded": self.files,
            "bytesArchived": self.size,
            "duration": self._report.duration(),
            **self._report.errors_member(),
            "verifyPerformed": self._options.verify and not self._options.dry_run,
        }
        write_stdout(dump(document) + "\n")

    def _count(self, member: Member) -> None:
        self.files += 1
        self.size += member.size
        self._report.tell(f"added {member.name} ({member.size} bytes)")

    def _failed(self, error: ArchiveError) -> None:
        if not self._options.keep_going or error.exit_code in _HOPELESS:
            raise error
        self._report.note(error)
