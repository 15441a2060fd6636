"""Archives for tests: sources, honest and hostile archives in every format, and steps that work on them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lz4.frame
import msgspec
import py7zr
import pytest
import zstandard

from dagbook.executors.archive import program
from dagbook.executors.archive.report import ArchiveError
from dagbook.executors.contract import Job

CONTENT = {"src/a.txt": "alpha\n", "src/sub/b.txt": "beta\n", "src/x.log": "log\n"}

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "lz4": lambda data: bytes(lz4.frame.compress(data)),
}
TARS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "tar.lz4"]
CREATED = [*TARS, "zip"]
READ = [*CREATED, "7z"]


class Hostile(msgspec.Struct, frozen=True):
    """An entry that an archive should not have."""

    name: str
    type: bytes = tarfile.REGTYPE
    target: str = ""


def job_of(operation: str, config: dict[str, Any]) -> Job:
    return Job(type="archive", id="1", program=operation, config=config, cwd=Path("/"))


class Workplace:
    """A folder with something to pack, and steps that are carried out in this process."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.err = ""
        self._capfd = capfd
        for name, text in CONTENT.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "src" / "a.txt").chmod(0o750)
        (folder / "src" / "link").symlink_to("a.txt")
        (folder / "src" / "void").mkdir()

    def run(self, operation: str, **config: Any) -> dict[str, Any]:
        """Carry out a step; relative paths are below the folder."""
        for key in ("source", "destination"):
            if key in config:
                config[key] = str(self.folder / config[key])
        self._capfd.readouterr()
        assert program.carry_out(job_of(operation, config)) == 0
        found = self._capfd.readouterr()
        self.err = found.err
        result: dict[str, Any] = json.loads(found.out)
        return result

    def fail(self, operation: str, **config: Any) -> tuple[int, str]:
        """Carry out a step that fails; gives its exit code and error, and makes sure that nothing was printed."""
        with pytest.raises(ArchiveError) as caught:
            self.run(operation, **config)
        found = self._capfd.readouterr()
        self.err = found.err
        assert (found.out, str(caught.value).count("\n")) == ("", 0)
        return caught.value.exit_code, str(caught.value)

    def tree(self, below: str) -> dict[str, str]:
        """Show what is below a folder: the text of files, the targets of links, nothing for folders."""
        root = self.folder / below
        return {str(path.relative_to(root)): _show(path) for path in sorted(root.rglob("*"))}


def _show(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "" if path.is_dir() else path.read_text(errors="replace")


def write_tar(path: Path, entries: Sequence[Hostile]) -> None:
    """Write a tar archive, in the compression that its name tells."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname = entry.type, entry.target
            info.size = 4 if entry.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"evil") if info.size else None)
    pack = PACK.get(path.suffix.removeprefix("."), bytes)
    path.write_bytes(pack(data.getvalue()))


def write_zip(path: Path, entries: Sequence[Hostile]) -> None:
    """Write a zip archive."""
    modes = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.FIFOTYPE: stat.S_IFIFO}
    with zipfile.ZipFile(path, "w") as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name)
            info.external_attr = (modes.get(entry.type, stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, entry.target or "evil")


def write_7z(path: Path, entries: Sequence[Hostile]) -> None:
    """Write a 7z archive; names that its library refuses are put in afterwards."""
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        for entry in entries:
            _add(archive, path.parent / "made-for-7z", entry)
    _rename_in_7z(path, "@@", "..")


def _add(archive: py7zr.SevenZipFile, made: Path, entry: Hostile) -> None:
    if entry.type == tarfile.SYMTYPE:
        made.symlink_to(entry.target)
    else:
        made.write_text("evil")
    with patch.object(py7zr.py7zr, "readlink", os.readlink):  # the library's own refuses links to nothing
        archive.write(made, entry.name.replace("..", "@@"))
    made.unlink()


def _rename_in_7z(path: Path, old: str, new: str) -> None:
    """Replace text in an unpacked header, its checksums made to fit."""
    data = bytearray(path.read_bytes())
    offset, size = struct.unpack("<QQ", data[12:28])
    header = bytes(data[32 + offset : 32 + offset + size]).replace(old.encode("utf-16-le"), new.encode("utf-16-le"))
    data[32 + offset :] = header
    data[28:32] = struct.pack("<I", zlib.crc32(header))
    data[8:12] = struct.pack("<I", zlib.crc32(bytes(data[12:32])))
    path.write_bytes(data)


def write(path: Path, *entries: Hostile) -> None:
    """Write an archive of the format that its name tells."""
    writers = {".zip": write_zip, ".7z": write_7z}
    writers.get(path.suffix, write_tar)(path, entries)


def pack_honestly(folder: Path, ending: str) -> Path:
    """Pack the content with the libraries themselves, not with what is tested."""
    path = folder / f"honest.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in CONTENT:
                archive.write(folder / name, name)
    elif ending == "7z":
        with py7zr.SevenZipFile(path, "w") as seven:
            for name in CONTENT:
                seven.write(folder / name, name)
    else:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name in CONTENT:
                tar.add(folder / name, name)
        path.write_bytes(PACK.get(path.suffix.removeprefix("."), bytes)(data.getvalue()))
    return path


def write_zeros(path: Path, size: int) -> None:
    """Write an archive of one large file that shrinks to next to nothing."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(size))
    elif path.suffix == ".7z":
        with py7zr.SevenZipFile(path, "w") as seven:
            seven.writestr(bytes(size), "zeros")
    else:
        data = tarfile.TarInfo("zeros")
        data.size = size
        head = data.tobuf() if ".tar." in path.name else b""
        path.write_bytes(PACK[path.suffix.removeprefix(".")](head + bytes(size) + bytes(1024 if head else 0)))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
