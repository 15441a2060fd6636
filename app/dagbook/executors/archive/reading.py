"""Reads archives of every format: zip and tar and single compressed files here, 7z in its own module."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from dagbook.executors.archive import formats, seven_zip
from dagbook.executors.archive.entries import (
    BLOCK_BYTES,
    LONGEST_TARGET_BYTES,
    Entry,
    Kind,
    Verifier,
    Visitor,
    copy,
    writing_to,
)
from dagbook.executors.archive.formats import Format, decompressed
from dagbook.executors.archive.report import ArchiveError, Code, explain

_ENCRYPTED = 0x1  # bit of the flags of a zip entry
_ZIP_KINDS = {stat.S_IFLNK: Kind.SYMLINK, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFREG: Kind.FILE, 0: Kind.FILE}
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError)
_LARGEST_READ_BYTES = 16 * 1024 * 1024  # a larger header would be read into memory
_HARMLESS_ENDS = frozenset({"EOFHeaderError", "EmptyHeaderError"})
_TAR_KINDS = {
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.OTHER,
    tarfile.BLKTYPE: Kind.OTHER,
    tarfile.FIFOTYPE: Kind.OTHER,
}


class Archive:
    """An archive, opened for reading; it can be read more than once."""

    def __init__(self, path: Path, form: Format | str, password: str = "") -> None:
        """Open an archive; a format without a name is detected. Raises ArchiveError and OSError."""
        self._path = path
        self._password = password
        self._file = _open(path)
        try:
            self._format = form if isinstance(form, Format) else formats.of_archive(form, path, self._file)
        except BaseException:
            self._file.close()
            raise

    def walk(self, visitor: Visitor) -> None:
        """Visit every entry."""
        self._file.seek(0)
        match self._format.container:
            case formats.ZIP:
                _walk_zip(self._file, visitor, self._password)
            case formats.SEVEN_ZIP:
                seven_zip.walk(self._file, visitor, self._password)
            case formats.TAR:
                _walk_tar(decompressed(self._format.codec, self._file), visitor)
            case _:
                self._walk_single(visitor)

    def verify(self) -> None:
        """Read all of it. Raises ArchiveError when it is damaged."""
        self.walk(Verifier())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _walk_single(self, visitor: Visitor) -> None:
        packed = os.fstat(self._file.fileno())  # the format has neither mode nor time
        entry = Entry(
            name=formats.without_ending(self._path.name),
            kind=Kind.FILE,
            size=None,
            mode=stat.S_IMODE(packed.st_mode),
            modified=packed.st_mtime,
        )
        sink = visitor.visit(entry)
        if sink is not None:
            with writing_to(sink):
                copy(decompressed(self._format.codec, self._file), sink)


def _open(path: Path) -> BinaryIO:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ArchiveError(Code.SOURCE, f"the source {path} is not a file")
        if not found.st_size:
            raise ArchiveError(Code.CORRUPT, f"the archive {path} is empty")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveError(Code.SOURCE, f"the source {path} does not exist") from None


def _walk_zip(file: BinaryIO, visitor: Visitor, password: str) -> None:
    """Visit every entry in the order of the central directory."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            entry = _zip_entry(info)
            if entry.kind is Kind.SYMLINK and visitor.reads:
                entry = msgspec.structs.replace(entry, target=_read_link(archive, info, password))
            sink = visitor.visit(entry)
            if sink is None:
                continue
            try:
                with writing_to(sink), _zip_open(archive, info, password) as reader:
                    copy(reader, sink)
            except _ZIP_ERRORS as error:
                visitor.failed(entry, explain(error, Code.CORRUPT))


def _zip_entry(info: zipfile.ZipInfo) -> Entry:
    mode = info.external_attr >> 16
    kind = Kind.DIRECTORY if info.is_dir() else _ZIP_KINDS.get(stat.S_IFMT(mode), Kind.OTHER)
    modified: float | None = None
    with suppress(OverflowError, ValueError):
        modified = time.mktime((*info.date_time, 0, 0, -1))  # it is in the time zone of the machine
    return Entry(
        name=info.filename,
        kind=kind,
        size=info.file_size if kind is Kind.FILE else 0,
        mode=stat.S_IMODE(mode),
        modified=modified,
    )


def _read_link(archive: zipfile.ZipFile, info: zipfile.ZipInfo, password: str) -> str:
    with _zip_open(archive, info, password) as reader:
        target = reader.read(LONGEST_TARGET_BYTES + 1)
    if len(target) > LONGEST_TARGET_BYTES:
        raise ArchiveError(Code.CORRUPT, f"the symbolic link {info.filename!r} is longer than a path can be")
    return target.decode("utf-8", "surrogateescape")


def _zip_open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, password: str) -> zipfile.ZipExtFile:
    if not info.flag_bits & _ENCRYPTED:
        return _as_reader(archive.open(info))
    if not password:
        raise ArchiveError(Code.PASSWORD, f"the entry {info.filename!r} is encrypted; give the password")
    try:
        return _as_reader(archive.open(info, pwd=password.encode()))
    except NotImplementedError:
        raise
    except RuntimeError:
        raise ArchiveError(Code.PASSWORD, "the password is wrong") from None


def _as_reader(reader: object) -> zipfile.ZipExtFile:
    assert isinstance(reader, zipfile.ZipExtFile)  # noqa: S101 - true for archives opened for reading
    return reader


def _walk_tar(stream: BinaryIO, visitor: Visitor) -> None:
    """Visit every entry, forward only; the rest of the stream is read too, for the checksum at its end."""
    forward = _ForwardStream(stream)
    with tarfile.TarFile(fileobj=forward, mode="r", tarinfo=_StrictInfo) as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # the library would retain all of them
            sink = visitor.visit(_tar_entry(info))
            if sink is None:
                continue
            with writing_to(sink):
                reader = tar.extractfile(info)
                assert reader is not None  # noqa: S101 - only files have a sink
                copy(reader, sink)
    while forward.read(BLOCK_BYTES):
        pass


def _tar_entry(info: tarfile.TarInfo) -> Entry:
    kind = Kind.FILE if info.isfile() else _TAR_KINDS.get(info.type, Kind.FILE)
    return Entry(
        name=info.name,
        kind=kind,
        size=info.size if kind is Kind.FILE else 0,
        mode=info.mode,
        modified=info.mtime,
        target=info.linkname if kind in {Kind.SYMLINK, Kind.HARDLINK} else "",
    )


class _StrictInfo(tarfile.TarInfo):
    """Headers that raise an error when broken: the library takes a broken one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _StrictInfo:
        """Read the next header."""
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if type(error).__name__ in _HARMLESS_ENDS:
                raise
            raise tarfile.ReadError(str(error)) from None
        except ValueError as error:  # invalid numbers in extended headers
            raise tarfile.ReadError(str(error)) from None


class _ForwardStream(io.BufferedIOBase):
    """A stream that seeks only forward."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._offset = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes; fewer only at the end."""
        if size is None or not 0 <= size <= _LARGEST_READ_BYTES:
            raise ArchiveError(Code.CORRUPT, "the archive is damaged (a header of impossible size)")
        data = self._stream.read(size)
        self._offset += len(data)
        return data

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Read up to the offset, or to the end."""
        if whence != io.SEEK_SET or offset < self._offset:
            raise tarfile.StreamError("a header points backward")
        while self._offset < offset and self.read(min(offset - self._offset, BLOCK_BYTES)):
            pass
        return self._offset
