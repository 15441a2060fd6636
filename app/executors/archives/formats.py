"""Which format an archive has: by its name, and for reading by what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

from app.executors.archives.codecs import BZ2, GZ, LZ4, XZ, ZST, unpacked
from app.executors.archives.failure import ArchiveError, Code

TAR, ZIP, SEVEN_ZIP, RAR, SINGLE = "tar", "zip", "7z", "rar", "single"
_TAR_MAGIC_AT, _HEAD_BYTES = 257, 512


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
    """Choose the format of an archive to be created; raises ArchiveError."""
    found = _named(name) if name else _of_path(destination)
    if found is None:
        raise ArchiveError(Code.FORMAT, f"the format cannot be told from the destination {destination!r}; give format")
    if found.container in {SEVEN_ZIP, RAR}:
        raise ArchiveError(
            Code.FORMAT, f"{found.container} archives can be read at best, not created; choose zip or tar.gz"
        )
    return found


def of_archive(name: str, path: Path, file: BinaryIO) -> Format:
    """Find out the format of an archive that is there; raises ArchiveError."""
    found = _named(name) if name else _find_out(path, file)
    if found.container == RAR:
        raise ArchiveError(Code.FORMAT, _NO_RAR)
    return found


def without_ending(name: str) -> str:
    """Give a file's name without what tells its compression."""
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


def _find_out(path: Path, file: BinaryIO) -> Format:
    """Trust what is in a file more than its name; the name tells a damaged archive from what is none."""
    by_name = _of_path(path.name)
    by_content = _look(file)
    if by_content is None and by_name is None:
        raise ArchiveError(Code.FORMAT, f"{path} is no archive of a known format; give format if it is one")
    if by_content is None or (by_name is not None and by_name.codec and by_name.codec == by_content.codec):
        return by_name or Format(TAR)
    if by_content.container == SINGLE and _holds_tar(by_content.codec, file):
        return Format(TAR, by_content.codec)
    return by_content


def _look(file: BinaryIO) -> Format | None:
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if _is_tar(head):
        return Format(TAR)
    return next((found for magic, found in _BY_MAGIC.items() if head.startswith(magic)), None)


def _holds_tar(codec: str, file: BinaryIO) -> bool:
    try:
        return _is_tar(unpacked(codec, file).read(_HEAD_BYTES))
    except (OSError, EOFError, ValueError, RuntimeError):
        return False  # damaged: reading it will tell
    finally:
        file.seek(0)


def _is_tar(head: bytes) -> bool:
    return head[_TAR_MAGIC_AT:].startswith(b"ustar")
