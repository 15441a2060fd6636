"""Who opens, makes, changes or removes files in some folders, as the kernel tells (inotify)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CHANGES = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200  # modified, attributes, moved from, moved to, created, removed
_READS = 0x1 | 0x20  # read, opened
_ONLY_FOLDERS, _IS_FOLDER, _TOO_MANY = 0x01000000, 0x40000000, 0x4000
_HEADER = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """What happened to what is directly in some folders; in those that are shared only changes count."""

    def __init__(self, folders: Sequence[Path], shared: Sequence[Path] = ()) -> None:
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._folders = {self._add(folder, _CHANGES | _READS): folder for folder in folders}
        self._folders |= {self._add(folder, _CHANGES): folder for folder in shared}

    def _add(self, folder: Path, events: int) -> int:
        return _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(folder), events | _ONLY_FOLDERS))

    def touched(self) -> set[Path]:
        """Return the files that were touched since the last call; opening a folder to list it does not count."""
        return {path for path, mask in self._events() if mask & _CHANGES or not mask & _IS_FOLDER}

    def _events(self) -> Iterator[tuple[Path, int]]:
        while data := self._read():
            while data:
                watched, mask, _, length = _HEADER.unpack_from(data)
                assert not mask & _TOO_MANY, "the kernel lost events"
                name, data = data[_HEADER.size : _HEADER.size + length], data[_HEADER.size + length :]
                yield self._folders[watched] / os.fsdecode(name.rstrip(b"\0")), mask

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 2**20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@contextmanager
def watching(folders: Sequence[Path], shared: Sequence[Path] = ()) -> Iterator[Watch]:
    """Watch folders, not what is below them."""
    watch = Watch(folders, shared)
    try:
        yield watch
    finally:
        watch.close()
