"""Walks through 7z archives. Their library pushes the data: it asks for a place when those of a file come."""

from __future__ import annotations

import stat
from typing import Any, BinaryIO

from app.executors.archives.codecs import need
from app.executors.archives.entries import LONGEST_TARGET_BYTES, Entry, Kind, Sink, Visitor, Void
from app.executors.archives.failure import ArchiveError, Code
from app.executors.archives.tree import check_name

_KINDS = {stat.S_IFLNK: Kind.SYMLINK, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFREG: Kind.FILE, None: Kind.FILE}


def walk(file: BinaryIO, visitor: Visitor, password: str) -> None:
    """Tell a visitor of every entry, folders first; the data are unpacked only for one that reads them."""
    need("py7zr")
    try:
        with need("py7zr").SevenZipFile(file, "r", password=password or None) as archive:
            _walk(archive, visitor)
    except Exception as error:  # noqa: BLE001 - damaged headers make the library stumble in any way
        raise _explain(error, password) from None


def _walk(archive: Any, visitor: Visitor) -> None:
    members = _by_name(archive)
    at_once = [member for member in members.values() if member.is_directory or not visitor.reads]
    for member in at_once:
        visitor.begin(_entry(member))
    if not visitor.reads:
        return
    places = _Places(members, visitor)
    try:
        archive.extractall(factory=places)
    except BaseException:
        places.drop()
        raise


def _explain(error: Exception, password: str) -> Exception:
    """Say what the library met; errors of the system and our own pass."""
    if isinstance(error, ArchiveError | MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        return error
    if type(error).__name__ == "PasswordRequired":
        return ArchiveError(Code.PASSWORD, "the archive is encrypted; give the password")
    if type(error).__name__ == "UnsupportedCompressionMethodError":
        return ArchiveError(Code.DECOMPRESS, "the archive uses a compression that is not supported")
    if password:
        return ArchiveError(Code.PASSWORD, "the password is wrong, or the archive is damaged")
    return ArchiveError(Code.CORRUPT, f"the archive is damaged or cut off ({type(error).__name__})")


def _by_name(archive: Any) -> dict[str, Any]:
    """Give the members by the names under which the library asks for their places."""
    found: dict[str, Any] = {}
    for member in archive.files:
        entry = _entry(member)
        check_name(entry)
        name = "/".join(entry.parts)
        if name in found:
            raise ArchiveError(Code.CORRUPT, f"the archive has two entries of the name {name!r}")
        found[name] = member
    return found


def _entry(member: Any, target: str = "") -> Entry:
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


class _Places:
    """Makes the place of each member when the library asks for it (``py7zr.WriterFactory`` by its shape)."""

    def __init__(self, members: dict[str, Any], visitor: Visitor) -> None:
        self._members = members
        self._visitor = visitor
        self._last: _Place | None = None

    def create(self, name: str) -> _Place:
        """Make a place."""
        member = self._members[name]
        self._last = (
            _Link(member, self._visitor) if _entry(member).kind is Kind.SYMLINK else _Place(member, self._visitor)
        )
        return self._last

    def drop(self) -> None:
        """Leave nothing of a member that is not whole."""
        if self._last is not None:
            self._last.drop()


class _Place:
    """Where the data of one member go (``py7zr.Py7zIO`` by its shape)."""

    def __init__(self, member: Any, visitor: Visitor) -> None:
        self._sink: Sink | None = self._begin(member, visitor)

    def _begin(self, member: Any, visitor: Visitor) -> Sink:
        return visitor.begin(_entry(member)) or Void()

    def write(self, data: bytes) -> int:
        """Take a piece."""
        if self._sink is not None:
            self._sink.write(bytes(data))
        return len(data)

    def close(self) -> None:
        """Hear that the member is whole."""
        if self._sink is not None:
            self._sink.done()
            self._sink = None

    def drop(self) -> None:
        """Leave nothing of a member that is not whole."""
        if self._sink is not None:
            self._sink.drop()
            self._sink = None

    def seekable(self) -> bool:
        """Tell that what was written is out of reach."""
        return False

    def flush(self) -> None:
        """Keep nothing back anyway."""


class _Link(_Place):
    """The data of a symbolic link are its target."""

    def _begin(self, member: Any, visitor: Visitor) -> Sink:
        return _Target(member, visitor)


class _Target:
    def __init__(self, member: Any, visitor: Visitor) -> None:
        self._member = member
        self._visitor = visitor
        self._text = b""

    def write(self, data: bytes) -> None:
        self._text += data
        if len(self._text) > LONGEST_TARGET_BYTES:
            raise ArchiveError(
                Code.CORRUPT, f"the symbolic link {self._member.filename!r} is longer than a path can be"
            )

    def done(self) -> None:
        self._visitor.begin(_entry(self._member, self._text.decode("utf-8", "surrogateescape")))

    def drop(self) -> None:
        self._text = b""
