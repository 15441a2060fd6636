"""Search with regular expressions; also the program of a subprocess for expressions that may not terminate.

Python's engine backtracks and cannot be interrupted: ``(a+)+$`` on thirty letters takes minutes. So untrusted
expressions run in a subprocess, which the system kills after a CPU limit.
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
    """Split a text into lines; a final line end does not start another line."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def compile_expression(text: str) -> re.Pattern[str]:
    """Compile a case-insensitive expression; raises ValueError with the reason."""
    try:
        expanded = _CLASS.sub(lambda found: _CLASSES.get(found[1], found[0]), text)
        return re.compile(expanded, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error


def matching_lines(expression: re.Pattern[str], text: str) -> list[int]:
    """Return the numbers, from 1, of the matching lines."""
    return [number for number, *_ in find_spans(expression, text)]


def find_spans(expression: re.Pattern[str], text: str, most: int = sys.maxsize) -> list[Span]:
    """Return the matching lines: number from 1, start of the line in the text, and both ends of its first match."""
    found: list[Span] = []
    lines, start = text.split("\n"), 0
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        if match := expression.search(line.removesuffix("\r")):
            found.append((number, start, match.start(), match.end()))
            if len(found) == most:
                break
        start += len(line) + 1
    return found


def find_words(words: str, text: str, most: int = sys.maxsize) -> list[Span]:
    """Find the lines that contain words, ignoring case, many times faster than line by line."""
    expression = re.compile(re.escape(words), re.IGNORECASE)
    found: list[Span] = []
    number, start, position = 1, 0, 0
    while position >= 0 and len(found) < most and (match := expression.search(text, position)):
        before, start = start, text.rfind("\n", 0, match.start()) + 1
        number += text.count("\n", before, start)
        found.append((number, start, match.start() - start, match.end() - start))
        position = text.find("\n", match.end())
    return found


def handle(request: dict[str, Any]) -> dict[str, object]:
    """Search each text of a request; returns the spans or the problem of the expression."""
    most = request.get("most", sys.maxsize)
    if request.get("words"):
        return {"spans": [find_words(request["words"], text, most) for text in request["texts"]]}
    try:
        expression = compile_expression(request["expression"])
    except ValueError as error:
        return {"problem": str(error)}
    return {"spans": [find_spans(expression, text, most) for text in request["texts"]]}


def main() -> None:
    """Handle requests, one per line, each with a limit of CPU seconds after which the system kills this process."""
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"])
        found = handle(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(found), flush=True)  # noqa: T201 - the response of this program


if __name__ == "__main__":
    main()
