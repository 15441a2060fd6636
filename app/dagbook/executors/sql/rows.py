"""Rows on stdout, a batch at a time: a JSON object on each line, a JSON list for each statement, or CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from dagbook.executors.subprocess_executor import write_stdout

JSONL, JSON, CSV = "jsonl", "json", "csv"
FORMATS = (JSONL, JSON, CSV)
BATCH = 200  # rows that are in memory at the same time
_NO_NUMBERS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
_SHOWN = re.compile(r"<\w+ (.*)>", re.DOTALL)  # how the driver shows ranges and bit strings
_QUOTED = re.compile(r'[",\r\n]')
_encoder = msgspec.json.Encoder(decimal_format="number")


class RowWriter:
    """Writes the rows of one statement after the other."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._names: list[str] = []
        self._before = ""  # what goes before the next row of a list
        self._results = 0

    def begin(self, names: Iterable[str]) -> None:
        """Begin the result of a statement; a name that several columns have gets a number, as members are unique."""
        self._names = []
        for name in names:
            number = 1
            while (unique := name if number == 1 else f"{name}_{number}") in self._names:
                number += 1
            self._names.append(unique)
        self._before = "["
        if self._form == CSV:
            write_stdout(("\n" if self._results else "") + _csv_line(self._names))
        self._results += 1

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        """Write rows."""
        write_stdout("".join(map(self._format, rows)))

    def end(self) -> None:
        """End the result of the statement."""
        if self._form == JSON:
            write_stdout("[]\n" if self._before == "[" else "]\n")

    def _format(self, row: Sequence[object]) -> str:
        values = [_plain(value) for value in row]
        if self._form == CSV:
            return _csv_line(values)
        text = _encoder.encode(dict(zip(self._names, values, strict=True))).decode()
        if self._form == JSONL:
            return f"{text}\n"
        before, self._before = self._before, ",\n"
        return before + text


def _plain(value: object) -> object:
    """Return what stands for a value in JSON."""
    if value is None or isinstance(value, bool | int | str | msgspec.Raw):
        return value
    if isinstance(value, float | Decimal) and math.isfinite(value):
        return value
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "items"):  # a row as the value of a column
        return {name: _plain(each) for name, each in value.items()}
    text = str(value)
    return _NO_NUMBERS.get(text) or _SHOWN.sub(r"\1", text)


def _csv_line(values: Iterable[object]) -> str:
    return ",".join(map(_csv_field, values)) + "\n"


def _csv_field(value: object) -> str:
    """Format a field: NULL is empty, an empty text is quoted."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else _encoder.encode(value).decode()
    return text if text and not _QUOTED.search(text) else '"' + text.replace('"', '""') + '"'
