"""Formats of archives: how they are detected, and the streams of their compressions."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from dagbook.executors.archive.report import ArchiveError, Code

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

TAR, ZIP, SEVEN_ZIP, RAR, SINGLE = "tar", "zip", "7z", "rar", "single"
_TAR_MAGIC_AT, _HEAD_BYTES = 257, 512
GZ, BZ2, XZ, ZST, LZ4 = "gz", "bz2", "xz", "zst", "lz4"
_DEFAULT_GZ_LEVEL, _BEST_BZ2_LEVEL = 6, 9
_BUFFER_BYTES = 256 * 1024
_ZSTD_FEED_BYTES = 512  # decompressed at once; four bytes may expand to 128 KiB


class Format(msgspec.Struct, frozen=True):
    """A container and the compression around it; ``single`` is one file and no container."""

    container: str
    codec: str = ""


_BY_NAME = {
    "zip": Format(ZIP),
    "tar": Format(TAR),
    **dict.fromkeys(("tar.gz", "tgz"), Format(TAR, GZ)),
    **dict.fromkeys(("tar.bz2", "tbz2", "tbz"), Format(TAR, BZ2)),
    **dict.fromkeys(("tar.xz", "txz"), Format(TAR, XZ)),
    **dict.fromkeys(("tar.zst", "tar.zstd", "tzst"), Format(TAR, ZST)),
    **dict.fromkeys(("tar.lz4", "tlz4"), Format(TAR, LZ4)),
    "gz": Format(SINGLE, GZ),
    "bz2": Format(SINGLE, BZ2),
    "xz": Format(SINGLE, XZ),
    **dict.fromkeys(("zst", "zstd"), Format(SINGLE, ZST)),
    "lz4": Format(SINGLE, LZ4),
    "7z": Format(SEVEN_ZIP),
    "rar": Format(RAR),
}
_BY_MAGIC = {
    b"PK\x03\x04": Format(ZIP),
    b"PK\x05\x06": Format(ZIP),
    b"7z\xbc\xaf\x27\x1c": Format(SEVEN_ZIP),
    b"Rar!\x1a\x07": Format(RAR),
    b"\x1f\x8b": Format(SINGLE, GZ),
    b"BZh": Format(SINGLE, BZ2),
    b"\xfd7zXZ\x00": Format(SINGLE, XZ),
    b"\x28\xb5\x2f\xfd": Format(SINGLE, ZST),
    b"\x04\x22\x4d\x18": Format(SINGLE, LZ4),
}
_NO_RAR = "rar archives cannot be read; unpack them in a command step, with unrar or bsdtar"


def for_creation(name: str, destination: str) -> Format:
    """Choose the format of an archive to create. Raises ArchiveError."""
    found = _named(name) if name else _of_path(destination)
    if found is None:
        raise ArchiveError(
            Code.FORMAT, f"the format cannot be derived from the destination {destination!r}; give format"
        )
    if found.container in {SEVEN_ZIP, RAR}:
        raise ArchiveError(
            Code.FORMAT, f"{found.container} archives can be read at best, not created; choose zip or tar.gz"
        )
    return found


def of_archive(name: str, path: Path, file: BinaryIO) -> Format:
    """Detect the format of an existing archive. Raises ArchiveError."""
    found = _named(name) if name else _detect(path, file)
    if found.container == RAR:
        raise ArchiveError(Code.FORMAT, _NO_RAR)
    return found


def without_ending(name: str) -> str:
    """Return a file name without the ending of its compression."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and ending.lower() in _BY_NAME else name


