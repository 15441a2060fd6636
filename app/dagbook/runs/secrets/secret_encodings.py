"""The forms in which a value may turn up in what a run writes. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice, product

Unit = tuple[bytes, ...]  # the spellings of one piece of a value; none of them begins another one

_MIN_BYTES = 4  # of a value whose encoded forms are looked for
_LEAST_OF_LINE, _MOST_LINES = 8, 256  # of a value with several: which of them are looked for alone
_MAX_SEARCHED = 16  # bytes of the beginning of a form
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
    """One way to write a value: piece by piece, each in one of its spellings."""

    size: int  # bytes of the value itself
    longest: int  # bytes that the form may take up
    units: tuple[Unit, ...]
    anchors: Unit  # one of these is in every text that holds the form
    wraps: bool  # base64, which is often broken into lines

    @cached_property
    def heads(self) -> re.Pattern[bytes]:
        """Finds each byte that the form may begin with."""
        return re.compile(b"[" + re.escape(bytes({spelling[0] for spelling in self.units[0]})) + b"]")

    @cached_property
    def prefix(self) -> re.Pattern[bytes]:
        """Finds the first bytes of the form; whether the rest is there too is up to ``find_end``."""
        first = self.units[0]
        if len(first) == 1 and len(first[0]) >= _MAX_SEARCHED:
            return re.compile(re.escape(first[0][:_MAX_SEARCHED]))
        return re.compile(b"".join(map(_pattern, self.units[:2])))

    def find_end(self, data: bytes, at: int) -> int | None:
        """Return where the form that begins here ends, or a place behind the data when the rest is to come.

        None when it does not begin here. There is one way at most to read it.
        """
        torn = False
        for unit in self.units:
            torn = torn or (self.wraps and data[at : at + 1] in _LINE_ENDS and not _is_wrapped(data, at))
            left = len(data) - at
            fitting = next((spelling for spelling in unit if data.startswith(spelling[:left], at)), None)
            if fitting is None:
                return None
            at += len(fitting)
            if at > len(data):
                return None if torn else at
        return at


def encoded_forms(value: str) -> list[EncodedForm]:
    """Return all forms of a value; white space around it is no part of them, and is no secret alone."""
    value = value.strip()
    data = value.encode()
    if not data:
        return []
    if len(data) < _MIN_BYTES:
        return [_text_form(value, _raw)]
    forms = [_text_form(value, spell) for spell in (_raw, _percent, _json, _shell)]
    forms += [_text_form(text, _raw) for text in (*_unquoted(value), *_lines(value))]
    return [*dict.fromkeys(forms), *(_base64_form(data, offset) for offset in range(3))]


def _unquoted(value: str) -> Iterator[str]:
    """Give what a shell makes of a value that stands in a command's text: a param there loses its quotes."""
    bare = value.translate(_SHELL_QUOTES).strip()
    if bare != value and len(bare.encode()) >= _MIN_BYTES:
        yield bare


def _lines(value: str) -> list[str]:
    """Give the lines of a value with several, for programs that read or show it line by line; not the short ones."""
    lines = {line.strip() for line in value.splitlines()} - {value}
    long = sorted((line for line in lines if len(line.encode()) >= _LEAST_OF_LINE), key=len, reverse=True)
    return long[:_MOST_LINES]


def _form(size: int, units: tuple[Unit, ...], anchors: Unit, *, wraps: bool) -> EncodedForm:
    longest = sum(max(map(len, unit)) for unit in units)
    return EncodedForm(size=size, longest=longest, units=units, anchors=anchors, wraps=wraps)


def _pattern(unit: Unit) -> bytes:
    if len(unit) == 1:
        return re.escape(unit[0])
    return b"(?:" + b"|".join(map(re.escape, unit)) + b")"


def _is_wrapped(data: bytes, end: int) -> bool:
    """Whether a line that ends here looks like one of many of base64: any other is not kept waiting for the next."""
    return _WRAPPED.fullmatch(data, max(end - _WRAPPED_BYTES, 0), end) is not None


