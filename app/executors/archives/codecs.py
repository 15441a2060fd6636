"""The compressions: each opens as a stream that is read or written piece by piece."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from importlib import import_module
from typing import Any, BinaryIO, cast

from app.executors.archives.failure import ArchiveError, Code

GZ, BZ2, XZ, ZST, LZ4 = "gz", "bz2", "xz", "zst", "lz4"
_USUAL_GZ_LEVEL, _BEST_BZ2_LEVEL = 6, 9
_BUFFER_BYTES = 256 * 1024
_ZSTD_FEED_BYTES = 512  # unpacked at once, and four bytes may stand for 128 KiB


def need(package: str) -> Any:
    """Import a package that only some archives need; raises ArchiveError when it is not installed."""
    try:
        return import_module(package)
    except ModuleNotFoundError:
        raise ArchiveError(
            Code.FORMAT,
            f"this format needs a package that is not installed here ({package.partition('.')[0]}); "
            "install it with: pip install 'dagbook[archive]'",
        ) from None


def unpacked(codec: str, file: BinaryIO) -> BinaryIO:
    """Read what a file holds in a compression; no codec gives the file itself."""
    match codec:
        case "":
            return file
        case "gz":
            stream: Any = gzip.GzipFile(fileobj=file, mode="rb")
        case "bz2":
            stream = bz2.BZ2File(file, "rb")
        case "xz":
            stream = lzma.LZMAFile(file, "rb")  # noqa: SIM115 - who reads it closes it
        case "lz4":
            stream = need("lz4.frame").LZ4FrameFile(file, "rb")
        case _:
            stream = _ZstdStream(file)
    return cast("BinaryIO", io.BufferedReader(stream, _BUFFER_BYTES))


def packing(codec: str, file: BinaryIO, level: int) -> BinaryIO:
    """Write into a file in a compression; closing it leaves the file open. A negative level is the usual one."""
    match codec:
        case "":
            return cast("BinaryIO", _Open(file))
        case "gz":
            chosen = _USUAL_GZ_LEVEL if level < 0 else level
            return cast("BinaryIO", gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=chosen))
        case "bz2":
            if level == 0:
                raise ArchiveError(Code.CONFIG, "bz2 has no compressionLevel 0; give one from 1 to 9")
            return cast("BinaryIO", bz2.BZ2File(file, "wb", compresslevel=_BEST_BZ2_LEVEL if level < 0 else level))
        case "xz":
            return cast("BinaryIO", lzma.LZMAFile(file, "wb"))
        case "lz4":
            return cast("BinaryIO", need("lz4.frame").LZ4FrameFile(file, "wb", content_checksum=True))
    return cast("BinaryIO", need("zstandard").ZstdCompressor(write_checksum=True).stream_writer(file, closefd=False))


class _Open(io.RawIOBase):
    """A file that stays open when its user closes it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any, /) -> int:
        return self._file.write(data)


class _ZstdStream(io.RawIOBase):
    """Reads zstd frames, one after the other; the library's own reader takes what was cut off for a whole."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._library = need("zstandard")
        self._file = file
        self._frame: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._ready and self._advance():
            pass
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _advance(self) -> bool:
        """Unpack a little more; False at the end of the file."""
        self._packed = self._packed or self._file.read(_ZSTD_FEED_BYTES)
        if not self._packed:
            if self._frame is not None:
                raise EOFError("the last frame is not complete")
            return False
        if self._frame is None:
            self._frame = self._library.ZstdDecompressor().decompressobj()
        try:
            self._ready = memoryview(self._frame.decompress(self._packed))
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from None
        self._packed = b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None
        return True
