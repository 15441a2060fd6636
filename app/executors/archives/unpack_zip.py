"""Walks through zip archives."""

from __future__ import annotations

import stat
import time
import zipfile
import zlib
from typing import BinaryIO

import msgspec

from app.executors.archives.entries import LONGEST_TARGET_BYTES, Entry, Kind, Visitor, filling, pour
from app.executors.archives.failure import ArchiveError, Code, explain

_ENCRYPTED = 0x1
_KINDS = {stat.S_IFLNK: Kind.SYMLINK, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFREG: Kind.FILE, 0: Kind.FILE}
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)


def walk(file: BinaryIO, visitor: Visitor, password: str) -> None:
    """Tell a visitor of every entry, in the order of the archive's directory."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            entry = _entry(info)
            if entry.kind is Kind.SYMLINK and visitor.reads:
                entry = msgspec.structs.replace(entry, target=_target(archive, info, password))
            sink = visitor.begin(entry)
            if sink is None:
                continue
            try:
                with filling(sink), _open(archive, info, password) as reader:
                    pour(reader, sink)
            except _DAMAGED as error:
                visitor.failed(entry, explain(error, Code.CORRUPT))


def _entry(info: zipfile.ZipInfo) -> Entry:
    mode = info.external_attr >> 16
    kind = Kind.DIRECTORY if info.is_dir() else _KINDS.get(stat.S_IFMT(mode), Kind.OTHER)
    return Entry(
        name=info.filename,
        kind=kind,
        size=info.file_size if kind is Kind.FILE else 0,
        mode=stat.S_IMODE(mode),
        modified=_seconds(info),
    )


def _seconds(info: zipfile.ZipInfo) -> float | None:
    """Give the time of an entry, which is written in the zone of the machine."""
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (OverflowError, ValueError):
        return None


def _target(archive: zipfile.ZipFile, info: zipfile.ZipInfo, password: str) -> str:
    with _open(archive, info, password) as reader:
        target = reader.read(LONGEST_TARGET_BYTES + 1)
    if len(target) > LONGEST_TARGET_BYTES:
        raise ArchiveError(Code.CORRUPT, f"the symbolic link {info.filename!r} is longer than a path can be")
    return target.decode("utf-8", "surrogateescape")


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, password: str) -> zipfile.ZipExtFile:
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
    assert isinstance(reader, zipfile.ZipExtFile)  # noqa: S101 - what a zip archive opens for reading
    return reader
