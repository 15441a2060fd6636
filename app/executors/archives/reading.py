"""An archive that is there, whatever its format."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from app.executors.archives import formats, unpack_7z, unpack_tar, unpack_zip
from app.executors.archives.codecs import unpacked
from app.executors.archives.entries import Entry, Kind, Verifier, Visitor, filling, pour
from app.executors.archives.failure import ArchiveError, Code
from app.executors.archives.formats import Format


class Archive:
    """An archive; it can be walked through more than once."""

    def __init__(self, path: Path, form: Format | str, password: str = "") -> None:
        """Open an archive; its format has a name, or is to be found out. Raises ArchiveError and OSError."""
        self._path = path
        self._password = password
        self._file = _open(path)
        try:
            self._format = form if isinstance(form, Format) else formats.of_archive(form, path, self._file)
        except BaseException:
            self._file.close()
            raise

    def walk(self, visitor: Visitor) -> None:
        """Tell a visitor of every entry."""
        self._file.seek(0)
        match self._format.container:
            case formats.ZIP:
                unpack_zip.walk(self._file, visitor, self._password)
            case formats.SEVEN_ZIP:
                unpack_7z.walk(self._file, visitor, self._password)
            case formats.TAR:
                unpack_tar.walk(unpacked(self._format.codec, self._file), visitor)
            case _:
                self._walk_single(visitor)

    def verify(self) -> None:
        """Read all of it; raises what is wrong with it."""
        self.walk(Verifier())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _walk_single(self, visitor: Visitor) -> None:
        packed = os.fstat(self._file.fileno())  # of what is inside nothing is known but its data
        entry = Entry(
            name=formats.without_ending(self._path.name),
            kind=Kind.FILE,
            size=None,
            mode=stat.S_IMODE(packed.st_mode),
            modified=packed.st_mtime,
        )
        sink = visitor.begin(entry)
        if sink is not None:
            with filling(sink):
                pour(unpacked(self._format.codec, self._file), sink)


def _open(path: Path) -> BinaryIO:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ArchiveError(Code.SOURCE, f"the source {path} is no file")
        if not found.st_size:
            raise ArchiveError(Code.CORRUPT, f"the archive {path} is empty")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveError(Code.SOURCE, f"the source {path} does not exist") from None
