"""Patterns of shells, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dagbook.spec import expressions
from dagbook.spec.problem import ExpansionError

_ELEMENT = re.compile(r"(?P<set>\[(?P<not>[!^])?(?P<members>\]?[^\]]*)\])|\\(?P<escaped>.)|.", re.DOTALL)
_SPECIAL_IN_SET = re.compile(r"([\\\[&~|])")
_ESCAPES = {character: f"\\{character}" for character in r"\.+*?()|[]{}^$"}
_MAX_LITERAL = 1_000_000
_MAX_FOUND = 1_000_000


class Pattern:
    """A pattern of a shell, split at its stars; each element matches exactly one character."""

    def __init__(self, pieces: Iterable[tuple[str, bool]]) -> None:
        """Parse pieces of text, each with whether it is literal."""
        self._segments: list[list[str]] = [[]]
        for text, literal in pieces:
            for element in map(_escape, text) if literal else _elements(text):
                if element != "*":
                    self._segments[-1].append(element)
                elif len(self._segments) == 1 or self._segments[-1]:
                    self._segments.append([])

    def longest(self) -> Matcher:
        """Compile to a matcher of as much as possible."""
        return self._compile(".*")

    def shortest(self) -> Matcher:
        """Compile to a matcher of as little as possible."""
        return self._compile(".*?")

    def reversed(self) -> Pattern:
        """Reverse the pattern, so that an end can be matched as a start."""
        turned = Pattern(())
        turned._segments = [segment[::-1] for segment in self._segments[::-1]]
        return turned

    def _compile(self, last_star: str) -> Matcher:
        """Only the last star decides about the length; those before it match as little as possible."""
        first, *others = ("".join(segment) for segment in self._segments)
        middle = "".join(f".*?{segment}" for segment in others[:-1])
        end = f"{last_star}{others[-1]}" if others else ""
        is_literal = not others and not any(element == "." or element[0] == "[" for element in self._segments[0])
        return Matcher(first + middle + end, is_literal=is_literal)


class Matcher:
    """A compiled pattern. Raises ExpansionError for one that is too large, also for a value, ValueError if invalid."""

    def __init__(self, expression: str, *, is_literal: bool) -> None:
        self._single: dict[str, bool] = {}
        self._size = 0
        if is_literal:
            _refuse_if(len(expression) > _MAX_LITERAL)
            self._compiled = re.compile(expression)  # takes linear time, and may be long
            return
        try:
            compiled = expressions.Expression(expression, dot_nl=True)
        except expressions.TooLargeError as error:
            raise ExpansionError(f"the pattern {error}") from error
        self._compiled, self._size = compiled.compiled, compiled.size

    def match(self, value: str) -> re.Match[str] | None:
        """Match at the start of a value."""
        return self._compiled.match(self._searched(value))

    def fullmatch(self, character: str) -> bool:
        """Whether it matches a character; asked for every one of a value."""
        known = self._single.get(character)
        if known is None:
            known = self._single[character] = self._compiled.fullmatch(_without_surrogates(character)) is not None
        return known

    def finditer(self, value: str) -> Iterator[re.Match[str]]:
        """Find all matches in a value, from left to right."""
        for number, match in enumerate(self._compiled.finditer(self._searched(value))):
            _refuse_if(number >= _MAX_FOUND)
            yield match

    def _searched(self, value: str) -> str:
        _refuse_if(len(value) * self._size > expressions.MAX_WORK)
        return _without_surrogates(value)


def _refuse_if(is_too_large: bool) -> None:
    if is_too_large:
        raise ExpansionError("the pattern is too large for its value")


def _without_surrogates(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _elements(text: str) -> Iterable[str]:
    for found in _ELEMENT.finditer(text):
        if found["set"]:
            members = _SPECIAL_IN_SET.sub(r"\\\1", found["members"])
            yield f"[^{members}]" if found["not"] else f"[{members}]"
        elif found["escaped"]:
            yield _escape(found["escaped"])
        else:
            yield {"*": "*", "?": "."}.get(found[0]) or _escape(found[0])


def _escape(character: str) -> str:
    return _ESCAPES.get(character, character)
