"""A node's output: follows its files on this machine, cuts them into chunks of whole lines.

The files are written by the step's own processes; what is committed to the database is a prefix of them,
so a follower can be made anew from the last committed offset (house design section 7). They hold secrets as they
are; nothing leaves here that is not masked. Offsets and counts of bytes are those of the files.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from pathlib import Path

import msgspec

from app.db.packing import pack
from app.executors.output import read_text
from app.runs.masking import Masker, Settled

STDOUT, STDERR = 1, 2
CHUNK_BYTES = 256 * 1024
LONGEST_LINE_BYTES = 64 * 1024  # a longer line without its end is stored in pieces
_SMALL_BYTES = 64 * 1024  # read in the loop: a thread would cost more than the read
_NOTE_DIGITS = 20
_VALUES_READ = 4  # so many times the longest secret are read at least: some of it can always be settled


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a stream as it is stored; ``line_count`` counts the line ends in it, a long text is packed."""

    stream: int
    seq: int
    first_line: int
    line_count: int
    byte_offset: int
    byte_count: int
    text: str
    packed: bytes | None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is stored."""

    seq: int = 0
    first_line: int = 1
    byte_offset: int = 0


def cut(data: bytes, *, at_end: bool) -> int:
    """Say how many bytes of ``data`` make a chunk: whole lines, or all when the stream has ended.

    A long line without an end is cut where no character is torn apart.
    """
    if at_end:
        return len(data)
    newline = data.rfind(b"\n") + 1
    if newline or len(data) < LONGEST_LINE_BYTES:
        return newline
    return _whole_characters(data)


def _whole_characters(data: bytes) -> int:
    return codecs.utf_8_decode(data, "replace", False)[1]


class Redirect:
    """The copy of a stream that the step's ``stdout:`` or ``stderr:`` names (runtime 11.2).

    How much was copied is noted beside the stream, so that a server that takes over goes on there.
    """

    def __init__(self, target: Path, note: Path) -> None:
        self._file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._note = os.open(note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._copied = int(os.pread(self._note, _NOTE_DIGITS, 0) or 0)

    def copy(self, offset: int, data: bytes, masker: Masker) -> None:
        """Append what of ``data``, which begins at ``offset`` of the stream, was not copied yet."""
        fresh = masker.mask_bytes(data[max(self._copied - offset, 0) :])
        while fresh:
            fresh = fresh[os.write(self._file, fresh) :]
        self._copied = max(self._copied, offset + len(data))
        # Written over in place: emptied first it would be worthless to whoever comes after a crash in between.
        os.pwrite(self._note, b"%0*d" % (_NOTE_DIGITS, self._copied), 0)

    def close(self) -> None:
        """Release the files."""
        os.close(self._file)
        os.close(self._note)


class StreamFollower:
    """One stream of a node, from a stored position on."""

    def __init__(
        self, stream: int, path: Path, position: Position, redirect: Redirect | None, limit: int, masker: Masker
    ) -> None:
        self.position = position
        self._masker = masker
        self._stream = stream
        self._path = path
        self._redirect = redirect
        self._limit = limit

    def pending(self) -> int:
        """Bytes that are written but not taken yet."""
        try:
            return max(self._path.stat().st_size - self.position.byte_offset, 0)
        except FileNotFoundError:
            return 0

    def take(self, *, at_end: bool) -> Chunk | None:
        """Read the next chunk; None when there is no whole line yet, or when the log limit was passed."""
        if not self.pending():
            return None
        offset = self.position.byte_offset
        most = max(CHUNK_BYTES, _VALUES_READ * self._masker.longest)
        with self._path.open("rb") as file:
            file.seek(offset)
            data = file.read(most)
        if at_end and offset + len(data) >= self._path.stat().st_size:
            settled = Settled(len(data), self._masker.mask_bytes(data))
        else:
            settled = self._settle(data, is_full=len(data) >= most)
        if not settled.length:
            return None
        data = data[: settled.length]
        if self._redirect is not None:
            self._redirect.copy(offset, data, self._masker)
        return self._advance(len(data), settled.shown)

    def _settle(self, data: bytes, *, is_full: bool) -> Settled:
        settled = self._masker.settle(data, cut(data, at_end=False))
        if not settled.length and is_full:  # what would have to stay together is longer than what is read at once
            settled = self._masker.settle(data, _whole_characters(data), whole_lines=False)
        return settled

    def _advance(self, length: int, shown: bytes) -> Chunk | None:
        at = self.position
        text = self._stored_text(length, shown)
        lines = text.count("\n")
        stored = at.byte_offset <= self._limit  # what comes behind the very last byte that fits is marked, too
        self.position = Position(
            seq=at.seq + stored,
            first_line=at.first_line + lines,
            byte_offset=at.byte_offset + length,
        )
        if not stored:
            return None
        packed = pack(text)
        return Chunk(
            stream=self._stream,
            seq=at.seq,
            first_line=at.first_line,
            line_count=lines,
            byte_offset=at.byte_offset,
            byte_count=length,
            text=text if packed is None else "",
            packed=packed,
        )

    def _stored_text(self, length: int, shown: bytes) -> str:
        room = self._limit - self.position.byte_offset
        if room >= length:
            return read_text(shown)
        if room >= 0:
            return read_text(shown[:room]) + f"\n[dagbook: the log limit of {self._limit} bytes is reached]\n"
        return ""

    def close(self) -> None:
        """Release the redirect file."""
        if self._redirect is not None:
            self._redirect.close()


class Follower:
    """Both streams of a node."""

    def __init__(self, streams: tuple[StreamFollower, StreamFollower]) -> None:
        self._streams = streams
        self._turn = asyncio.Lock()

    def pending(self) -> int:
        """Bytes that are written but not taken yet."""
        return sum(stream.pending() for stream in self._streams)

    async def take(self, *, at_end: bool = False, most: int = 1) -> list[Chunk]:
        """Take at most so many chunks of each stream; large reads leave the event loop alone."""
        async with self._turn:
            if self.pending() <= _SMALL_BYTES:
                return self._take(at_end=at_end, most=most)
            return await asyncio.to_thread(self._take, at_end=at_end, most=most)

    def _take(self, *, at_end: bool, most: int) -> list[Chunk]:
        turns = (stream for stream in self._streams for _ in range(most))
        return [chunk for stream in turns if (chunk := stream.take(at_end=at_end))]

    def close(self) -> None:
        """Release what the streams hold."""
        for stream in self._streams:
            stream.close()