def _named(name: str) -> Format:
    if name not in _BY_NAME:
        raise ArchiveError(Code.FORMAT, f"there is no format {name!r}; choose one of {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def _of_path(path: str) -> Format | None:
    name = Path(path).name.lower()
    endings = sorted(_BY_NAME, key=len, reverse=True)
    return next((_BY_NAME[ending] for ending in endings if name.endswith(f".{ending}")), None)


def _detect(path: Path, file: BinaryIO) -> Format:
    """Content has priority; the name distinguishes a damaged archive from a file that is not an archive."""
    by_name = _of_path(path.name)
    by_content = _read_magic(file)
    if by_content is None and by_name is None:
        raise ArchiveError(Code.FORMAT, f"{path} is not an archive of a known format; give format if it is one")
    if by_content is None or (by_name is not None and by_name.codec and by_name.codec == by_content.codec):
        return by_name or Format(TAR)
    if by_content.container == SINGLE and _holds_tar(by_content.codec, file):
        return Format(TAR, by_content.codec)
    return by_content


def _read_magic(file: BinaryIO) -> Format | None:
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if _is_tar(head):
        return Format(TAR)
    return next((found for magic, found in _BY_MAGIC.items() if head.startswith(magic)), None)


def _holds_tar(codec: str, file: BinaryIO) -> bool:
    try:
        return _is_tar(decompressed(codec, file).read(_HEAD_BYTES))
    except (OSError, EOFError, ValueError, RuntimeError):
        return False  # damaged: reading it will raise the error
    finally:
        file.seek(0)


def _is_tar(head: bytes) -> bool:
    return head[_TAR_MAGIC_AT:].startswith(b"ustar")


def need(package: str) -> ModuleType:
    """Import a package that only some formats need. Raises ArchiveError when it is not installed."""
    try:
        return import_module(package)
    except ModuleNotFoundError:
        raise ArchiveError(
            Code.FORMAT,
            f"this format needs a package that is not installed here ({package.partition('.')[0]}); "
            "install it with: pip install 'dagbook[archive]'",
        ) from None


def decompressed(codec: str, file: BinaryIO) -> BinaryIO:
    """Return a stream of the decompressed content of a file; without a codec the file itself."""
    match codec:
        case "":
            return file
        case "gz":
            stream: Any = gzip.GzipFile(fileobj=file, mode="rb")
        case "bz2":
            stream = bz2.BZ2File(file, "rb")
        case "xz":
            stream = lzma.LZMAFile(file, "rb")  # noqa: SIM115 - the reader closes it
        case "lz4":
            stream = need("lz4.frame").LZ4FrameFile(file, "rb")
        case _:
            stream = _ZstdStream(file)
    return cast("BinaryIO", io.BufferedReader(stream, _BUFFER_BYTES))


def compressing(codec: str, file: BinaryIO, level: int) -> BinaryIO:
    """Return a stream that compresses into a file; closing it leaves the file open. A negative level is the default."""
    match codec:
        case "":
            return cast("BinaryIO", _KeptOpen(file))
        case "gz":
            chosen = _DEFAULT_GZ_LEVEL if level < 0 else level
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


class _KeptOpen(io.RawIOBase):
    """A file that stays open when the stream on it is closed."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: ReadableBuffer, /) -> int:
        return self._file.write(data)


class _ZstdStream(io.RawIOBase):
    """Reads zstd frames one after the other; the library's own reader takes a truncated frame for a complete one."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._library = need("zstandard")
        self._file = file
        self._frame: Any = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._ready and self._advance():
            pass
        view = memoryview(buffer)
        size = min(len(view), len(self._ready))
        view[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _advance(self) -> bool:
        """Decompress the next bytes; returns False at the end of the file."""
        self._compressed = self._compressed or self._file.read(_ZSTD_FEED_BYTES)
        if not self._compressed:
            if self._frame is not None:
                raise EOFError("the last frame is not complete")
            return False
        if self._frame is None:
            self._frame = self._library.ZstdDecompressor().decompressobj()
        try:
            self._ready = memoryview(self._frame.decompress(self._compressed))
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from None
        self._compressed = b""
        if self._frame.eof:
            self._compressed, self._frame = self._frame.unused_data, None
        return True
