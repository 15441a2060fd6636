"""Where the characters of output end that is not in UTF-8, and what its bytes say. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

UTF_8 = "utf-8"
_LONGEST_CHARACTER = 16  # bytes, with what comes before it to switch between sets of characters
_ESCAPING = "iso2022"
_SHIFTING = (_ESCAPING, "hz")
# An escape that chooses no characters, such as that of a colour: Python's decoders would overlook the next that does.
_COLOUR = re.compile(rb"\x1b(?=[^$(&.N])")
_SPARE = b"\x1a\x1c\x1d\x1e\x1f\x05\x06"  # in its place meanwhile
_BLOCK_BYTES = 64 * 1024
# Without a mark at the beginning it is the order of nearly all machines, in which Windows writes.
_MARKS = {
    "utf-8-sig": {codecs.BOM_UTF8: UTF_8, b"": UTF_8},
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", b"": "utf-16-le"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be", b"": "utf-32-le"},
}


class DecoderState(msgspec.Struct, frozen=True):
    """What the bytes before a place say about those behind it: their codec, and to which characters it has switched."""

    codec: str
    shift: int | None = None  # what its decoder says; none at the beginning

    @property
    def shifts(self) -> bool:
        """Whether the same bytes mean this or that, depending on what comes before them."""
        return self.codec.startswith(_SHIFTING)

    @property
    def remembers(self) -> bool:
        """Whether bytes further back than in the same character have to be known."""
        return self.codec in _MARKS or self.shifts


class Decoded(msgspec.Struct, frozen=True):
    """Whole characters from the beginning of some data: their text, their bytes, and the state behind them."""

    text: str
    length: int
    state: DecoderState


def read(data: bytes, state: DecoderState, *, final: bool = False) -> Decoded:
    """Decode what is whole at the beginning of some data; all of it when nothing follows."""
    if state.codec in _MARKS:
        return _read_from_mark(data, state, final=final)
    if state.codec.startswith(_ESCAPING) and _COLOUR.search(data):
        spare = next((byte for byte in _SPARE if byte not in data), _SPARE[0])
        piece = _decode(_COLOUR.sub(bytes([spare]), data), state, final=final)
        return Decoded(piece.text.replace(chr(spare), "\x1b"), piece.length, piece.state)
    return _decode(data, state, final=final)


def _decode(data: bytes, state: DecoderState, *, final: bool) -> Decoded:
    decoder = _decoder(state)
    try:
        text = decoder.decode(data, final)
    except UnicodeError:  # what may become an escape sequence is longer than what Python's decoders keep for later
        begin = data.find(b"\x1b", max(len(data) - _LONGEST_CHARACTER, 0))
        data, decoder = data[: max(begin, 0)], _decoder(state)
        text = decoder.decode(data)
    pending, shift = decoder.getstate()
    return Decoded(text, len(data) - len(pending), DecoderState(state.codec, int(shift)))


def _decoder(state: DecoderState) -> codecs.IncrementalDecoder:
    decoder = codecs.getincrementaldecoder(state.codec)("replace")
    if state.shift is not None:  # a number that is not of its own making can crash a decoder, 0 too
        decoder.setstate((b"", state.shift))
    return decoder


def _read_from_mark(data: bytes, state: DecoderState, *, final: bool) -> Decoded:
    marks = _MARKS[state.codec]
    if not final and any(mark.startswith(data) for mark in marks if len(mark) > len(data)):
        return Decoded("", 0, state)
    mark = max(filter(data.startswith, marks), key=len)
    piece = read(data[len(mark) :], DecoderState(marks[mark]), final=final)
    return Decoded(piece.text, len(mark) + piece.length, piece.state)


class CharCursor:
    """Goes through output by its characters, but never into one."""

    def __init__(self, data: bytes, state: DecoderState, at: int = 0) -> None:
        self.at = at
        self.state = state
        self.passed = 0
        self._data = data

    def seek(self, characters: int) -> int:
        """Go on until so many characters are passed, or fewer where some belong together; tells the place."""
        while (left := characters - self.passed) > _LONGEST_CHARACTER:
            # None takes up less than a byte, so these are never too many.
            if not self._pass(read(self._data[self.at : self.at + left], self.state), characters):
                break
        while self.passed < characters and self._pass(self._next(), characters):
            pass
        return self.at

    def skip_past(self, characters: int) -> int:
        """Go on until at least so many characters are passed; tells the place."""
        self.seek(characters)
        if self.passed < characters:
            self._pass(self._next(), characters + 1)
        return self.at

    def _pass(self, piece: Decoded, most: int) -> bool:
        if not piece.length or self.passed + len(piece.text) > most:
            return False
        self.at += piece.length
        self.passed += len(piece.text)
        self.state = piece.state
        return True

    def _next(self) -> Decoded:
        ends = range(self.at + 1, min(self.at + 1 + _LONGEST_CHARACTER, len(self._data)) + 1)
        pieces = (read(self._data[self.at : end], self.state) for end in ends)
        return next((piece for piece in pieces if piece.length), Decoded("", 0, self.state))


def rebuild_state(file: BinaryIO, state: DecoderState, begin: int, end: int) -> DecoderState:
    """Tell the state at a place of a file, ``state`` being that at its ``begin``; all between them may be read."""
    if not state.remembers or begin == end:
        return state
    rest = b""
    file.seek(begin)
    for block in _blocks(file, end - begin):
        piece = read(rest + block, state)
        rest, state = (rest + block)[piece.length :], piece.state
        if not state.remembers:
            break
    return state


def _blocks(file: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
        yield block
        left -= len(block)
