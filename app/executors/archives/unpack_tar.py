"""Walks through tar archives, forward only, as they come out of a decompressor."""

from __future__ import annotations

import io
import tarfile
from typing import BinaryIO

from app.executors.archives.entries import PIECE_BYTES, Entry, Kind, Visitor, filling, pour
from app.executors.archives.failure import ArchiveError, Code

_LARGEST_READ_BYTES = 16 * 1024 * 1024  # a header that claims to be larger would be read into memory
_HARMLESS_ENDS = frozenset({"EOFHeaderError", "EmptyHeaderError"})
_KINDS = {
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.OTHER,
    tarfile.BLKTYPE: Kind.OTHER,
    tarfile.FIFOTYPE: Kind.OTHER,
}


def walk(stream: BinaryIO, visitor: Visitor) -> None:
    """Tell a visitor of every entry; the rest of the stream is read too, for the checksum at its end."""
    forward = _Forward(stream)
    with tarfile.TarFile(fileobj=forward, mode="r", tarinfo=_StrictInfo) as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # they would be kept, however many there are
            sink = visitor.begin(_entry(info))
            if sink is None:
                continue
            with filling(sink):
                reader = tar.extractfile(info)
                assert reader is not None  # noqa: S101 - a sink is given for files only
                pour(reader, sink)
    while forward.read(PIECE_BYTES):
        pass


def _entry(info: tarfile.TarInfo) -> Entry:
    kind = Kind.FILE if info.isfile() else _KINDS.get(info.type, Kind.FILE)
    return Entry(
        name=info.name,
        kind=kind,
        size=info.size if kind is Kind.FILE else 0,
        mode=info.mode,
        modified=info.mtime,
        target=info.linkname if kind in {Kind.SYMLINK, Kind.HARDLINK} else "",
    )


class _StrictInfo(tarfile.TarInfo):
    """Headers of which a broken one is an error: the library takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _StrictInfo:
        """Read the next header."""
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if type(error).__name__ in _HARMLESS_ENDS:
                raise
            raise tarfile.ReadError(str(error)) from None
        except ValueError as error:  # numbers of extended headers that are none
            raise tarfile.ReadError(str(error)) from None


class _Forward(io.BufferedIOBase):
    """A stream that is sought only onward."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._at = 0

    def readable(self) -> bool:
        """Tell that there is something to read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes, fewer only at the end."""
        if size is None or not 0 <= size <= _LARGEST_READ_BYTES:
            raise ArchiveError(Code.CORRUPT, "the archive is damaged (a header of impossible size)")
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        """Tell how much was read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Read on until there, or to the end."""
        if whence != io.SEEK_SET or offset < self._at:
            raise tarfile.StreamError("a header points backward")
        while self._at < offset and self.read(min(offset - self._at, PIECE_BYTES)):
            pass
        return self._at
