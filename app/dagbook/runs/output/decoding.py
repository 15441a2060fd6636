"""Incremental decoding of output that is not in UTF-8, with byte offsets. Pure but for ``rebuild_state``."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

import msgspec

UTF_8 = "utf-8"
_LONGEST_CHARACTER = 16  # bytes, including a sequence before it that switches between character sets
_ESCAPING = "iso2022"
_SHIFTING = (_ESCAPING, "hz")
# An escape that selects no character set, such as a colour: after it Python's decoders miss the next one that does.
_OTHER_ESCAPE = re.compile(rb"\x1b(?=[^$(&.N])")
_SUBSTITUTES = b"\x1a\x1c\x1d\x1e\x1f\x05\x06"  # one of them replaces the escape byte during decoding
_BLOCK_BYTES = 64 * 1024
# Without a byte order mark: little endian, as nearly all machines and Windows write.
_MARKS = {
    "utf-8-sig": {codecs.BOM_UTF8: UTF_8, b"": UTF_8},
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", b"": "utf-16-le"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be", b"": "utf-32-le"},
}


class DecoderState(msgspec.Struct, frozen=True):
    """State of a decoder at an offset: the codec, and the character set it has switched to."""

    codec: str
    shift: int | None = None  # the state of Python's decoder; None at the start

    @property
    def shifts(self) -> bool:
        """Whether the meaning of bytes depends on earlier shift sequences."""
        return self.codec.startswith(_SHIFTING)

    @property
    def remembers(self) -> bool:
        """Whether decoding depends on bytes before the current character."""
        return self.codec in _MARKS or self.shifts


class Decoded(msgspec.Struct, frozen=True):
    """Complete characters at the start of some data: their text, their length in bytes, and the state after them."""

    text: str
    length: int
    state: DecoderState


def read(data: bytes, state: DecoderState, *, final: bool = False) -> Decoded:
    """Decode the complete characters at the start of some data; with ``final`` all of it."""
    if state.codec in _MARKS:
        return _read_from_mark(data, state, final=final)
    if state.codec.startswith(_ESCAPING) and _OTHER_ESCAPE.search(data):
        substitute = next((byte for byte in _SUBSTITUTES if byte not in data), _SUBSTITUTES[0])
        decoded = _decode(_OTHER_ESCAPE.sub(bytes([substitute]), data), state, final=final)
        return Decoded(decoded.text.replace(chr(substitute), "\x1b"), decoded.length, decoded.state)
    return _decode(data, state, final=final)


def _decode(data: bytes, state: DecoderState, *, final: bool) -> Decoded:
    decoder = _decoder(state)
    try:
        text = decoder.decode(data, final)
    except UnicodeError:  # an incomplete escape sequence is longer than Python's decoders can buffer
        begin = data.find(b"\x1b", max(len(data) - _LONGEST_CHARACTER, 0))
        data, decoder = data[: max(begin, 0)], _decoder(state)
        text = decoder.decode(data)
    pending, shift = decoder.getstate()
    return Decoded(text, len(data) - len(pending), DecoderState(state.codec, int(shift)))


def _decoder(state: DecoderState) -> codecs.IncrementalDecoder:
    decoder = codecs.getincrementaldecoder(state.codec)("replace")
    if state.shift is not None:  # a decoder can crash on any state that it did not return itself, even 0
        decoder.setstate((b"", state.shift))
    return decoder


def _read_from_mark(data: bytes, state: DecoderState, *, final: bool) -> Decoded:
    marks = _MARKS[state.codec]
    if not final and any(mark.startswith(data) for mark in marks if len(mark) > len(data)):
        return Decoded("", 0, state)
    mark = max(filter(data.startswith, marks), key=len)
    decoded = read(data[len(mark) :], DecoderState(marks[mark]), final=final)
    return Decoded(decoded.text, len(mark) + decoded.length, decoded.state)


class CharCursor:
    """Cursor that moves over encoded output in complete characters."""

    def __init__(self, data: bytes, state: DecoderState, at: int = 0) -> None:
        self.at = at
        self.state = state
        self.passed = 0
        self._data = data

    def seek(self, characters: int) -> int:
        """Advance to ``characters`` in total, or to fewer if some are inseparable; returns the byte offset."""
        while (left := characters - self.passed) > _LONGEST_CHARACTER:
            # A character takes at least one byte, so that this never reads too many.
            if not self._pass(read(self._data[self.at : self.at + left], self.state), characters):
                break
        while self.passed < characters and self._pass(self._next(), characters):
            pass
        return self.at

    def skip_past(self, characters: int) -> int:
        """Advance to at least ``characters`` in total; returns the byte offset."""
        self.seek(characters)
        if self.passed < characters:
            self._pass(self._next(), characters + 1)
        return self.at

    def _pass(self, decoded: Decoded, most: int) -> bool:
        if not decoded.length or self.passed + len(decoded.text) > most:
            return False
        self.at += decoded.length
        self.passed += len(decoded.text)
        self.state = decoded.state
        return True

    def _next(self) -> Decoded:
        ends = range(self.at + 1, min(self.at + 1 + _LONGEST_CHARACTER, len(self._data)) + 1)
        candidates = (read(self._data[self.at : end], self.state) for end in ends)
        return next((decoded for decoded in candidates if decoded.length), Decoded("", 0, self.state))


def rebuild_state(file: BinaryIO, state: DecoderState, begin: int, end: int) -> DecoderState:
    """Return the decoder state at offset ``end`` of a file from that at ``begin``; may read the bytes between."""
    if not state.remembers or begin == end:
        return state
    rest = b""
    file.seek(begin)
    left = end - begin
    while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
        left -= len(block)
        decoded = read(rest + block, state)
        rest, state = (rest + block)[decoded.length :], decoded.state
        if not state.remembers:
            break
    return state
