"""Hides secret values in all that a run shows or stores, however they are written there (runtime 29). Pure.

A value is looked for without the white space around it: as it is, percent-encoded, escaped as in JSON or in shell
quotes, and inside base64, whatever stands before and behind it there. One of less than four bytes is only looked for
as it is: its other forms are in half of all texts. All is done on UTF-8 bytes, for not all that steps write is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

import msgspec

from dagbook.runs.secrets.secret_encodings import EncodedForm, encoded_forms

MASK = b"*******"
Span = tuple[int, int]
_Match = tuple[int, int, int]  # where a form begins, its rank, and where it ends


class MaskedPrefix(msgspec.Struct, frozen=True):
    """The first part of some data: its length, and what is to be shown of it."""

    length: int
    shown: bytes


class Matches(msgspec.Struct, frozen=True):
    """Where values are in some data, and where the first one begins that the next bytes may complete."""

    places: list[Span]
    unfinished: int


class Masker:
    """Masks the values of one run; one without values costs nothing. Threads may share it."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values: tuple[str, ...] = ()
        self.longest = 0  # bytes that a value may take up
        self._forms: list[EncodedForm] = []
        self.add_secrets(values)

    def add_secrets(self, values: Iterable[str]) -> None:
        """Mask these values too from now on."""
        new = [value for value in dict.fromkeys(values) if value not in self.values]
        if not new:
            return
        forms = {*self._forms, *(form for value in new for form in encoded_forms(value))}
        self.values += tuple(new)
        # Replaced in one piece: others mask meanwhile.
        self._forms = sorted(forms, key=lambda form: (form.size, form.longest, form.units), reverse=True)
        self.longest = max((form.longest for form in self._forms), default=0)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def mask(self, text: str) -> str:
        """Put asterisks in place of every value in a text."""
        if not self._forms:
            return text
        data = text.encode("utf-8", "surrogatepass")
        places = self._find(data)
        return apply_mask(data, places).decode("utf-8", "surrogatepass") if places else text

    def mask_bytes(self, data: bytes) -> bytes:
        """Put asterisks in place of every value in a piece of output."""
        return apply_mask(data, self._find(data))

    def mask_end(self, data: bytes, most: int) -> bytes:
        """Mask the last ``most`` bytes; of a value that only reaches into them nothing is left.

        ``data`` has to begin ``longest`` bytes before them, or where the whole begins.
        """
        begin = max(len(data) - most, 0)
        begin = next((end for start, end in self._find(data) if start < begin < end), begin)
        return self.mask_bytes(data[begin:])

    def mask_prefix(self, data: bytes, at: int, *, whole_lines: bool = True) -> MaskedPrefix:
        """Mask what can be masked without the bytes that follow: up to ``at``, or less.

        No value reaches over the border. What may be the beginning of one stays behind, and its line with it.
        """
        if not self._forms:
            return MaskedPrefix(at, data[:at])
        places = self._find(data)
        border = min(at, self._find_unfinished(data, places))
        if border < at and whole_lines:
            border = data.rfind(b"\n", 0, border) + 1
        border = next((start for start, end in places if start < border < end), border)
        return MaskedPrefix(border, apply_mask(data[:border], [place for place in places if place[1] <= border]))

    def find(self, data: bytes) -> Matches:
        """Find the values in a piece of output; when nothing may be unfinished, its end stands for that."""
        if not self._forms:
            return Matches([], len(data))
        places = self._find(data)
        return Matches(places, self._find_unfinished(data, places))

    def _find(self, data: bytes) -> list[Span]:
        """Find the values from left to right; of those that begin at the same byte the longest counts."""
        # A look for a few fixed bytes is ten times as fast as one for a form.
        hits = [(rank, form) for rank, form in enumerate(self._forms) if any(anchor in data for anchor in form.anchors)]
        return list(_find_disjoint(data, dict(hits))) if hits else []

    def _find_unfinished(self, data: bytes, places: list[Span]) -> int:
        """Return where the first value begins that the next bytes may complete; the end when there is none."""
        found = len(data)
        for form in self._forms:
            behind = max(len(data) - form.longest, 0)
            near = [place for place in places if place[1] > behind]
            for match in form.heads.finditer(data, behind, found):
                at = match.start()
                end = form.find_end(data, at)
                if end is not None and end > len(data) and not any(start < at < stop for start, stop in near):
                    found = at
                    break
        return found


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


def apply_mask(data: bytes, places: Iterable[Span], mask: bytes = MASK) -> bytes:
    """Put a mask over each of these places."""
    pieces, shown = [], 0
    for start, end in places:
        pieces += [data[shown:start], mask]
        shown = end
    return b"".join((*pieces, data[shown:])) if pieces else data
