"""A part of a step's output: how much of it can be stored, and what is shown of that. Pure.

Places and lengths are those of the bytes that were written, so that whoever takes over goes on behind any chunk.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from dagbook.runs.output.decoding import UTF_8, CharCursor, Decoded, DecoderState, read
from dagbook.runs.secrets.masking import MASK, MaskedPrefix, Masker, Span, apply_mask

LONGEST_LINE_BYTES = 64 * 1024  # a longer line without its end is stored in pieces
_SHOWN_MASK = MASK.decode()
_HEAD_BYTES = 1024
_WIDE = ("utf-16", "utf-32")
_WIDEST = 4  # bytes of a character, and of what one of UTF-8 may take up


def chunk_length(data: bytes, *, at_end: bool) -> int:
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


class Utf8Output:
    """Output in UTF-8, which is stored as it is."""

    def __init__(self, data: bytes, state: DecoderState, masker: Masker, *, final: bool) -> None:
        self.state = state
        self._data = data
        self._masker = masker
        self._final = final

    def take_chunk(self, *, is_full: bool) -> MaskedPrefix:
        """Say what can be stored without the bytes that follow; ``is_full`` when no more are read at once."""
        if self._final:
            return MaskedPrefix(len(self._data), self._masker.mask_bytes(self._data))
        settled = self._masker.mask_prefix(self._data, chunk_length(self._data, at_end=False))
        if not settled.length and is_full:  # what would have to stay together is longer than what is read at once
            settled = self._masker.mask_prefix(self._data, _whole_characters(self._data), whole_lines=False)
        return settled

    def copy(self, begin: int, end: int) -> bytes:
        """Give the bytes between two places, but for secrets."""
        return self._masker.mask_bytes(self._data[begin:end])


class _Segment(msgspec.Struct, frozen=True):
    """Bytes between two secrets that are written in UTF-8."""

    begin: int
    before: DecoderState
    decoded: Decoded

    @property
    def end(self) -> int:
        return self.begin + self.decoded.length


class EncodedOutput:
    """Output in another encoding.

    A secret is looked for twice: in the bytes, for a process has its variables in UTF-8 whatever it writes otherwise,
    and in the text.
    """

    def __init__(self, data: bytes, state: DecoderState, masker: Masker, *, final: bool) -> None:
        self.state = state
        self._data = data
        self._final = final
        found = masker.find(data)
        self._stretches = list(self._read(found.places))
        self._unfinished = found.unfinished
        self._places: list[Span] = []
        for stretch, place in zip(self._stretches, [*found.places, None], strict=True):
            self._find_unfinished(stretch, masker)
            if place is not None:  # with what seemed to be the beginning of a character before it
                self._places.append((stretch.end, place[1]))

    def _read(self, places: Sequence[Span]) -> Iterator[_Segment]:
        at, state = 0, self.state
        for start, end in places:
            stretch = _Segment(at, state, read(self._data[at:start], state))
            yield stretch
            at, state = end, read(self._data[stretch.end : end], stretch.decoded.state).state
        yield _Segment(at, state, read(self._data[at:], state, final=self._final))

    def _find_unfinished(self, stretch: _Segment, masker: Masker) -> None:
        """Find the secrets in a stretch, and what may be the beginning of one."""
        if not masker:
            return
        text = stretch.decoded.text.encode()
        found = masker.find(text)
        cursor = CharCursor(self._data, stretch.before, stretch.begin)
        characters, shown = 0, 0
        for start, end in found.places:
            characters += len(text[shown:start].decode())
            begin = cursor.seek(characters)
            characters, shown = characters + len(text[start:end].decode()), end
            self._places.append((begin, cursor.skip_past(characters)))
        if stretch is self._stretches[-1] and found.unfinished < len(text):
            cursor = CharCursor(self._data, stretch.before, stretch.begin)
            self._unfinished = min(self._unfinished, cursor.seek(len(text[: found.unfinished].decode())))

    def take_chunk(self, *, is_full: bool) -> MaskedPrefix:
        """Say what can be stored without the bytes that follow; ``is_full`` when no more are read at once."""
        border = len(self._data) if self._final else self._find_border(is_full=is_full)
        return self._show(border)

    def _find_border(self, *, is_full: bool) -> int:
        whole = self._stretches[-1].end
        at = min(whole, self._unfinished)
        border = self._find_line_end(at)
        if not border and at == whole and len(self._data) >= LONGEST_LINE_BYTES:
            border = whole
        return self._outside(border) or (self._outside(at) if is_full else 0)

    def _find_line_end(self, before: int) -> int:
        """Find the end of the last line that ends before a place; 0 when there is none."""
        for stretch in reversed(self._stretches):
            text = self._part(stretch, before).text
            if characters := text.rfind("\n") + 1:
                if characters == len(stretch.decoded.text):
                    return stretch.end
                return CharCursor(self._data, stretch.before, stretch.begin).seek(characters)
        return 0

    def _part(self, stretch: _Segment, before: int) -> Decoded:
        if stretch.end <= before:
            return stretch.decoded
        return read(self._data[stretch.begin : max(before, stretch.begin)], stretch.before)

    def _outside(self, border: int) -> int:
        """Go back to where neither a secret nor a character is cut."""
        while True:
            stretch = next(stretch for stretch in reversed(self._stretches) if stretch.begin <= border)
            if border < stretch.end:
                border = stretch.begin + self._part(stretch, border).length
            start = next((start for start, end in self._places if start < border < end), None)
            if start is None:
                return border
            border = start

    def _show(self, border: int) -> MaskedPrefix:
        if not self._places and border == self._stretches[-1].end:
            text, at, state = self._stretches[-1].decoded.text, border, self._stretches[-1].decoded.state
        else:
            text, at, state = self._text(0, border, self.state)
        self.state = state
        return MaskedPrefix(at, text.encode())

    def _text(self, begin: int, end: int, state: DecoderState) -> tuple[str, int, DecoderState]:
        """Give what is shown of the bytes between two places, where that ends, and the state there."""
        parts, at = [], begin
        for start, stop in self._between(begin, end):
            piece = read(self._data[at:start], state)
            parts += [piece.text, _SHOWN_MASK]
            at, state = stop, read(self._data[start:stop], piece.state).state
        piece = read(self._data[at:end], state, final=self._final)
        return "".join((*parts, piece.text)), at + piece.length, piece.state

    def _between(self, begin: int, end: int) -> list[Span]:
        return [(max(start, begin), stop) for start, stop in self._places if begin < stop <= end]

    def copy(self, begin: int, end: int) -> bytes:
        """Give the bytes between two places, but for secrets."""
        places = self._between(begin, end)
        if places and self.state.shifts:  # asterisks mean something else where it has switched to other characters
            before = read(self._data[:begin], self._stretches[0].before).state
            return self._text(begin, end, before)[0].encode(self.state.codec, "replace")
        mask = _SHOWN_MASK.encode(self.state.codec)
        return apply_mask(self._data[begin:end], [(start - begin, stop - begin) for start, stop in places], mask)


def read_tail(file: BinaryIO, encoding: str, masker: Masker, most: int) -> bytes:
    """Give the last bytes of what is shown of a file, in UTF-8, and nothing of a secret that only reaches into them."""
    # More is read than shown, so that a secret that is cut off at its beginning is known by its end.
    size, state = os.fstat(file.fileno()).st_size, DecoderState(encoding)
    if encoding == UTF_8:
        file.seek(max(0, size - most - masker.longest))
        return masker.mask_end(file.read(), most)
    begin = max(0, size - _WIDEST * (most + masker.longest)) // _WIDEST * _WIDEST
    if begin and state.remembers:  # a mark, or the sets of characters that are named once in the first line
        state = read(file.readline(_HEAD_BYTES), state).state
    file.seek(begin)
    data = file.read()
    if begin and not encoding.startswith(_WIDE):  # a line begins with a character
        data = data[data.find(b"\n", 0, len(data) // 2) + 1 :]
    return wrap(data, state, masker, final=True).take_chunk(is_full=True).shown[-most:]


def wrap(data: bytes, state: DecoderState, masker: Masker, *, final: bool) -> Utf8Output | EncodedOutput:
    """Look at a part of some output; ``final`` when nothing follows."""
    kind = Utf8Output if state.codec == UTF_8 else EncodedOutput
    return kind(data, state, masker, final=final)
