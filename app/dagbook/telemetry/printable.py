"""Texts of others without the characters that control a terminal or change the order of what is read."""

from __future__ import annotations

import re

# C0 (but for tab and line end), DEL and C1; line and paragraph separators; marks, embeddings and isolates of
# bidirectional text, which let a name or a log line look like another one.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_COLOURS = re.compile("\x1b\\[[0-9;:]*m")


def printable(text: str) -> str:
    r"""Escape such characters as ``\u001b``, so that JSON stays JSON; tabs and line ends stay."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def printable_output(text: str) -> str:
    """Make the output of a step printable: without its colours, and with the line ends of other systems as ours."""
    return printable(_COLOURS.sub("", text).replace("\r\n", "\n"))


def one_line(text: str, longest: int) -> str:
    """Return a text as one line without control characters, shortened."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
