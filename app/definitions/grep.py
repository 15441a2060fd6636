"""Lines that match an expression. Its own program too, for expressions that may take for ever.

Python's engine tries again and again where others do not, and cannot be interrupted: ``(a+)+$`` on thirty letters
takes minutes. So expressions of strangers are tried in a process of their own, which the system ends.
"""

from __future__ import annotations

import json
import re
import signal
import sys

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
    return [number for number, line in enumerate(split_lines(text), 1) if expression.search(line)]


def main() -> None:
    """Answer a request on stdin: within so many seconds of computing, or the system ends this process."""
    request = json.load(sys.stdin)
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])
    try:
        expression = compile_expression(request["expression"])
    except ValueError as error:
        answer: dict[str, object] = {"problem": str(error)}
    else:
        answer = {"lines": [hits(expression, text) for text in request["texts"]]}
    signal.setitimer(signal.ITIMER_PROF, 0)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
