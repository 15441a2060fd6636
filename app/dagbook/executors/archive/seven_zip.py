"""Reads 7z archives. Their library pushes the data: it asks for a writer when it reaches the data of a file."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, BinaryIO, cast

from dagbook.executors.archive.entries import LONGEST_TARGET_BYTES, Entry, Kind, NullSink, Sink, Visitor
from dagbook.executors.archive.formats import need
from dagbook.executors.archive.report import ArchiveError, Code
from dagbook.executors.archive.tree import check_name

if TYPE_CHECKING:
    from py7zr import WriterFactory
    from py7zr.py7zr import ArchiveFile, SevenZipFile

_KINDS = {stat.S_IFLNK: Kind.SYMLINK, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFREG: Kind.FILE, None: Kind.FILE}


def walk(file: BinaryIO, visitor: Visitor, password: str) -> None:
    """Visit every entry, folders first; data are decompressed only for a visitor that reads them."""
    try:
        with need("py7zr").SevenZipFile(file, "r", password=password or None) as archive:
            _walk(archive, visitor)
    except Exception as error:  # noqa: BLE001 - damaged headers make the library raise anything
        raise _explain(error, password) from None


def _walk(archive: SevenZipFile, visitor: Visitor) -> None:
    members = _by_name(archive)
    for member in members.values():
        if member.is_directory or not visitor.reads:
            visitor.visit(_entry(member))
    if not visitor.reads:
        return
    writers = _WriterFactory(members, visitor)
    try:
        archive.extractall(factory=cast("WriterFactory", writers))
    except BaseException:
        writers.discard()
        raise


def _explain(error: Exception, password: str) -> Exception:
    """Explain an error of the library; those of the system and our own pass unchanged."""
    if isinstance(error, ArchiveError | MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        return error
    if type(error).__name__ == "PasswordRequired":
        return ArchiveError(Code.PASSWORD, "the archive is encrypted; give the password")
    if type(error).__name__ == "UnsupportedCompressionMethodError":
        return ArchiveError(Code.DECOMPRESS, "the archive uses a compression that is not supported")
    if password:
        return ArchiveError(Code.PASSWORD, "the password is wrong, or the archive is damaged")
    return ArchiveError(Code.CORRUPT, f"the archive is damaged or cut off ({type(error).__name__})")


def _by_name(archive: SevenZipFile) -> dict[str, ArchiveFile]:
    """Return the members by the names with which the library asks for their writers."""
    found: dict[str, ArchiveFile] = {}
    for member in archive.files:
        entry = _entry(member)
        check_name(entry)
        name = "/".join(entry.parts)
        if name in found:
            raise ArchiveError(Code.CORRUPT, f"the archive has two entries of the name {name!r}")
        found[name] = member
    return found


def _entry(member: ArchiveFile, target: str = "") -> Entry:
    kind = Kind.DIRECTORY if member.is_directory else _KINDS.get(member.st_fmt, Kind.OTHER)
    modified = member.lastwritetime
    return Entry(
        name=member.filename,
        kind=kind,
        size=member.uncompressed or 0 if kind is Kind.FILE else 0,
        mode=member.posix_mode or 0,
        modified=modified.totimestamp() if modified is not None else None,
        target=target,
    )


class _WriterFactory:
    """Makes the writer of each member when the library asks for it (has the shape of ``py7zr.WriterFactory``)."""

    def __init__(self, members: dict[str, ArchiveFile], visitor: Visitor) -> None:
        self._members = members
        self._visitor = visitor
        self._last: _Writer | None = None

    def create(self, name: str) -> _Writer:
        """Make the writer of a member."""
        member = self._members[name]
        entry = _entry(member)
        if entry.kind is Kind.SYMLINK:
            self._last = _Writer(_TargetSink(member, self._visitor))
        else:
            self._last = _Writer(self._visitor.visit(entry) or NullSink())
        return self._last

    def discard(self) -> None:
        """Discard a member that is not complete."""
        if self._last is not None:
            self._last.discard()


class _Writer:
    """Receives the data of one member (has the shape of ``py7zr.Py7zIO``)."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink

    def write(self, data: bytes) -> int:
        """Write a block of data."""
        if self._sink is not None:
            self._sink.write(bytes(data))
        return len(data)

    def close(self) -> None:
        """Finish the member."""
        if self._sink is not None:
            self._sink.finish()
            self._sink = None

    def discard(self) -> None:
        """Discard a member that is not complete."""
        if self._sink is not None:
            self._sink.discard()
            self._sink = None

    def seekable(self) -> bool:
        """Return False: the sink only appends."""
        return False

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


class _TargetSink:
    """Receives the data of a symbolic link, which are its target."""

    def __init__(self, member: ArchiveFile, visitor: Visitor) -> None:
        self._member = member
        self._visitor = visitor
        self._text = b""

    def write(self, data: bytes) -> None:
        self._text += data
        if len(self._text) > LONGEST_TARGET_BYTES:
            raise ArchiveError(
                Code.CORRUPT, f"the symbolic link {self._member.filename!r} is longer than a path can be"
            )

    def finish(self) -> None:
        self._visitor.visit(_entry(self._member, self._text.decode("utf-8", "surrogateescape")))

    def discard(self) -> None:
        self._text = b""
