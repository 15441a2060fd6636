"""Creates archives: finds the members in the source, and writes them one by one."""

from __future__ import annotations

import os
import secrets
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from dagbook.executors.archive import formats
from dagbook.executors.archive.entries import BLOCK_BYTES
from dagbook.executors.archive.formats import Format, compressing
from dagbook.executors.archive.options import Options
from dagbook.executors.archive.reading import Archive
from dagbook.executors.archive.report import ArchiveError, Code, Report, dump, explain
from dagbook.executors.subprocess_executor import write_stdout

_FATAL = frozenset({Code.SOURCE, Code.SPACE})
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FIRST_ZIP_YEAR, _LAST_ZIP_YEAR = 1980, 2107
_FIRST_ZIP_TIME, _LAST_ZIP_TIME = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_FOLDER_ATTRIBUTE = 0x10
Inode = tuple[int, int]
_KINDS = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)


def create(options: Options) -> None:
    """Create an archive; it gets its name only when it is complete. Raises ArchiveError and OSError."""
    form = formats.for_creation(options.format, options.destination)
    if form.container == formats.SINGLE and Path(options.source).is_dir():
        raise ArchiveError(
            Code.CREATE, f"{options.source} is a folder, and this format holds one file; choose tar.{form.codec}"
        )
    creator = Creator(options, Report(verbose=options.verbose))
    if options.dry_run:
        creator.add_all(None, frozenset())
    else:
        _write(options, form, creator)
    creator.print_report()


