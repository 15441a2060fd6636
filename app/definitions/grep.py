"""Lines that match an expression. Its own program too, for expressions that may take for ever.

Python's engine tries again and again where others do not, and cannot be interrupted: ``(a+)+$`` on thirty letters
takes minutes. So expressions of strangers are tried in a process of their own, which the system ends.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import Any

Span = tuple[int, int, int, int]

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": r"0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_CLASS = re.compile(r"\[:([a-z]+):\]")


def split_lines(text: str) -> list[str]:
    """Split a text as people count lines: a last line end begins no line."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def compile_expression(text: str) -> re.Pattern[str]:
    """Compile an expression that minds no case; raises ValueError saying what is wrong with it."""
    try:
        return re.compile(_CLASS.sub(_members, text), re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _members(found: re.Match[str]) -> str:
    return _CLASSES.get(found[1], found[0])


def hits(expression: re.Pattern[str], text: str) -> list[int]:
    """Tell the numbers, from 1, of the lines that match."""
    return [number for number, *_ in find_spans(expression, text)]


def find_spans(expression: re.Pattern[str], text: str, most: int = sys.maxsize) -> list[Span]:
    """Find the lines that match: number from 1, where the line begins in the text, and of its first match both ends."""
    found: list[Span] = []
    lines, begin = text.split("\n"), 0
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        if match := expression.search(line.removesuffix("\r")):
            found.append((number, begin, match.start(), match.end()))
            if len(found) == most:
                break
        begin += len(line) + 1
    return found


def find_words(words: str, text: str, most: int = sys.maxsize) -> list[Span]:
    """Find the lines that hold words without a line end, whatever their case, many times faster than line by line."""
    expression = re.compile(re.escape(words), re.IGNORECASE)
    found: list[Span] = []
    number, begin, place = 1, 0, 0
    while place >= 0 and len(found) < most and (match := expression.search(text, place)):
        before, begin = begin, text.rfind("\n", 0, match.start()) + 1
        number += text.count("\n", before, begin)
        found.append((number, begin, match.start() - begin, match.end() - begin))
        place = text.find("\n", match.end())
    return found


def answer(request: dict[str, Any]) -> dict[str, object]:
    """Find what a request wants in each of its texts."""
    most = request.get("most", sys.maxsize)
    if request.get("words"):
        return {"spans": [find_words(request["words"], text, most) for text in request["texts"]]}
    try:
        expression = compile_expression(request["expression"])
    except ValueError as error:
        return {"problem": str(error)}
    return {"spans": [find_spans(expression, text, most) for text in request["texts"]]}


def main() -> None:
    """Answer requests, one a line: each within so many seconds of computing, or the system ends this process."""
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"])
        found = answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(found), flush=True)  # noqa: T201 - it is what this program is for


if __name__ == "__main__":
    main()
