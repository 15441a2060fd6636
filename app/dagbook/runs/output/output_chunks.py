"""Cutting of step output into chunks: how much can be stored now, masked and in UTF-8. Pure.

Offsets and lengths are in bytes of the original output, so that an adopting server can continue after any chunk.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from dagbook.runs.output.decoding import UTF_8, CharCursor, Decoded, DecoderState, read
from dagbook.runs.secrets.masking import MASK, MaskedPrefix, Masker, Span, apply_mask

LONGEST_LINE_BYTES = 64 * 1024  # a longer line is stored in parts before its end is known
_MASK_TEXT = MASK.decode()
_HEAD_BYTES = 1024
_WIDE = ("utf-16", "utf-32")
_WIDEST = 4  # most bytes of a character, also in UTF-8


def chunk_length(data: bytes, *, at_end: bool) -> int:
    """Return how many bytes of ``data`` make a chunk: complete lines, or all at the end of the stream.

    A long line without an end is cut between characters.
    """
    if at_end:
        return len(data)
    newline = data.rfind(b"\n") + 1
    if newline or len(data) < LONGEST_LINE_BYTES:
        return newline
    return _whole_characters(data)


def _whole_characters(data: bytes) -> int:
    return codecs.utf_8_decode(data, "replace", False)[1]


class Utf8Output:
    """Output in UTF-8, which is stored without decoding."""

    def __init__(self, data: bytes, state: DecoderState, masker: Masker, *, final: bool) -> None:
        self.state = state
        self._data = data
        self._masker = masker
        self._final = final

    def take_chunk(self, *, is_full: bool) -> MaskedPrefix:
        """Return the masked part that can be stored without the next bytes; ``is_full``: no longer read is possible."""
        if self._final:
            return MaskedPrefix(len(self._data), self._masker.mask_bytes(self._data))
        prefix = self._masker.mask_prefix(self._data, chunk_length(self._data, at_end=False))
        if not prefix.length and is_full:  # a line, or a possible secret, is longer than one read
            prefix = self._masker.mask_prefix(self._data, _whole_characters(self._data), whole_lines=False)
        return prefix

    def copy(self, begin: int, end: int) -> bytes:
        """Return the bytes between two offsets, masked."""
        return self._masker.mask_bytes(self._data[begin:end])


class _Segment(msgspec.Struct, frozen=True):
    """Decoded part of the output between two secrets written in UTF-8; ``begin`` in bytes."""

    begin: int
    before: DecoderState
    decoded: Decoded

    @property
    def end(self) -> int:
        return self.begin + self.decoded.length


class EncodedOutput:
    """Output in another encoding, which is stored in UTF-8.

    Secrets are searched twice: in the bytes, because a process has its variables in UTF-8 whatever encoding it writes,
    and in the decoded text.
    """

    def __init__(self, data: bytes, state: DecoderState, masker: Masker, *, final: bool) -> None:
        self.state = state
        self._data = data
        self._final = final
        found = masker.find(data)
        self._segments = list(self._read(found.spans))
        self._unfinished = found.unfinished
        self._spans: list[Span] = []
        for segment, span in zip(self._segments, [*found.spans, None], strict=True):
            self._find_unfinished(segment, masker)
            if span is not None:  # including bytes before it that looked like the start of a character
                self._spans.append((segment.end, span[1]))

    def _read(self, spans: Sequence[Span]) -> Iterator[_Segment]:
        at, state = 0, self.state
        for start, end in spans:
            segment = _Segment(at, state, read(self._data[at:start], state))
            yield segment
            at, state = end, read(self._data[segment.end : end], segment.decoded.state).state
        yield _Segment(at, state, read(self._data[at:], state, final=self._final))

    def _find_unfinished(self, segment: _Segment, masker: Masker) -> None:
        """Find the secrets in a segment, and the first possible start of one at its end."""
        if not masker:
            return
        text = segment.decoded.text.encode()
        found = masker.find(text)
        cursor = CharCursor(self._data, segment.before, segment.begin)
        characters, position = 0, 0
        for start, end in found.spans:
            characters += len(text[position:start].decode())
            begin = cursor.seek(characters)
            characters, position = characters + len(text[start:end].decode()), end
            self._spans.append((begin, cursor.skip_past(characters)))
        if segment is self._segments[-1] and found.unfinished < len(text):
            cursor = CharCursor(self._data, segment.before, segment.begin)
            self._unfinished = min(self._unfinished, cursor.seek(len(text[: found.unfinished].decode())))

    def take_chunk(self, *, is_full: bool) -> MaskedPrefix:
        """Return the masked part that can be stored without the next bytes; ``is_full``: no longer read is possible."""
        boundary = len(self._data) if self._final else self._find_boundary(is_full=is_full)
        if not self._spans and boundary == self._segments[-1].end:
            text, at, state = self._segments[-1].decoded.text, boundary, self._segments[-1].decoded.state
        else:
            text, at, state = self._text(0, boundary, self.state)
        self.state = state
        return MaskedPrefix(at, text.encode())

    def _find_boundary(self, *, is_full: bool) -> int:
        whole = self._segments[-1].end
        at = min(whole, self._unfinished)
        boundary = self._find_line_end(at)
        if not boundary and at == whole and len(self._data) >= LONGEST_LINE_BYTES:
            boundary = whole
        return self._outside(boundary) or (self._outside(at) if is_full else 0)

    def _find_line_end(self, before: int) -> int:
        """Return the end of the last line that ends before an offset; 0 if there is none."""
        for segment in reversed(self._segments):
            text = self._part(segment, before).text
            if characters := text.rfind("\n") + 1:
                if characters == len(segment.decoded.text):
                    return segment.end
                return CharCursor(self._data, segment.before, segment.begin).seek(characters)
        return 0

    def _part(self, segment: _Segment, before: int) -> Decoded:
        if segment.end <= before:
            return segment.decoded
        return read(self._data[segment.begin : max(before, segment.begin)], segment.before)

    def _outside(self, boundary: int) -> int:
        """Move a boundary back to where it cuts neither a secret nor a character."""
        while True:
            segment = next(segment for segment in reversed(self._segments) if segment.begin <= boundary)
            if boundary < segment.end:
                boundary = segment.begin + self._part(segment, boundary).length
            start = next((start for start, end in self._spans if start < boundary < end), None)
            if start is None:
                return boundary
            boundary = start

    def _text(self, begin: int, end: int, state: DecoderState) -> tuple[str, int, DecoderState]:
        """Return the masked text of the bytes between two offsets, the offset of its end, and the state there."""
        parts, at = [], begin
        for start, stop in self._between(begin, end):
            decoded = read(self._data[at:start], state)
            parts += [decoded.text, _MASK_TEXT]
            at, state = stop, read(self._data[start:stop], decoded.state).state
        decoded = read(self._data[at:end], state, final=self._final)
        return "".join((*parts, decoded.text)), at + decoded.length, decoded.state

    def _between(self, begin: int, end: int) -> list[Span]:
        return [(max(start, begin), stop) for start, stop in self._spans if begin < stop <= end]

    def copy(self, begin: int, end: int) -> bytes:
        """Return the bytes between two offsets, masked, in the original encoding."""
        spans = self._between(begin, end)
        if spans and self.state.shifts:  # after a shift to another character set, asterisks are other characters
            before = read(self._data[:begin], self._segments[0].before).state
            return self._text(begin, end, before)[0].encode(self.state.codec, "replace")
        mask = _MASK_TEXT.encode(self.state.codec)
        return apply_mask(self._data[begin:end], [(start - begin, stop - begin) for start, stop in spans], mask)


def read_tail(file: BinaryIO, encoding: str, masker: Masker, most: int) -> bytes:
    """Return the last ``most`` bytes of a file, masked and in UTF-8, without the rest of a secret cut at the start."""
    # More is read than returned, so that a secret that starts before the tail is found.
    size, state = os.fstat(file.fileno()).st_size, DecoderState(encoding)
    if encoding == UTF_8:
        file.seek(max(0, size - most - masker.longest))
        return masker.mask_end(file.read(), most)
    begin = max(0, size - _WIDEST * (most + masker.longest)) // _WIDEST * _WIDEST
    if begin and state.remembers:  # a byte order mark, or character sets declared once in the first line
        state = read(file.readline(_HEAD_BYTES), state).state
    file.seek(begin)
    data = file.read()
    if begin and not encoding.startswith(_WIDE):  # a line starts at a character boundary
        data = data[data.find(b"\n", 0, len(data) // 2) + 1 :]
    return wrap(data, state, masker, final=True).take_chunk(is_full=True).masked[-most:]


def wrap(data: bytes, state: DecoderState, masker: Masker, *, final: bool) -> Utf8Output | EncodedOutput:
    """Wrap a part of some output for cutting; ``final`` if it is the last part."""
    kind = Utf8Output if state.codec == UTF_8 else EncodedOutput
    return kind(data, state, masker, final=final)
