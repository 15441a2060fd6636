"""What is in an archive, and who is told of it while the archive is walked through once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import msgspec

from app.executors.archives.failure import ArchiveError

PIECE_BYTES = 256 * 1024
LONGEST_TARGET_BYTES = 4096


class Kind(Enum):
    """Sorts of entries."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"
    OTHER = "device or pipe"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, named as the archive names it. ``size`` is None when only its data can tell."""

    name: str
    kind: Kind
    size: int | None = 0
    mode: int = 0
    modified: float | None = None  # seconds since 1970
    target: str = ""  # of a link

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of folders and of the entry itself, below the root of the archive."""
        return split(self.name)


def split(path: str) -> tuple[str, ...]:
    """Split a path of an archive; a leading slash means the archive's root, as for tar and unzip."""
    return tuple(part for part in path.split("/") if part not in {"", "."})


class Sink(Protocol):
    """Takes the data of one file."""

    def write(self, data: bytes) -> None:
        """Take a piece."""

    def done(self) -> None:
        """Hear that all data were taken."""

    def drop(self) -> None:
        """Leave nothing of the data: they are not whole."""


class Visitor(Protocol):
    """Is told of each entry in turn. ``reads`` is False when it wants no data, not even the targets of links."""

    reads: bool

    def begin(self, entry: Entry) -> Sink | None:
        """See an entry; the sink is for its data, None leaves them out."""

    def failed(self, entry: Entry, error: ArchiveError) -> None:
        """Hear that the data of an entry are damaged while others may be whole; raises it, or goes on."""


class Reader(Protocol):
    """Where data come from."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes, none at the end."""


@contextmanager
def filling(sink: Sink) -> Iterator[None]:
    """Tell a sink how it ended; what is not whole is dropped."""
    try:
        yield
    except BaseException:
        sink.drop()
        raise
    sink.done()


def pour(reader: Reader, sink: Sink) -> None:
    """Move all data into a sink, piece by piece."""
    while data := reader.read(PIECE_BYTES):
        sink.write(data)


class Void:
    """Takes data only to count them, which is how an archive is checked."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take a piece."""
        self.size += len(data)

    def done(self) -> None:
        """Hear that all data were taken."""

    def drop(self) -> None:
        """Keep nothing, as ever."""


class Verifier:
    """A visitor that has every byte of an archive read, so that its checksums are compared."""

    reads = True

    def begin(self, entry: Entry) -> Sink | None:
        """Want the data of every file."""
        return Void() if entry.kind is Kind.FILE else None

    def failed(self, entry: Entry, error: ArchiveError) -> None:  # noqa: ARG002 - an archive is whole or not
        """Give up."""
        raise error
