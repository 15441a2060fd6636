"""JSON paths in references: a jq expression on the JSON value of the variable (DAG format 5.7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jq  # type: ignore[import-not-found, unused-ignore]  # a compiled module without type information

from dagbook.spec.reading.rendering import parse_json, render_json

# jq would expose the environment of the server, credentials included, and write to its error stream.
_SAFE = "def env: {}; def modulemeta: empty; def debug: .; def debug(f): .; def stderr: .; {} as $ENV | first("
_PLAIN = re.compile(r"(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[-?[0-9]{1,9}\])*|\.(?:\[-?[0-9]{1,9}\])+)+")
_PLAIN_PART = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)")


def read(text: str, expression: str) -> str | None:
    """Return the first result as text; None if the text is no JSON, or the expression fails or yields nothing."""
    try:
        value = parse_json(text)
        if _PLAIN.fullmatch(expression):
            return render_json(_follow(value, expression))
        program = _compile(expression)
        results = program(text) if program else []
        return render_json(results[0]) if results else None
    except ValueError:
        return None


def _follow(value: Any, path: str) -> Any:
    """Follow a path of names and numbers, which needs no jq and keeps long integers exact."""
    for name, number in _PLAIN_PART.findall(path):
        if value is None:
            continue
        if name and isinstance(value, dict):
            value = value.get(name)
        elif number and isinstance(value, list):
            position = int(number)
            value = value[position] if -len(value) <= position < len(value) else None
        else:
            raise ValueError(f"{path} does not fit the value")
    return value


@lru_cache(maxsize=512)
def _compile(expression: str) -> Callable[[str], list[Any]] | None:
    """Compile an expression, None if it is invalid; compiling takes a thousand times longer than running."""
    try:
        program = jq.compile(f"{_SAFE}{expression}\n)")
    except ValueError:
        return None
    return lambda text: list(program.input_text(text))
