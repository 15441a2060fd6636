"""Finds what goes into a new archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from app.executors.archives.failure import ArchiveError, Code, explain
from app.executors.archives.options import Options

Inode = tuple[int, int]
_KEPT = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)


class Member(msgspec.Struct, frozen=True):
    """A file, folder or link, and its path inside the archive."""

    path: Path
    name: str
    status: os.stat_result

    @property
    def size(self) -> int:
        """Bytes of data."""
        return self.status.st_size if stat.S_ISREG(self.status.st_mode) else 0


class _Place(msgspec.Struct, frozen=True):
    path: Path
    name: str
    above: frozenset[Inode] = frozenset()  # folders it is in, to notice a circle of links


class Search:
    """Walks through a source in the order of names; ``failed`` is told of what cannot be looked at."""

    def __init__(self, options: Options, own: frozenset[Inode], failed: Callable[[ArchiveError], None]) -> None:
        self._options = options
        self._filter = options.filter()
        self._own = own
        self._failed = failed
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[Member]:
        """Give each member."""
        root = Path(self._options.source)
        base = "" if root.name == ".." else root.name
        left = [_Place(root, base)]
        while left:
            place = left.pop()
            try:
                status = self._look(place, is_root=place.path is root)
                left += self._below(place, status)
                member = self._member(place, status)
            except (ArchiveError, OSError) as error:
                self._failed(explain(error, Code.CREATE))
                continue
            if member is not None:
                yield member

    def _look(self, place: _Place, *, is_root: bool) -> os.stat_result:
        try:
            return place.path.stat() if is_root or self._options.follow_links else place.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            if is_root:
                raise ArchiveError(Code.SOURCE, f"the source {place.path} does not exist") from None
            raise

    def _below(self, place: _Place, status: os.stat_result) -> list[_Place]:
        """List a folder, the last name first: the list is taken from its end."""
        if not stat.S_ISDIR(status.st_mode):
            return []
        inode = _inode(status)
        if inode in place.above:
            raise ArchiveError(
                Code.CREATE, f"{place.path} is a link to a folder that it is in; leave out followSymlinks"
            )
        above = place.above | {inode}
        names = sorted(os.listdir(place.path), reverse=True)  # noqa: PTH208 - names are all that is needed
        return [_Place(place.path / name, f"{place.name}/{name}" if place.name else name, above) for name in names]

    def _member(self, place: _Place, status: os.stat_result) -> Member | None:
        if not place.name or _inode(status) in self._own or not self._filter.matches(place.name):
            return None
        if not any(is_kept(status.st_mode) for is_kept in _KEPT):
            raise ArchiveError(
                Code.CREATE, f"{place.path} is a device, pipe or socket, which no archive takes; exclude it"
            )
        if self._options.preserve_paths:
            return Member(place.path, place.name, status)
        return None if stat.S_ISDIR(status.st_mode) else self._bare(place, status)

    def _bare(self, place: _Place, status: os.stat_result) -> Member:
        name = place.path.name
        if name in self._names:
            raise ArchiveError(Code.CREATE, f"two files would be named {name!r}; leave out preservePaths: false")
        self._names.add(name)
        return Member(place.path, name, status)


def inodes(*paths: Path) -> frozenset[Inode]:
    """Identify files, as far as they are there."""
    return frozenset(_inode(path.stat()) for path in paths if path.exists())


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino
