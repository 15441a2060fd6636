"""The folder that an archive is extracted into; nothing is ever written outside it.

Every folder is opened by its one name below its parent, and never through a symbolic link. So no path leads out,
whatever exists already or changes meanwhile. ``..`` is permitted only at the beginning of a link's target and no
higher than the folder: the link is in a real folder, and the same holds for every link on its way down, so it stays
inside.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dagbook.executors.archive.entries import Entry
from dagbook.executors.archive.report import ArchiveError, Code

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})
_PERMISSIONS = 0o777  # no set-user-id and the like
_DEFAULT_FILE, _DEFAULT_FOLDER = 0o666, 0o777
_OWNER = 0o700

Parts = Sequence[str]


class Tree:
    """A folder and what is below it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileExistsError, NotADirectoryError):
            raise ArchiveError(Code.DESTINATION, f"the destination {path} is not a folder") from None
        self._parts: tuple[str, ...] = ()
        self._folder = os.dup(self._root)  # the last one used: the entries of a folder follow each other

    def close(self) -> None:
        """Close the folder."""
        os.close(self._folder)
        os.close(self._root)

    def make_folder(self, parts: Parts, mode: int) -> None:
        """Make a folder unless it exists."""
        self._enter(parts, (mode & _PERMISSIONS or _DEFAULT_FOLDER) | _OWNER)

    def make_file(self, parts: Parts, entry: Entry, *, overwrite: bool) -> NewFile:
        """Make an empty file for writing; an existing file is replaced only when the new one is complete."""
        folder, name = self._enter(parts[:-1]), parts[-1]
        temporary = f".{secrets.token_hex(8)}.part" if overwrite else name
        with self._at(parts):
            descriptor = os.open(temporary, _NEW_FILE, entry.mode & _PERMISSIONS or _DEFAULT_FILE, dir_fd=folder)
        return NewFile(descriptor, os.dup(folder), temporary, name, self._path.joinpath(*parts), entry.modified)

    def make_symlink(self, parts: Parts, target: str, *, overwrite: bool) -> None:
        """Make a symbolic link. Raises ArchiveError when it may lead outside."""
        check_target(parts, target)
        folder = self._enter(parts[:-1])
        self._create(parts, folder, lambda name: os.symlink(target, name, dir_fd=folder), overwrite=overwrite)

    def make_hard_link(self, parts: Parts, of: Parts, *, overwrite: bool) -> None:
        """Make a hard link to a file that exists in the destination."""
        above = os.dup(self._enter(of[:-1]))
        try:
            if not _is_file(of[-1], above):
                raise ArchiveError(
                    Code.CORRUPT,
                    f"{'/'.join(parts)} is a hard link to {'/'.join(of)}, which is not a file in the destination",
                )
            folder = self._enter(parts[:-1])

            def link(name: str) -> None:
                os.link(of[-1], name, src_dir_fd=above, dst_dir_fd=folder, follow_symlinks=False)

            self._create(parts, folder, link, overwrite=overwrite)
        finally:
            os.close(above)

    def _create(self, parts: Parts, folder: int, make: Callable[[str], None], *, overwrite: bool) -> None:
        with self._at(parts):
            if not overwrite:
                make(parts[-1])
                return
            temporary = f".{secrets.token_hex(8)}.part"
            make(temporary)
            try:
                os.rename(temporary, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
            finally:  # renaming one name of a file to another of the same leaves both
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)

    def _enter(self, parts: Parts, mode: int = _DEFAULT_FOLDER) -> int:
        """Open a folder, made if it does not exist; valid until the next call."""
        if tuple(parts) == self._parts:
            return self._folder
        folder = os.dup(self._root)
        try:
            for depth, name in enumerate(parts, 1):
                below = self._step(folder, parts[:depth], name, mode)
                os.close(folder)
                folder = below
        except BaseException:
            os.close(folder)
            raise
        os.close(self._folder)
        self._folder, self._parts = folder, tuple(parts)
        return folder

    def _step(self, folder: int, parts: Parts, name: str, mode: int) -> int:
        with suppress(FileExistsError), self._named(parts):
            os.mkdir(name, mode, dir_fd=folder)
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise ArchiveError(
                    Code.CORRUPT,
                    f"an entry leads through {'/'.join(parts)}, which is a symbolic link; it might lead out",
                ) from None
            raise _occupied(self._path.joinpath(*parts)) from None

    @contextmanager
    def _at(self, parts: Parts) -> Iterator[None]:
        """Name the entry in an error of the system."""
        try:
            with self._named(parts):
                yield
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise _occupied(self._path.joinpath(*parts)) from None

    @contextmanager
    def _named(self, parts: Parts) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename, error.filename2 = str(self._path.joinpath(*parts)), None
            raise


class NewFile:
    """A file that is being extracted: a sink."""

    def __init__(
        self, descriptor: int, folder: int, temporary: str, name: str, path: Path, modified: float | None
    ) -> None:
        self._descriptor = descriptor
        self._folder = folder
        self._temporary = temporary
        self._name = name
        self._path = path
        self._modified = modified

    def write(self, data: bytes) -> None:
        """Append data."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            error.filename = str(self._path)
            raise

    def finish(self) -> None:
        """Set the time of the file and give it its name."""
        try:
            if self._modified is not None:
                with suppress(OverflowError, ValueError, OSError):  # a time that the system cannot represent
                    os.utime(self._descriptor, (self._modified, self._modified))
            if self._temporary != self._name:
                os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except IsADirectoryError:
            self.discard()
            raise _occupied(self._path) from None
        except BaseException:
            self.discard()
            raise
        self._close()

    def discard(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._folder)
        self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        os.close(self._folder)


def _occupied(path: Path) -> ArchiveError:
    """Make the error of an entry whose path exists already."""
    return ArchiveError(
        Code.DESTINATION, f"{path} exists already; set overwrite to replace files, or another destination"
    )


def check_name(entry: Entry) -> None:
    """Raise for an entry whose name leads out of the archive."""
    if ".." in entry.parts:
        raise ArchiveError(Code.CORRUPT, f"the entry {entry.name!r} would be written outside the destination")


def check_target(parts: Parts, target: str) -> None:
    """Raise for a symbolic link that is absolute or may lead out of the folder."""
    steps = [step for step in target.split("/") if step not in {"", "."}]
    climbs = next((number for number, step in enumerate(steps) if step != ".."), len(steps))
    if not target or target.startswith("/") or ".." in steps[climbs:] or climbs >= len(parts):
        raise ArchiveError(
            Code.CORRUPT, f"{'/'.join(parts)} is a symbolic link to {target!r}, which may lead outside the destination"
        )


def _is_file(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
