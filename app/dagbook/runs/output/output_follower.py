"""Follower of the output files of a node, cut into chunks of complete lines.

The files are written by the processes of the step. What is committed to the database is a prefix of them, so that a
follower can continue from the last committed offset (house design section 7). The files contain secrets in plain text;
everything that leaves this module is masked. Offsets and byte counts are those of the files.
"""

from __future__ import annotations

import asyncio
import errno
import os
from datetime import datetime
from pathlib import Path

import msgspec

from dagbook.db.compression import compress
from dagbook.db.repositories.runs.run_rows import NewChunk
from dagbook.executors.capture import read_text
from dagbook.executors.contract import step_files
from dagbook.runs.output.decoding import UTF_8, DecoderState, rebuild_state
from dagbook.runs.output.output_chunks import EncodedOutput, Utf8Output, wrap
from dagbook.runs.secrets.masking import Masker

STDOUT, STDERR = 1, 2
CHUNK_BYTES = 256 * 1024
_SMALL_BYTES = 64 * 1024  # read in the event loop: a thread would cost more than the read
_NOTE_DIGITS = 20
_VALUES_READ = 4  # a read is at least this many times the longest secret, so that some of it can always be stored


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Stored part of a stream: ``line_count`` line ends; a long text is compressed into ``packed``."""

    stream: int
    seq: int
    first_line: int
    line_count: int
    byte_offset: int
    byte_count: int
    text: str
    packed: bytes | None

    def row(self, *, run: int, attempt: int, position: int, execution: int, ordinal: int, at: datetime) -> NewChunk:
        """Return the row of the chunk in an execution of a node."""
        return NewChunk(
            run_id=run,
            attempt=attempt,
            position=position,
            execution=execution,
            ordinal=ordinal,
            received_at=at,
            **{name: getattr(self, name) for name in self.__struct_fields__},
        )


class StreamOffset(msgspec.Struct, frozen=True, kw_only=True):
    """End of the stored part of a stream; at ``origin`` the current execution, and so its encoding, starts."""

    seq: int = 0
    first_line: int = 1
    byte_offset: int = 0
    origin: int = 0


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for storing a stream: limit in bytes, masker and encoding."""

    limit: int
    masker: Masker
    encoding: str = UTF_8


class Redirect:
    """Copy of a stream to the file of the step's ``stdout:`` or ``stderr:`` (runtime 11.2).

    The number of copied bytes is saved beside the stream, so that an adopting server continues there.
    """

    def __init__(self, target: Path, note: Path, account: str = "") -> None:
        with step_files(account):
            self._file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # Steps of an account may write to their output, and so to that of others through /proc/self/fd of the server.
        if account and Path(f"/proc/self/fd/{self._file}").readlink().is_relative_to(note.parent):
            os.close(self._file)
            raise PermissionError(errno.EACCES, "the file is output of a step", str(target))
        self._note = os.open(note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._copied = int(os.pread(self._note, _NOTE_DIGITS, 0) or 0)

    def copy(self, offset: int, output: Utf8Output | EncodedOutput, length: int) -> None:
        """Append the part of ``length`` bytes of output, from ``offset`` of the stream, that is not copied yet."""
        new = output.copy(min(max(self._copied - offset, 0), length), length)
        while new:
            new = new[os.write(self._file, new) :]
        self._copied = max(self._copied, offset + length)
        # Overwritten in place: truncated first, the number would be lost in a crash before the write.
        os.pwrite(self._note, b"%0*d" % (_NOTE_DIGITS, self._copied), 0)

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        os.close(self._note)


class StreamFollower:
    """Follower of one stream of a node, from a stored offset."""

    def __init__(
        self, stream: int, path: Path, position: StreamOffset, redirect: Redirect | None, options: StreamOptions
    ) -> None:
        self.position = position
        self._blank = DecoderState(options.encoding)
        self._state: DecoderState | None = self._blank
        if position.origin < position.byte_offset and self._blank.remembers:
            self._state = None  # unknown: another server has read the bytes before
        self._masker = options.masker
        self._stream = stream
        self._path = path
        self._redirect = redirect
        self._limit = options.limit

    @property
    def is_behind(self) -> bool:
        """Whether bytes that another server has stored must be read again for the decoder state."""
        return self._state is None

    def pending(self) -> int:
        """Return the number of bytes that are written but not taken."""
        try:
            return max(self._path.stat().st_size - self.position.byte_offset, 0)
        except FileNotFoundError:
            return 0

    def written_at(self) -> int:
        """Return when the file was last written to, in nanoseconds since 1970."""
        try:
            return self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def take(self, *, at_end: bool) -> Chunk | None:
        """Take the next chunk; None if there is no complete line yet, or beyond the log limit."""
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
        prefix = output.take_chunk(is_full=len(data) >= most)
        if not prefix.length:
            return None
        if self._redirect is not None:
            self._redirect.copy(offset, output, prefix.length)
        self._state = output.state
        return self._advance(prefix.length, prefix.masked)

    def reset(self) -> None:
        """Treat the next output as that of another execution."""
        self.position = msgspec.structs.replace(self.position, origin=self.position.byte_offset)
        self._state = self._blank

    def _advance(self, length: int, masked: bytes) -> Chunk | None:
        at = self.position
        text = self._stored_text(length, masked)
        lines = text.count("\n")
        stored = at.byte_offset <= self._limit  # at the limit exactly, the next chunk still adds the marker text
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

    def _stored_text(self, length: int, masked: bytes) -> str:
        room = self._limit - self.position.byte_offset
        if room >= length:
            return read_text(masked)
        if room >= 0:
            return read_text(masked[:room]) + f"\n[dagbook: the log limit of {self._limit} bytes is reached]\n"
        return ""

    def close(self) -> None:
        """Close the redirect file."""
        if self._redirect is not None:
            self._redirect.close()


class OutputFollower:
    """Follower of both streams of a node."""

    def __init__(self, streams: tuple[StreamFollower, StreamFollower]) -> None:
        self._streams = streams
        self._turn = asyncio.Lock()

    def pending(self) -> int:
        """Return the number of bytes that are written but not taken."""
        return sum(stream.pending() for stream in self._streams)

    async def take(self, *, at_end: bool = False, most: int = 1) -> list[Chunk]:
        """Take at most ``most`` chunks of each stream; large reads run in a thread."""
        async with self._turn:
            if self.pending() <= _SMALL_BYTES and not any(stream.is_behind for stream in self._streams):
                return self._take(at_end=at_end, most=most)
            return await asyncio.to_thread(self._take, at_end=at_end, most=most)

    def _take(self, *, at_end: bool, most: int) -> list[Chunk]:
        """Take chunks, first of the stream that was written to first: a merged log has them in this order."""
        turns = (stream for stream in sorted(self._streams, key=StreamFollower.written_at) for _ in range(most))
        return [chunk for stream in turns if (chunk := stream.take(at_end=at_end))]

    def reset(self) -> None:
        """Treat the next output as that of another execution."""
        for stream in self._streams:
            stream.reset()

    def close(self) -> None:
        """Close the files of both streams."""
        for stream in self._streams:
            stream.close()
