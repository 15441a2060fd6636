"""The one place where commands print: no name, message or error of others can control the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from dagbook.telemetry.printable import printable, printable_output


def echo(text: object = "", *, err: bool = False, nl: bool = True, fg: str | None = None, bold: bool = False) -> None:
    """Print a text with its control characters escaped."""
    click.echo(style(str(text), fg=fg, bold=bold), err=err, nl=nl)


def program() -> list[str]:
    """Return the words that start this program from any directory, also where ``dagbook`` is not found by its name."""
    script = Path(sys.argv[0]).absolute()
    return [str(script)] if script.name == "dagbook" else [sys.executable, "-P", "-m", "dagbook"]


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
