"""What commands print on standard output: tables that fit the terminal, sentences, or JSON."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from dagbook.cli.options import wants_json
from dagbook.cli.terminal import echo, echo_styled, style
from dagbook.telemetry.printable import printable

_GAP = "  "
_LEAST = 8  # characters that a shortened column keeps
_KEPT = frozenset({"DAG", "RUN", "NAME", "ID", "NUMBER", "STATUS"})  # shortened last: other commands take them
COLOURS = {
    "succeeded": "green",
    "partially succeeded": "yellow",
    "failed": "red",
    "aborted": "red",
    "running": "blue",
    "queued": "yellow",
    "skipped": "yellow",
}


def print_json(value: object) -> None:
    """Print a value as JSON: indented in a terminal, else in one line."""
    indent = 2 if sys.stdout.isatty() else None
    echo(json.dumps(value, indent=indent, ensure_ascii=False))


def report(text: str, value: object) -> None:
    """Print what a command has done: a sentence, or its value as JSON."""
    if wants_json():
        print_json(value)
    else:
        echo(text)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], value: object = None, empty: str = "") -> None:
    """Print rows in columns, or the value as JSON; in a terminal, wide columns are shortened.

    Without a value, JSON has one object for each row, with the heads as its keys. Without rows, ``empty`` is printed
    in place of the heads.
    """
    if wants_json():
        keys = [name.lower().replace(" ", "_") for name in head]
        print_json([dict(zip(keys, row, strict=True)) for row in rows] if value is None else value)
        return
    if empty and not rows:
        echo(empty)
        return
    lines = [list(head), *([printable(cell).replace("\n", "\\n") for cell in row] for row in rows)]
    widths = [max(map(text_width, column)) for column in zip(*lines, strict=True)]
    if sys.stdout.isatty():
        widths = fit(head, widths, shutil.get_terminal_size().columns)
    for number, line in enumerate(lines):
        while line and not line[-1]:
            line.pop()
        cells = [_pad(cell, width) for cell, width in zip(line, widths, strict=False)]
        if cells:
            cells[-1] = cells[-1].rstrip()
        colours = [COLOURS.get(cell) if number else None for cell in line]
        parts = [style(cell, fg=colour, bold=not number) for cell, colour in zip(cells, colours, strict=True)]
        echo_styled(_GAP.join(parts))


def fit(head: Sequence[str], widths: Sequence[int], columns: int) -> list[int]:
    """Return the widths of the columns of a table in a terminal; the widest is shortened first, names last."""
    fitting = list(widths)
    for is_kept in (False, True):
        chosen = [at for at, name in enumerate(head) if (name in _KEPT) is is_kept]
        while chosen and (excess := sum(fitting) + len(_GAP) * (len(fitting) - 1) - columns) > 0:
            at = max(chosen, key=lambda each: fitting[each])
            if fitting[at] <= _LEAST:
                break
            next_widest = max((fitting[each] for each in chosen if each != at), default=0)
            least = next_widest if next_widest < fitting[at] else fitting[at] - 1
            fitting[at] = max(_LEAST, least, fitting[at] - excess)
    return fitting


def text_width(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    return sum(_character_width(character) for character in text)


def _pad(text: str, width: int) -> str:
    """Fill a text with spaces up to a width, or end it with an ellipsis there."""
    missing = width - text_width(text)
    if missing >= 0:
        return text + " " * missing
    kept, taken = "", 0
    for character in text:
        if taken + _character_width(character) > width - 1:
            break
        kept, taken = kept + character, taken + _character_width(character)
    return f"{kept}…" + " " * (width - 1 - taken)


def _character_width(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def without_empty(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value, for JSON whose other members are left out."""
    return {name: value for name, value in fields.items() if value not in (None, "")}
