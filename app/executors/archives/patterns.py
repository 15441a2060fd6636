"""Patterns for paths inside archives: ``*`` stays within a folder, ``**`` stands for any number of folders."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PIECE = re.compile(
    r"""(?P<folders>(?:^|(?<=[/{,]))\*\*/)
      | (?P<below>/\*\*(?=$|[,}]))
      | (?P<everything>^\*\*$)
      | (?P<set>\[(?P<not>[!^])?(?P<members>(?:\\.|[^\]\\])+)\])
      | \\(?P<escaped>.)
      | (?P<star>\*+)
      | .""",
    re.DOTALL | re.VERBOSE,
)
_SPECIAL_IN_SET = re.compile(r"\\.|[\[&~|]", re.DOTALL)
_PLAIN = {"?": "[^/]"}


class Filter:
    """Which entries are meant: those that match an ``include``, or all when there is none, and no ``exclude``."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        """Compile the patterns; raises ValueError for one that is not well-formed."""
        self._include = [compile_pattern(text) for text in include]
        self._exclude = [compile_pattern(text) for text in exclude]

    def matches(self, path: str) -> bool:
        """Whether an entry of this path is meant."""
        if any(pattern.fullmatch(path) for pattern in self._exclude):
            return False
        return not self._include or any(pattern.fullmatch(path) for pattern in self._include)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Turn a pattern into a regular expression for a whole path; raises ValueError."""
    pieces: list[str] = []
    depth = 0
    for found in _PIECE.finditer(text):
        piece = found[0]
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if piece == "[" or depth < 0:
            raise ValueError(f"the pattern {text!r} has a bracket without its other half")
        pieces.append(_translate(found, in_braces=depth > 0))
    if depth:
        raise ValueError(f"the pattern {text!r} has a bracket without its other half")
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        raise ValueError(f"the pattern {text!r} is not well-formed: {error}") from None


def _translate(found: re.Match[str], *, in_braces: bool) -> str:
    if found["set"]:
        members = _SPECIAL_IN_SET.sub(lambda special: re.escape(special[0][-1]), found["members"])
        return f"[^/{members}]" if found["not"] else f"[{members}]"
    if found["escaped"]:
        return re.escape(found["escaped"])
    kinds = {"folders": "(?:.*/)?", "below": "(?:/.*)?", "everything": ".*", "star": "[^/]*"}
    for kind, expression in kinds.items():
        if found[kind]:
            return expression
    braces = {"{": "(?:", "}": ")", **({",": "|"} if in_braces else {})}
    return braces.get(found[0]) or _PLAIN.get(found[0]) or re.escape(found[0])
