"""Masking of secret values in everything that a run shows or stores, in all their encodings (runtime 29). Pure.

A value is searched without the white space around it: unencoded, percent-encoded, escaped as in JSON or in shell
quotes, and at any offset inside base64. A value of less than four bytes is only searched unencoded, because its other
forms match in half of all texts. The search works on UTF-8 bytes, because not all output is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import heapify, heappop, heappush

import msgspec

from dagbook.runs.secrets.secret_encodings import EncodedForm, encoded_forms

MASK = b"*******"
Span = tuple[int, int]
_Match = tuple[int, int, int]  # start of a form, its rank, and its end


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