def _write(options: Options, form: Format, creator: Creator) -> None:
    target = Path(options.destination)
    _prepare(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with open(os.open(temporary, _NEW_FILE, 0o666), "w+b") as file:  # noqa: PTH123 - a descriptor
            own = frozenset(_inode(path.stat()) for path in (target, temporary) if path.exists())
            _fill(options, form, creator, file, own)
        if options.verify:
            with closing(Archive(temporary, form)) as archive:
                archive.verify()
        temporary.replace(target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _fill(options: Options, form: Format, creator: Creator, file: BinaryIO, own: frozenset[Inode]) -> None:
    archive: Writer
    if form.container == formats.ZIP:
        archive = _ZipWriter(file)
    else:
        stream = compressing(form.codec, file, options.level)
        is_tar = form.container == formats.TAR
        archive = _TarWriter(stream, follow_links=options.follow_links) if is_tar else _SingleWriter(stream)
    try:
        creator.add_all(archive, own)
        archive.close()
    except BaseException:
        with suppress(Exception):  # it will be removed; left open, the library would warn later
            archive.close()
        raise


def _prepare(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ArchiveError(
            Code.DESTINATION, f"the folder of the destination, {target.parent}, is not a folder"
        ) from None
    if target.is_dir():
        raise ArchiveError(Code.DESTINATION, f"the destination {target} is a folder; name the archive itself")


class Creator:
    """Adds members to an archive and counts them."""

    def __init__(self, options: Options, report: Report) -> None:
        self.files = 0
        self.size = 0
        self._options = options
        self._report = report

    def add_all(self, archive: Writer | None, own: frozenset[Inode]) -> None:
        """Add every member of the source but the files in ``own``; without an archive only count them."""
        for member in MemberWalker(self._options, own, self._failed):
            try:
                if archive is not None:
                    archive.add(member)
            except PermissionError as error:  # raised before anything of the member was written
                self._failed(explain(error, Code.CREATE))
                continue
            self.files += 1
            self.size += member.size
            self._report.log(f"added {member.name} ({member.size} bytes)")

    def print_report(self) -> None:
        """Print the result to stdout."""
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

    def _failed(self, error: ArchiveError) -> None:
        if not self._options.keep_going or error.exit_code in _FATAL:
            raise error
        self._report.record(error)


class Member(msgspec.Struct, frozen=True):
    """A file, folder or link of the source, and its name in the archive."""

    path: Path
    name: str
    status: os.stat_result

    @property
    def size(self) -> int:
        """Size of its data in bytes."""
        return self.status.st_size if stat.S_ISREG(self.status.st_mode) else 0


class _Found(msgspec.Struct, frozen=True):
    path: Path
    name: str
    above: frozenset[Inode] = frozenset()  # the folders it is in, to detect a cycle of links


class MemberWalker:
    """Walks through a source in the order of names; ``failed`` gets the errors of members that cannot be read."""

    def __init__(self, options: Options, own: frozenset[Inode], failed: Callable[[ArchiveError], None]) -> None:
        self._options = options
        self._filter = options.filter()
        self._own = own
        self._failed = failed
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[Member]:
        """Yield each member."""
        root = Path(self._options.source)
        base = "" if root.name == ".." else root.name
        left = [_Found(root, base)]
        while left:
            found = left.pop()
            try:
                status = self._stat(found, is_root=found.path is root)
                left += self._children(found, status)
                member = self._member(found, status)
            except (ArchiveError, OSError) as error:
                self._failed(explain(error, Code.CREATE))
                continue
            if member is not None:
                yield member

    def _stat(self, found: _Found, *, is_root: bool) -> os.stat_result:
        try:
            return found.path.stat() if is_root or self._options.follow_links else found.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            if is_root:
                raise ArchiveError(Code.SOURCE, f"the source {found.path} does not exist") from None
            raise

    def _children(self, found: _Found, status: os.stat_result) -> list[_Found]:
        """List a folder, the last name first: the caller takes from the end."""
        if not stat.S_ISDIR(status.st_mode):
            return []
        inode = _inode(status)
        if inode in found.above:
            raise ArchiveError(
                Code.CREATE, f"{found.path} is a link to a folder that it is in; leave out followSymlinks"
            )
        above = found.above | {inode}
        names = sorted(os.listdir(found.path), reverse=True)  # noqa: PTH208 - names are all that is needed
        return [_Found(found.path / name, f"{found.name}/{name}" if found.name else name, above) for name in names]

    def _member(self, found: _Found, status: os.stat_result) -> Member | None:
        if not found.name or _inode(status) in self._own or not self._filter.matches(found.name):
            return None
        if not any(is_kind(status.st_mode) for is_kind in _KINDS):
            raise ArchiveError(
                Code.CREATE, f"{found.path} is a device, pipe or socket, which no archive takes; exclude it"
            )
        if self._options.preserve_paths:
            return Member(found.path, found.name, status)
        if stat.S_ISDIR(status.st_mode):
            return None
        name = found.path.name
        if name in self._names:
            raise ArchiveError(Code.CREATE, f"two files would be named {name!r}; leave out preservePaths: false")
        self._names.add(name)
        return Member(found.path, name, status)


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino


class Writer(Protocol):
    """Writes an archive of one format."""

    def add(self, member: Member) -> None:
        """Add a member with its data. Raises ArchiveError and OSError."""

    def close(self) -> None:
        """Write the end of the archive."""


class _TarWriter:
    def __init__(self, stream: BinaryIO, *, follow_links: bool) -> None:
        self._stream = stream
        self._tar = tarfile.TarFile(fileobj=stream, mode="w", dereference=follow_links, format=tarfile.PAX_FORMAT)

    def add(self, member: Member) -> None:
        if stat.S_ISREG(member.status.st_mode):
            with member.path.open("rb") as file:
                self._add_file(member, file)
        else:
            self._tar.addfile(self._tar.gettarinfo(member.path, member.name))
        self._tar.members.clear()  # type: ignore[attr-defined]  # the library would retain all of them

    def _add_file(self, member: Member, file: BinaryIO) -> None:
        info = self._tar.gettarinfo(arcname=member.name, fileobj=file)
        try:
            self._tar.addfile(info, file if info.isreg() else None)
        except OSError as error:
            if error.errno is not None:
                raise
            # Its header with the size is written already: the archive is broken.
            raise ArchiveError(Code.CREATE, f"{member.path} became shorter while it was read") from None

    def close(self) -> None:
        self._tar.close()
        self._stream.close()


class _ZipWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)

    def add(self, member: Member) -> None:
        mode = member.status.st_mode
        name = os.fsencode(member.name).decode("utf-8", "replace")
        info = zipfile.ZipInfo(f"{name}/" if stat.S_ISDIR(mode) else name, _zip_time(member.status.st_mtime))
        info.external_attr = mode << 16 | (_FOLDER_ATTRIBUTE if stat.S_ISDIR(mode) else 0)
        if stat.S_ISREG(mode):
            self._add_file(member, info)
        else:
            self._zip.writestr(info, os.fsencode(member.path.readlink()) if stat.S_ISLNK(mode) else b"")

    def _add_file(self, member: Member, info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_DEFLATED
        info.file_size = member.size
        with member.path.open("rb") as file, self._zip.open(info, "w") as packed:
            while data := file.read(BLOCK_BYTES):
                packed.write(data)

    def close(self) -> None:
        self._zip.close()


class _SingleWriter:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def add(self, member: Member) -> None:
        with member.path.open("rb") as file:
            while data := file.read(BLOCK_BYTES):
                self._stream.write(data)

    def close(self) -> None:
        self._stream.close()


def _zip_time(seconds: float) -> tuple[int, int, int, int, int, int]:
    """Return a time as zip archives have it: in the time zone of the machine, from 1980 to 2107."""
    year, *rest = time.localtime(seconds)[:6]
    if year < _FIRST_ZIP_YEAR:
        return _FIRST_ZIP_TIME
    if year > _LAST_ZIP_YEAR:
        return _LAST_ZIP_TIME
    month, day, hour, minute, second = rest
    return year, month, day, hour, minute, second
