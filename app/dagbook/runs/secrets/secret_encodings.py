"""Encoded forms in which a secret value may appear in output. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice, product

Unit = tuple[bytes, ...]  # the spellings of one part of a value; none of them is a prefix of another

_MIN_BYTES = 4  # of a value whose encoded forms are searched
_MIN_LINE_BYTES, _MAX_LINES = 8, 256  # of the lines of a value that are searched on their own
_MAX_SEARCHED = 16  # bytes of the start of a form
_MAX_ANCHORS = 16
_MAX_GROUPS = 8
_WRAPPED_BYTES = 60  # lines of wrapped base64 have 64 or 76 characters
_WRAPPED = re.compile(rb"[A-Za-z0-9+/_-]{%d}" % _WRAPPED_BYTES)
_LINE_ENDS = (b"\n", b"\r")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = {"+": b"+-", "/": b"/_"}
_JSON_SHORT = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", '"': '"', "\\": "\\", "/": "/", "'": "'"}
_JSON_ALWAYS = '"\\'  # and what is below the space
_JSON_SOMETIMES = "/'<>&+`="
_SHELL_QUOTES = dict.fromkeys(map(ord, "\"'\\"))
_PERCENT_NEVER = "-._"
_PERCENT_OWN: dict[str, Unit] = {
    " ": (b"+", b"%20"),
    "%": (b"%25",),
    "\n": (b"%0A", b"%0a", b"%0D%0A", b"%0d%0a"),
}


@dataclass(frozen=True, kw_only=True)
class EncodedForm:
    """Encoded form of a value: a sequence of units, each in one of its spellings."""

    size: int  # bytes of the value itself
    longest: int  # most bytes of the form
    units: tuple[Unit, ...]
    anchors: Unit  # every text with the form contains one of these
    wraps: bool  # base64, which is often wrapped into lines

    @cached_property
    def heads(self) -> re.Pattern[bytes]:
        """Pattern of the bytes that the form may start with."""
        return re.compile(b"[" + re.escape(bytes({spelling[0] for spelling in self.units[0]})) + b"]")

    @cached_property
    def prefix(self) -> re.Pattern[bytes]:
        """Pattern of the first bytes of the form; ``find_end`` checks the rest."""
        first = self.units[0]
        if len(first) == 1 and len(first[0]) >= _MAX_SEARCHED:
            return re.compile(re.escape(first[0][:_MAX_SEARCHED]))
        alternatives = (b"|".join(map(re.escape, unit)) for unit in self.units[:2])
        return re.compile(b"".join(b"(?:%b)" % spellings for spellings in alternatives))

    def find_end(self, data: bytes, at: int) -> int | None:
        """Return the end of the form that starts at ``at``; an offset after the data if its rest may follow.

        None if it does not start there. There is at most one way to match it.
        """
        torn = False
        for unit in self.units:
            if not torn and self.wraps and data[at : at + 1] in _LINE_ENDS:
                # After a line that does not look like wrapped base64, output need not wait for the next.
                torn = _WRAPPED.fullmatch(data, max(at - _WRAPPED_BYTES, 0), at) is None
            left = len(data) - at
            fitting = next((spelling for spelling in unit if data.startswith(spelling[:left], at)), None)
            if fitting is None:
                return None
            at += len(fitting)
            if at > len(data):
                return None if torn else at
        return at


def encoded_forms(value: str) -> list[EncodedForm]:
    """Return all forms of a value without the white space around it; none for white space alone."""
    value = value.strip()
    data = value.encode()
    if not data:
        return []
    if len(data) < _MIN_BYTES:
        return [_text_form(value, _raw)]
    forms = [_text_form(value, spell) for spell in (_raw, _percent, _json, _shell)]
    # As a shell reads it in the text of a command, where a param loses its quotes.
    bare = value.translate(_SHELL_QUOTES).strip()
    if bare != value and len(bare.encode()) >= _MIN_BYTES:
        forms.append(_text_form(bare, _raw))
    # For programs that read or print a value with several lines line by line.
    lines = {line.strip() for line in value.splitlines()} - {value}
    long = sorted((line for line in lines if len(line.encode()) >= _MIN_LINE_BYTES), key=len, reverse=True)
    forms += [_text_form(line, _raw) for line in long[:_MAX_LINES]]
    return [*dict.fromkeys(forms), *(_base64_form(data, offset) for offset in range(3))]


def _form(size: int, units: tuple[Unit, ...], anchors: Unit, *, wraps: bool) -> EncodedForm:
    longest = sum(max(map(len, unit)) for unit in units)
    return EncodedForm(size=size, longest=longest, units=units, anchors=anchors, wraps=wraps)


# -- as text ---------------------------------------------------------------------------------------------------------


def _text_form(value: str, spell: Callable[[str], Unit]) -> EncodedForm:
    units = tuple(_joined(map(spell, value)))
    anchors = max(units, key=lambda unit: min(map(len, unit)))
    return _form(len(value.encode()), units, anchors, wraps=False)


def _joined(units: Iterable[Unit]) -> Iterator[Unit]:
    """Join consecutive units that have a single spelling."""
    for is_single, group in groupby(units, key=lambda unit: len(unit) == 1):
        if is_single:
            yield (b"".join(unit[0] for unit in group),)
        else:
            yield from group


def _unit(*spellings: str) -> Unit:
    return tuple(dict.fromkeys(spelling.encode() for spelling in spellings))


def _raw(character: str) -> Unit:
    """Spell a character unencoded; a shell that splits an unquoted variable joins its lines with spaces."""
    return (b"\n", b"\r\n", b" ") if character == "\n" else _unit(character)


def _percent(character: str) -> Unit:
    """Spell a character in a URL: some are never encoded, others by some encoders only."""
    if character in _PERCENT_OWN:
        return _PERCENT_OWN[character]
    plain = character.isascii() and character.isprintable()
    if plain and (character.isalnum() or character in _PERCENT_NEVER):
        return _unit(character)
    upper = "".join(f"%{byte:02X}" for byte in character.encode())
    return _unit(*([character] if plain else []), upper, upper.lower())


def _json(character: str) -> Unit:
    """Spell a character in JSON: some encoders escape more than necessary, some everything outside of ASCII."""
    if character.isascii() and character.isalnum():
        return _unit(character)
    code = character.encode("utf-16-be").hex(" ", 2).split()
    escaped = ["".join(f"\\u{unit}" for unit in code), "".join(f"\\u{unit.upper()}" for unit in code)]
    short = [f"\\{_JSON_SHORT[character]}"] if character in _JSON_SHORT else []
    if character in _JSON_ALWAYS or character < " ":
        return _unit(*short, *escaped)
    if character in _JSON_SOMETIMES or not character.isascii():
        return _unit(character, *short, *escaped)
    return _unit(character)


def _shell(character: str) -> Unit:
    """Spell a character inside single quotes, as shells print commands that they trace."""
    return _unit("'\\''", "'\"'\"'") if character == "'" else _unit(character)


# -- inside base64 ---------------------------------------------------------------------------------------------------


def _base64_form(data: bytes, offset: int) -> EncodedForm:
    """Make the base64 form of a value that follows ``offset`` bytes in its group of three; more may precede these."""
    begin, end = 8 * offset, 8 * (offset + len(data))
    first, last = begin // 6, (end - 1) // 6
    encoded = b64encode(bytes(offset) + data + bytes(2))[first : last + 1]
    characters = [_base64_unit(code) for code in encoded]
    # In the first and the last character some bits belong to the bytes before and after the value.
    characters[0] = _base64_unit(encoded[0], unknown=begin - 6 * first, below=6 - (begin - 6 * first))
    characters[-1] = _base64_unit(encoded[-1], unknown=6 * (last + 1) - end)
    units = list(characters)
    for number in range(1, len(units)):
        if (first + number) % 4 == 0:  # lines are only wrapped between groups
            breaks = (b"", b"\n", b"\r\n")
            units[number] = tuple(line_break + spelling for line_break in breaks for spelling in units[number])
    return _form(len(data), tuple(_joined(units)), _base64_anchors(characters, first), wraps=True)


def _base64_unit(code: int, *, unknown: int = 0, below: int = 0) -> Unit:
    """Spell a character in both alphabets; ``unknown`` bits of it, above ``below`` others, may be anything."""
    known = _ALPHABET.index(code)
    letters = (chr(_ALPHABET[known | bits << below]) for bits in range(2**unknown))
    return tuple(bytes([spelling]) for letter in letters for spelling in _URL_SAFE.get(letter, letter.encode()))


def _base64_anchors(characters: list[Unit], first: int) -> Unit:
    """Choose a group of four characters as anchor, because lines are only wrapped between groups."""
    groups = (characters[max(begin - first, 0) : begin - first + 4] for begin in range(0, first + len(characters), 4))
    spelled = (tuple(map(b"".join, islice(product(*group), _MAX_ANCHORS + 1))) for group in islice(groups, _MAX_GROUPS))
    return max(
        (group for group in spelled if group and len(group) <= _MAX_ANCHORS),
        key=lambda group: (len(group[0]), -len(group)),
    )
