"""The one place where commands print: sentences, tables that fit the terminal, JSON, and output of steps.

No name, message or error of others can control the terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence

import click
import msgspec

from dagbook.telemetry.printable import printable, printable_output

_JSON = "dagbook.json"
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
    "waiting for approval": "yellow",
    "skipped": "yellow",
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_UNIT = 1024


def echo(text: object = "", *, err: bool = False, nl: bool = True, fg: str | None = None, bold: bool = False) -> None:
    """Print a text with its control characters escaped."""
    click.echo(style(str(text), fg=fg, bold=bold), err=err, nl=nl)


def notice(text: str) -> None:
    """Print a notice on stderr; ``--quiet`` silences it."""
    echo(f"Notice: {text}", err=True)


def style(text: str, *, fg: str | None = None, bold: bool = False) -> str:
    """Escape a text and add colours to it, for ``echo_styled``, unless NO_COLOR is set or the terminal has none."""
    safe = printable(text)
    has_colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return click.style(safe, fg=fg, bold=bold or None) if (fg or bold) and has_colours else safe


def echo_styled(*parts: str, err: bool = False, nl: bool = True) -> None:
    """Print parts that ``style`` has made."""
    click.echo("".join(parts), err=err, nl=nl)


def show_progress(text: str = "", *, is_last: bool = False) -> None:
    """Replace the line of progress on stderr if that is a terminal; an empty text removes it."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{printable(text)}", err=True, nl=is_last)


def echo_output(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print the output of a step or the text of a definition: unchanged, except in a terminal."""
    stream = sys.stderr if err else sys.stdout
    click.echo(printable_output(text) if stream.isatty() else text, err=err, nl=nl, color=True)  # click keeps colours


def echo_bytes(content: bytes) -> None:
    """Print bytes as they are; on a terminal, which they could control, as text with escaped control characters."""
    if sys.stdout.isatty():
        echo_output(content.decode(errors="replace"), nl=False)
    else:
        click.echo(content, nl=False)


def wants_json() -> bool:
    """Whether the command that is running prints JSON instead of text."""
    return bool(click.get_current_context().meta.get(_JSON))


def request_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Record the option ``--json``."""
    if value:
        context.meta[_JSON] = True


def print_json(value: object) -> None:
    """Print a value, which may contain schemas of the API, as JSON: indented in a terminal, else in one line."""
    indent = 2 if sys.stdout.isatty() else None
    echo(json.dumps(msgspec.to_builtins(value), indent=indent, ensure_ascii=False))


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


def format_bytes(size: float) -> str:
    """Format a size in binary units, for example 1.5 MiB."""
    unit = 0
    while size >= _UNIT and unit < len(_UNITS) - 1:
        size, unit = size / _UNIT, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: ``1 run``, ``2 runs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_duration(seconds: float | None) -> str:
    """Format a duration as the web UI does: 504 ms, 2.4 s, 12 s, 8 m 32 s, 1 h 04 m, 3 d 04 h; a dash without one."""
    if seconds is None:
        return "-"
    millis, tenths, whole = (int(seconds * part + 0.5) for part in (1000, 10, 1))
    hours, minutes = divmod(whole // 60, 60)
    if millis < 1000:  # noqa: PLR2004 - these are units
        return f"{max(millis, 0)} ms"
    if tenths < 100:  # noqa: PLR2004
        return f"{tenths / 10:.1f} s"
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    if hours == 0:
        return f"{minutes} m {whole % 60:02} s"
    return f"{hours} h {minutes:02} m" if hours < 24 else f"{hours // 24} d {hours % 24:02} h"  # noqa: PLR2004


def first_line(text: str) -> str:
    """Return the first line of a message; the others are details."""
    return text.strip().partition("\n")[0]


def words(label: str) -> str:
    """Return a status label of the API in words."""
    return label.replace("_", " ")
