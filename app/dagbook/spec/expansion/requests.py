"""What an evaluation asks of its driver, the work that it has done, and the values that it has inserted.

An evaluation is a generator: it yields requests, and is sent the answer to each. Its driver throws ``ExpansionError``
into it when a command fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TypeVar

import msgspec

from dagbook.spec.problem import ExpansionError

T = TypeVar("T")
# Without a limit a few parameters that reference each other could fill the server's memory.
MAX_CHARACTERS = 16 * 1024 * 1024
_LONG = 64 * 1024
_MOST = 64 * 1024 * 1024
_MARK = re.compile("\ud800([0-9]+)\ud801")


class Command(msgspec.Struct, frozen=True):
    """A command in backticks; the answer is its output."""

    text: str


class JqQuery(msgspec.Struct, frozen=True):
    """A jq program over a JSON text; the answer is its first result as text, or None."""

    text: str
    program: str


class LongWork(msgspec.Struct, frozen=True):
    """The evaluation will take long from here; the driver continues it outside the event loop."""


Request = Command | JqQuery | LongWork
Evaluation = Generator[Request, str | None, T]


class Work:
    """The work of one evaluation, of one text or of several, counted in characters that it reads or writes."""

    def __init__(self) -> None:
        self._done = self._expected = 0
        self._reported = False

    def add(self, characters: int) -> Evaluation[None]:
        """Count work that is about to be done; raises ExpansionError beyond the limit."""
        self.count(characters)
        yield from self.expect(characters)

    def expect(self, characters: int) -> Evaluation[None]:
        """Report work that may follow, and that is counted if it is done."""
        self._expected += characters
        if self._expected > _LONG and not self._reported:
            self._reported = True
            yield LongWork()

    def count(self, characters: int) -> None:
        """Count work that was expected; raises ExpansionError beyond the limit."""
        self._done += characters
        if self._done > _MOST:
            raise ExpansionError("a text takes too long to evaluate: too many references into long values")


class InsertedValues:
    """Values that stand in a text as marks, so that nothing in them is evaluated.

    A mark is a number between two characters that no valid text contains.
    """

    def __init__(self) -> None:
        self._values: list[str] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._values)

    def mark(self, value: str) -> str:
        """Return the mark for a value; raises ExpansionError when all of them together are too long."""
        self._size += len(value)
        refuse_beyond_measure(self._size)
        self._values.append(value)
        return f"\ud800{len(self._values) - 1}\ud801"

    def fill(self, text: str, escape: Callable[[str], str] | None = None) -> str:
        """Replace the marks in a text by their values, escaped if wanted."""
        if not self._values or "\ud800" not in text:
            return text

        def value_of(mark: re.Match[str]) -> str:
            number = int(mark[1])
            value = self._values[number] if number < len(self._values) else ""
            return escape(value) if escape else value

        filled = _MARK.sub(value_of, text)
        refuse_beyond_measure(len(filled))
        return filled


def refuse_beyond_measure(size: int) -> None:
    """Raise ExpansionError for a text that is too long."""
    if size > MAX_CHARACTERS:
        raise ExpansionError(f"the text grows beyond {MAX_CHARACTERS} characters")
