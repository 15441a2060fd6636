"""Masking of secret values in everything that a run shows or stores, in all their encodings (runtime 29). Pure.

A value is searched without the white space around it: unencoded, percent-encoded, escaped as in JSON or in shell
quotes, and at any offset inside base64. A value of less than four bytes is only searched unencoded, because its other
forms match in half of all texts. The search works on UTF-8 bytes, because not all output is text.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import heapify, heappop, heappush
from itertools import groupby, islice, product

import msgspec

MASK = b"*******"
Span = tuple[int, int]
_Match = tuple[int, int, int]  # start of a form, its rank, and its end
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


class MaskedPrefix(msgspec.Struct, frozen=True):
    """First part of some data: its original length, and its masked bytes."""

    length: int
    masked: bytes


class Matches(msgspec.Struct, frozen=True):
    """Spans of the values in some data, and the start of the first one that the next bytes may complete."""

    spans: list[Span]
    unfinished: int


class Masker:
    """Masker of the values of one run, free of cost without values. Safe for threads.

    ``of_server`` are values that the server masks in every run; they are not among the ``values`` of the run.
    """

    def __init__(self, values: Iterable[str] = (), of_server: Iterable[str] = ()) -> None:
        self.values: tuple[str, ...] = ()
        self.longest = 0  # most bytes of a value in any of its forms
        self._forms: list[EncodedForm] = []
        self._add_forms(form for value in of_server for form in _forms_of_server(value))
        self.add_secrets(values)

    def add_secrets(self, values: Iterable[str]) -> None:
        """Mask further values from now on."""
        new = [value for value in dict.fromkeys(values) if value not in self.values]
        if not new:
            return
        self.values += tuple(new)
        self._add_forms(form for value in new for form in encoded_forms(value))

    def _add_forms(self, new: Iterable[EncodedForm]) -> None:
        # Replaced as a whole, because other threads may be masking.
        self._forms = sorted({*self._forms, *new}, key=lambda form: (form.size, form.longest, form.units), reverse=True)
        self.longest = max((form.longest for form in self._forms), default=0)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def mask(self, text: str) -> str:
        """Replace every value in a text by asterisks."""
        if not self._forms:
            return text
        data = text.encode("utf-8", "surrogatepass")
        spans = self._find(data)
        return apply_mask(data, spans).decode("utf-8", "surrogatepass") if spans else text

    def mask_bytes(self, data: bytes) -> bytes:
        """Replace every value in some output by asterisks."""
        return apply_mask(data, self._find(data))

    def mask_end(self, data: bytes, most: int) -> bytes:
        """Return the last ``most`` bytes masked, without the rest of a value that starts before them.

        ``data`` has to start ``longest`` bytes before them, or at the start of the output.
        """
        begin = max(len(data) - most, 0)
        begin = next((end for start, end in self._find(data) if start < begin < end), begin)
        return self.mask_bytes(data[begin:])

    def mask_prefix(self, data: bytes, at: int, *, whole_lines: bool = True) -> MaskedPrefix:
        """Mask the part that can be masked without the next bytes: up to ``at``, or less.

        No value crosses the end of it. A possible start of a value is left out, with ``whole_lines`` its line too.
        """
        if not self._forms:
            return MaskedPrefix(at, data[:at])
        spans = self._find(data)
        boundary = min(at, self._find_unfinished(data, spans))
        if boundary < at and whole_lines:
            boundary = data.rfind(b"\n", 0, boundary) + 1
        boundary = next((start for start, end in spans if start < boundary < end), boundary)
        return MaskedPrefix(boundary, apply_mask(data[:boundary], [span for span in spans if span[1] <= boundary]))

    def find(self, data: bytes) -> Matches:
        """Find the values in some output; ``unfinished`` is its end if no value can be incomplete."""
        if not self._forms:
            return Matches([], len(data))
        spans = self._find(data)
        return Matches(spans, self._find_unfinished(data, spans))

    def _find(self, data: bytes) -> list[Span]:
        """Find the values from left to right; of those that start at the same byte the longest one."""
        # A search for a few fixed bytes is ten times as fast as one for a form.
        hits = [(rank, form) for rank, form in enumerate(self._forms) if any(anchor in data for anchor in form.anchors)]
        return list(_find_disjoint(data, dict(hits))) if hits else []

    def _find_unfinished(self, data: bytes, spans: list[Span]) -> int:
        """Return the start of the first value that the next bytes may complete; the end if there is none."""
        found = len(data)
        for form in self._forms:
            tail_start = max(len(data) - form.longest, 0)
            near = [span for span in spans if span[1] > tail_start]
            for match in form.heads.finditer(data, tail_start, found):
                at = match.start()
                end = form.find_end(data, at)
                if end is not None and end > len(data) and not any(start < at < stop for start, stop in near):
                    found = at
                    break
        return found


@lru_cache(maxsize=256)
def _forms_of_server(value: str) -> tuple[EncodedForm, ...]:
    return tuple(encoded_forms(value))


def _find_disjoint(data: bytes, forms: dict[int, EncodedForm]) -> Iterator[Span]:
    waiting = [found for rank, form in forms.items() if (found := _next(data, rank, form, 0))]
    heapify(waiting)
    done = 0
    while waiting:
        start, rank, end = heappop(waiting)
        if start >= done:
            yield start, end
            done = end
        if found := _next(data, rank, forms[rank], done):
            heappush(waiting, found)


def _next(data: bytes, rank: int, form: EncodedForm, at: int) -> _Match | None:
    while match := form.prefix.search(data, at):
        end = form.find_end(data, match.start())
        if end is not None and end <= len(data):
            return match.start(), rank, end
        at = match.start() + 1
    return None


def apply_mask(data: bytes, spans: Iterable[Span], mask: bytes = MASK) -> bytes:
    """Replace each span of the data by a mask."""
    parts, copied = [], 0
    for start, end in spans:
        parts += [data[copied:start], mask]
        copied = end
    return b"".join((*parts, data[copied:])) if parts else data


# -- encoded forms of a value -----------------------------------------------------------------------------------------


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