# -- as text ---------------------------------------------------------------------------------------------------------


def _text_form(value: str, spell: Callable[[str], Unit]) -> EncodedForm:
    units = tuple(_joined(map(spell, value)))
    anchors = max(units, key=lambda unit: min(map(len, unit)))
    return _form(len(value.encode()), units, anchors, wraps=False)


def _joined(units: Iterable[Unit]) -> Iterator[Unit]:
    """Put pieces together that have a single spelling."""
    for alone, group in groupby(units, key=lambda unit: len(unit) == 1):
        if alone:
            yield (b"".join(unit[0] for unit in group),)
        else:
            yield from group


def _unit(*spellings: str) -> Unit:
    return tuple(dict.fromkeys(spelling.encode() for spelling in spellings))


def _raw(character: str) -> Unit:
    """Spell a character as it is; lines are joined by spaces where a shell splits an unquoted variable."""
    return (b"\n", b"\r\n", b" ") if character == "\n" else _unit(character)


def _percent(character: str) -> Unit:
    """Spell a character for a URL: what encoders agree to leave alone, and what some do and others do not."""
    if character in _PERCENT_OWN:
        return _PERCENT_OWN[character]
    plain = character.isascii() and character.isprintable()
    if plain and (character.isalnum() or character in _PERCENT_NEVER):
        return _unit(character)
    upper = "".join(f"%{byte:02X}" for byte in character.encode())
    return _unit(*([character] if plain else []), upper, upper.lower())


def _json(character: str) -> Unit:
    """Spell a character in a JSON text: some escape what need not be, some everything that is not ASCII."""
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
    """Spell a character inside single quotes, as shells do that tell what they run."""
    return _unit("'\\''", "'\"'\"'") if character == "'" else _unit(character)


# -- inside base64 ---------------------------------------------------------------------------------------------------


def _base64_form(data: bytes, offset: int) -> EncodedForm:
    """Tell what a value looks like with so many bytes before it in its group of three; others may precede these."""
    begin, end = 8 * offset, 8 * (offset + len(data))
    first, last = begin // 6, (end - 1) // 6
    encoded = b64encode(bytes(offset) + data + bytes(2))[first : last + 1]
    characters = [_base64_unit(code) for code in encoded]
    # In the first and the last character some bits belong to what is before and behind the value.
    characters[0] = _base64_unit(encoded[0], unknown=begin - 6 * first, below=6 - (begin - 6 * first))
    characters[-1] = _base64_unit(encoded[-1], unknown=6 * (last + 1) - end)
    units = [_breakable(unit) if place % 4 == 0 else unit for place, unit in enumerate(characters, first)]
    units[0] = characters[0]
    return _form(len(data), tuple(_joined(units)), _base64_anchors(characters, first), wraps=True)


def _base64_unit(code: int, *, unknown: int = 0, below: int = 0) -> Unit:
    """Spell a character in both alphabets; ``unknown`` bits of it, above ``below`` others, may be anything."""
    known = _ALPHABET.index(code)
    letters = (chr(_ALPHABET[known | bits << below]) for bits in range(2**unknown))
    return tuple(bytes([spelling]) for letter in letters for spelling in _URL_SAFE.get(letter, letter.encode()))


def _breakable(unit: Unit) -> Unit:
    return tuple(line_break + spelling for line_break in (b"", b"\n", b"\r\n") for spelling in unit)


def _base64_anchors(characters: list[Unit], first: int) -> Unit:
    """Choose a group of four: lines are broken between groups only."""
    groups = (characters[max(begin - first, 0) : begin - first + 4] for begin in range(0, first + len(characters), 4))
    spelled = (tuple(map(b"".join, islice(product(*group), _MAX_ANCHORS + 1))) for group in islice(groups, _MAX_GROUPS))
    return max(
        (group for group in spelled if group and len(group) <= _MAX_ANCHORS),
        key=lambda group: (len(group[0]), -len(group)),
    )
