"""Writes archives, member by member."""

from __future__ import annotations

import os
import stat
import tarfile
import time
import zipfile
from typing import BinaryIO, Protocol

from app.executors.archives import formats
from app.executors.archives.codecs import packing
from app.executors.archives.entries import PIECE_BYTES
from app.executors.archives.failure import ArchiveError, Code
from app.executors.archives.formats import Format
from app.executors.archives.members import Member

_FIRST_ZIP_YEAR, _LAST_ZIP_YEAR = 1980, 2107
_FIRST_ZIP_TIME, _LAST_ZIP_TIME = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_FOLDER_ATTRIBUTE = 0x10


class Writer(Protocol):
    """An archive that is being written."""

    def add(self, member: Member) -> None:
        """Add a member with its data; raises ArchiveError and OSError."""

    def close(self) -> None:
        """Write what belongs at the end."""


def writer(form: Format, file: BinaryIO, level: int, *, follow_links: bool) -> Writer:
    """Begin an archive of a format; raises ArchiveError."""
    if form.container == formats.ZIP:
        return _Zip(file)
    stream = packing(form.codec, file, level)
    return _Tar(stream, follow_links=follow_links) if form.container == formats.TAR else _Single(stream)


class _Tar:
    def __init__(self, stream: BinaryIO, *, follow_links: bool) -> None:
        self._stream = stream
        self._tar = tarfile.TarFile(fileobj=stream, mode="w", dereference=follow_links, format=tarfile.PAX_FORMAT)

    def add(self, member: Member) -> None:
        if stat.S_ISREG(member.status.st_mode):
            with member.path.open("rb") as file:
                self._add_file(member, file)
        else:
            self._tar.addfile(self._tar.gettarinfo(member.path, member.name))
        self._tar.members.clear()  # type: ignore[attr-defined]  # they would be kept, however many there are

    def _add_file(self, member: Member, file: BinaryIO) -> None:
        info = self._tar.gettarinfo(arcname=member.name, fileobj=file)
        try:
            self._tar.addfile(info, file if info.isreg() else None)
        except OSError as error:
            if error.errno is not None:
                raise
            # The header told its size already: the archive is spoilt.
            raise ArchiveError(Code.CREATE, f"{member.path} became shorter while it was read") from None

    def close(self) -> None:
        self._tar.close()
        self._stream.close()


class _Zip:
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
            while data := file.read(PIECE_BYTES):
                packed.write(data)

    def close(self) -> None:
        self._zip.close()


class _Single:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def add(self, member: Member) -> None:
        with member.path.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                self._stream.write(data)

    def close(self) -> None:
        self._stream.close()


def _zip_time(seconds: float) -> tuple[int, int, int, int, int, int]:
    """Give a time as zip archives hold it: in the zone of the machine, and only in their years."""
    year, *rest = time.localtime(seconds)[:6]
    if year < _FIRST_ZIP_YEAR:
        return _FIRST_ZIP_TIME
    if year > _LAST_ZIP_YEAR:
        return _LAST_ZIP_TIME
    month, day, hour, minute, second = rest
    return year, month, day, hour, minute, second
