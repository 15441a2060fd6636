"""Shell patterns as regular expressions, for ``${X%.txt}``, ``${X/a*/b}`` and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ELEMENT = re.compile(r"(?P<set>\[(?P<not>[!^])?(?P<members>\]?[^\]]*)\])|\\(?P<escaped>.)|.", re.DOTALL)
_SPECIAL_IN_SET = re.compile(r"([\\\[&~|])")


class Pattern:
    """A pattern, split at its stars; each element matches exactly one character."""

    def __init__(self, pieces: Iterable[tuple[str, bool]]) -> None:
        """Parse pieces of text, each with whether it is literal."""
        self._segments: list[list[str]] = [[]]
        for text, literal in pieces:
            for element in map(re.escape, text) if literal else _elements(text):
                self._add(element)

    def _add(self, element: str) -> None:
        if element != "*":
            self._segments[-1].append(element)
        elif len(self._segments) == 1 or self._segments[-1]:
            self._segments.append([])

    def longest(self) -> re.Pattern[str]:
        """Compile to a greedy expression."""
        return self._compile(".*")

    def shortest(self) -> re.Pattern[str]:
        """Compile to a lazy expression."""
        return self._compile(".*?")

    def reversed(self) -> Pattern:
        """Reverse the pattern, so that an end can be matched as a start."""
        turned = Pattern(())
        turned._segments = [segment[::-1] for segment in self._segments[::-1]]
        return turned

    def _compile(self, last_star: str) -> re.Pattern[str]:
        """Only the last star decides about the length; those before it match lazily and without backtracking."""
        first, *others = ("".join(segment) for segment in self._segments)
        middle = "".join(f"(?>.*?{segment})" for segment in others[:-1])
        end = f"{last_star}{others[-1]}" if others else ""
        try:
            return re.compile(first + middle + end, re.DOTALL)
        except re.error as error:
            raise ValueError("the pattern holds an impossible range") from error


def _elements(text: str) -> Iterable[str]:
    for found in _ELEMENT.finditer(text):
        if found["set"]:
            members = _SPECIAL_IN_SET.sub(r"\\\1", found["members"])
            yield f"[^{members}]" if found["not"] else f"[{members}]"
        elif found["escaped"]:
            yield re.escape(found["escaped"])
        else:
            yield {"*": "*", "?": "."}.get(found[0], re.escape(found[0]))
