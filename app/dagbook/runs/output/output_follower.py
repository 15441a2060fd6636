"""A node's output: follows its files on this machine, cuts them into chunks of whole lines.

The files are written by the step's own processes; what is committed to the database is a prefix of them,
so a follower can be made anew from the last committed offset (house design section 7). They hold secrets as they
are; nothing leaves here that is not masked. Offsets and counts of bytes are those of the files.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from dagbook.db.compression import compress
from dagbook.executors.output import read_text
from dagbook.runs.output.decoding import UTF_8, DecoderState, rebuild_state
from dagbook.runs.output.output_chunks import EncodedOutput, Utf8Output, wrap
from dagbook.runs.secrets.masking import Masker

STDOUT, STDERR = 1, 2
CHUNK_BYTES = 256 * 1024
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


class StreamOffset(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is stored, and from where on the same execution writes, for it begins to encode anew."""

    seq: int = 0
    first_line: int = 1
    byte_offset: int = 0
    origin: int = 0


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a stream: so many bytes, without secrets, read in its encoding."""

    limit: int
    masker: Masker
    encoding: str = UTF_8


class Redirect:
    """The copy of a stream that the step's ``stdout:`` or ``stderr:`` names (runtime 11.2).

    How much was copied is noted beside the stream, so that a server that takes over goes on there.
    """

    def __init__(self, target: Path, note: Path) -> None:
        self._file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._note = os.open(note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._copied = int(os.pread(self._note, _NOTE_DIGITS, 0) or 0)

    def copy(self, offset: int, output: Utf8Output | EncodedOutput, length: int) -> None:
        """Append what of ``length`` bytes of output, which begin at ``offset`` of the stream, was not copied yet."""
        fresh = output.copy(min(max(self._copied - offset, 0), length), length)
        while fresh:
            fresh = fresh[os.write(self._file, fresh) :]
        self._copied = max(self._copied, offset + length)
        # Written over in place: emptied first it would be worthless to whoever comes after a crash in between.
        os.pwrite(self._note, b"%0*d" % (_NOTE_DIGITS, self._copied), 0)

    def close(self) -> None:
        """Release the files."""
        os.close(self._file)
        os.close(self._note)


class StreamFollower:
    """One stream of a node, from a stored position on."""

    def __init__(
        self, stream: int, path: Path, position: StreamOffset, redirect: Redirect | None, terms: StreamOptions
    ) -> None:
        self.position = position
        self._blank = DecoderState(terms.encoding)
        self._state: DecoderState | None = self._blank
        if self._blank.remembers and position.origin < position.byte_offset:
            self._state = None  # another server has read what comes before
        self._masker = terms.masker
        self._stream = stream
        self._path = path
        self._redirect = redirect
        self._limit = terms.limit

    @property
    def is_behind(self) -> bool:
        """Whether what was stored by another server has to be read again."""
        return self._state is None

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
            if self._state is None:
                self._state = rebuild_state(file, self._blank, self.position.origin, offset)
            file.seek(offset)
            data = file.read(most)
        final = at_end and offset + len(data) >= self._path.stat().st_size
        output = wrap(data, self._state, self._masker, final=final)
        settled = output.take_chunk(is_full=len(data) >= most)
        if not settled.length:
            return None
        if self._redirect is not None:
            self._redirect.copy(offset, output, settled.length)
        self._state = output.state
        return self._advance(settled.length, settled.shown)

    def reset(self) -> None:
        """Take what comes next for the output of another execution."""
        self.position = msgspec.structs.replace(self.position, origin=self.position.byte_offset)
        self._state = self._blank

    def _advance(self, length: int, shown: bytes) -> Chunk | None:
        at = self.position
        text = self._stored_text(length, shown)
        lines = text.count("\n")
        stored = at.byte_offset <= self._limit  # what comes behind the very last byte that fits is marked, too
        self.position = StreamOffset(
            seq=at.seq + stored,
            first_line=at.first_line + lines,
            byte_offset=at.byte_offset + length,
            origin=at.origin,
        )
        if not stored:
            return None
        packed = compress(text)
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


class OutputFollower:
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
            if self.pending() <= _SMALL_BYTES and not any(stream.is_behind for stream in self._streams):
                return self._take(at_end=at_end, most=most)
            return await asyncio.to_thread(self._take, at_end=at_end, most=most)

    def _take(self, *, at_end: bool, most: int) -> list[Chunk]:
        turns = (stream for stream in self._streams for _ in range(most))
        return [chunk for stream in turns if (chunk := stream.take(at_end=at_end))]

    def reset(self) -> None:
        """Take what comes next for the output of another execution."""
        for stream in self._streams:
            stream.reset()

    def close(self) -> None:
        """Release what the streams hold."""
        for stream in self._streams:
            stream.close()
