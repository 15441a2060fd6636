"""Problems of a definition, worded so that its author can fix them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dagbook.spec.reading.rendering import quote_text

MAX_PROBLEMS = 1_000
LONGEST_SHOWN = 60


class Problem(msgspec.Struct, frozen=True):
    """One problem: the field, its line (from 1, 0 if unknown) and the fix in words."""

    path: str
    message: str
    line: int = 0
    column: int = 0
    dag: str = ""

    def __str__(self) -> str:
        """Render as ``[line:column] dag: path: message``, leaving out what is unknown."""
        where = f"[{self.line}:{self.column}] " if self.line else ""
        return where + ": ".join(part for part in (self.dag, self.path, self.message) if part)


class SpecError(Exception):
    """An invalid definition, with all its problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class ExpansionError(Exception):
    """A text cannot be evaluated: a command in it failed, or the result is too large."""


def quoted(text: str) -> str:
    """Quote a text from a document for a message."""
    return quote_text(shorten(text))


def shorten(text: str) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
