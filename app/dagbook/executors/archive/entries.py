"""The entries of an archive, and the visitors that receive them in one pass over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import msgspec

from dagbook.executors.archive.report import ArchiveError

BLOCK_BYTES = 256 * 1024
LONGEST_TARGET_BYTES = 4096


class Kind(Enum):
    """Kinds of entries."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"
    OTHER = "device or pipe"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, named as in the archive. ``size`` is None when it is known only after reading the data."""

    name: str
    kind: Kind
    size: int | None = 0
    mode: int = 0
    modified: float | None = None  # seconds since 1970
    target: str = ""  # of a link

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path, below the root of the archive."""
        return split(self.name)


def split(path: str) -> tuple[str, ...]:
    """Split a path of an archive; a leading slash means the archive's root, as for tar and unzip."""
    return tuple(part for part in path.split("/") if part not in {"", "."})


class Sink(Protocol):
    """Receives the data of one file."""

    def write(self, data: bytes) -> None:
        """Receive a block of data."""

    def finish(self) -> None:
        """All data have been received."""

    def discard(self) -> None:
        """Remove what was received: the data are not complete."""


class Visitor(Protocol):
    """Visits the entries of an archive in turn. ``reads`` is False when it needs no data and no targets of links."""

    reads: bool

    def visit(self, entry: Entry) -> Sink | None:
        """Visit an entry. Its data are written to the sink returned; None skips them."""

    def failed(self, entry: Entry, error: ArchiveError) -> None:
        """Raise the error of an entry with damaged data, or return to continue with the other entries."""


class Reader(Protocol):
    """A source of data."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""


@contextmanager
def writing_to(sink: Sink) -> Iterator[None]:
    """Finish a sink after the block, or discard it when the block raises."""
    try:
        yield
    except BaseException:
        sink.discard()
        raise
    sink.finish()


def copy(reader: Reader, sink: Sink) -> None:
    """Copy all data into a sink, block by block."""
    while data := reader.read(BLOCK_BYTES):
        sink.write(data)


class NullSink:
    """Counts data and discards them, to verify an archive."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        """Count a block of data."""
        self.size += len(data)

    def finish(self) -> None:
        """Do nothing."""

    def discard(self) -> None:
        """Do nothing."""


class Verifier:
    """Reads every byte of an archive, so that its checksums are compared."""

    reads = True

    def visit(self, entry: Entry) -> Sink | None:
        """Read the data of every file."""
        return NullSink() if entry.kind is Kind.FILE else None

    def failed(self, entry: Entry, error: ArchiveError) -> None:  # noqa: ARG002 - one damaged entry is enough
        """Raise the error."""
        raise error
