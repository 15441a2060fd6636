"""Reading a directory of definitions: a bounded walk that leaves the tree nowhere, and the texts of files.

Hidden files and directories are skipped. Links to files of the tree are followed, links to directories never, so that
there are no loops. A file that is changed while it is read is reported, and read again by the next sync.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from dagbook.db.repositories.sources import FileProblem
from dagbook.sources.plan import SUFFIXES, Listing, Text, TreeFile
from dagbook.spec.reading.yaml_reader import MAX_BYTES

MAX_FILES = 10_000
MAX_ENTRIES = 200_000  # files and directories of any name
MAX_TOTAL_BYTES = 256 * 1024 * 1024
_MAX_DEPTH = 64
TOO_LARGE = FileProblem(0, f"the file is larger than {MAX_BYTES // 1024} KiB, the most that a definition may have")
_BINARY = "the file is not a text in UTF-8"
_UNFINISHED = FileProblem(0, "the file was changed while it was read; it is read again")


class SourceError(Exception):
    """A source cannot be read at all; the message says why, and what to do."""


class DirectoryTree:
    """The files below a directory, from one walk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def list_files(self) -> Listing:
        """Walk the directory, with the hash of each definition file's content; raises SourceError."""
        root = Path(os.path.realpath(self._directory))
        if not root.is_dir():
            reason = "is not a directory" if root.exists() else "does not exist; is it mounted?"
            raise SourceError(f"{self._directory} {reason}")
        walk = _Walk(root)
        walk.enter("", 0)
        return Listing(walk.files, walk.unknown)

    def read_text(self, path: str) -> Text:
        """Read the text of a file of the last walk."""
        root, real = os.path.realpath(self._directory), os.path.realpath(self._directory / path)
        if not real.startswith(f"{root}/"):  # it has become a link since
            return Text("", problem=_UNFINISHED)
        return _read(real)


class _Walk:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries = 0
        self._bytes = 0
        self.files: list[TreeFile] = []
        self.unknown: list[str] = []

    def enter(self, directory: str, depth: int) -> None:
        """Add the files of a directory and those below it."""
        try:
            with os.scandir(self._root / directory) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not directory:
                raise SourceError(f"{self._root} cannot be read: {error.strerror}") from error
            self._refuse(directory, f"the directory cannot be read: {error.strerror}")
            self.unknown.append(directory)
            return
        self._entries += len(entries)
        if self._entries > MAX_ENTRIES:
            raise SourceError(
                f"{self._root} has more than {MAX_ENTRIES:,} files and directories; choose a subdirectory with path"
            )
        for entry in entries:
            if not entry.name.startswith("."):
                self._visit(entry, f"{directory}/{entry.name}" if directory else entry.name, depth)

    def _visit(self, entry: os.DirEntry[str], path: str, depth: int) -> None:
        if entry.is_symlink():
            self._follow(entry.path, path)
        elif entry.is_dir(follow_symlinks=False):
            if depth >= _MAX_DEPTH:
                self._refuse(path, f"directories are nested more than {_MAX_DEPTH} levels deep")
            else:
                self.enter(path, depth + 1)
        elif path.endswith(SUFFIXES):
            self._add(path, entry.path)

    def _follow(self, link: str, path: str) -> None:
        target = Path(os.path.realpath(link))
        if not path.endswith(SUFFIXES) and not target.is_dir():
            return
        if not target.is_relative_to(self._root):
            self._refuse(path, "this is a link out of the source, which is not followed")
        elif target.is_symlink():  # realpath ends in the middle of a loop
            self._refuse(path, "this link leads back to itself")
        elif target.is_dir():
            self._refuse(path, "this is a link to a directory, which is not followed; links to files are")
        else:
            self._add(path, str(target))

    def _add(self, path: str, real: str) -> None:
        text = _read(real)
        self._bytes += len(text.text)
        if self._bytes > MAX_TOTAL_BYTES:
            raise SourceError(
                f"the definitions of {self._root} are larger than {MAX_TOTAL_BYTES // 2**20} MiB together"
            )
        self._append(TreeFile(_storable(path), text.content, text.problem))

    def _refuse(self, path: str, message: str) -> None:
        self._append(TreeFile(_storable(path), "", FileProblem(0, message)))

    def _append(self, file: TreeFile) -> None:
        if len(self.files) >= MAX_FILES:
            raise SourceError(
                f"{self._root} has more than {MAX_FILES:,} definition files; choose a subdirectory with path"
            )
        self.files.append(file)


def _storable(path: str) -> str:
    """Return a path as a text that databases store: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _read(path: str) -> Text:
    """Read a file; only regular files are opened for longer than the look at them takes."""
    try:
        # A pipe without a writer would block, and a link that has just been put there is not followed.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Text("", problem=FileProblem(0, f"the file cannot be read: {error.strerror}"))
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return Text("", problem=FileProblem(0, "this is no file"))
        try:
            data = file.read(MAX_BYTES + 1)
        except OSError as error:
            return Text("", problem=FileProblem(0, f"the file cannot be read: {error.strerror}"))
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return Text("", problem=_UNFINISHED)
    return decode(data)


def decode(data: bytes) -> Text:
    """Return the text of a file's content, with the hash of the content, or its problem."""
    content = hashlib.sha256(data).hexdigest()
    if len(data) > MAX_BYTES:
        return Text(content, problem=TOO_LARGE)
    if b"\0" in data:
        return Text(content, problem=FileProblem(_line_at(data, data.index(b"\0")), f"{_BINARY}: it has a NUL byte"))
    try:
        return Text(content, data.decode())
    except UnicodeDecodeError as error:
        return Text(content, problem=FileProblem(_line_at(data, error.start), f"{_BINARY}: byte {error.start + 1}"))


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
