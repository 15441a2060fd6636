"""The part of a reference after its name: a jq expression on the JSON that the variable holds (DAG format 5.7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jq  # type: ignore[import-not-found, unused-ignore]  # a compiled module without type information

from app.spec.values import parse_json, render_json

# jq would hand out the environment of the server, credentials included, and write to its error stream.
_SAFE = "def env: {}; def modulemeta: empty; def debug: .; def debug(f): .; def stderr: .; {} as $ENV | first("
_PLAIN = re.compile(r"(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[-?[0-9]{1,9}\])*|\.(?:\[-?[0-9]{1,9}\])+)+")
_PLAIN_PART = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)")


def read(text: str, expression: str) -> str | None:
    """Give the first result as text. None: the text is no JSON, or the expression fails or yields nothing."""
    try:
        value = parse_json(text)
        if _PLAIN.fullmatch(expression):
            return render_json(_follow(value, expression))
        return render_json(_query(text, expression))
    except ValueError:
        return None


def _follow(value: Any, path: str) -> Any:
    """Walk a path of names and numbers, which needs no jq and keeps long integers exact."""
    for name, number in _PLAIN_PART.findall(path):
        if value is None:
            continue
        if name and isinstance(value, dict):
            value = value.get(name)
        elif number and isinstance(value, list):
            place = int(number)
            value = value[place] if -len(value) <= place < len(value) else None
        else:
            raise ValueError(f"{path} does not fit the value")
    return value


def _query(text: str, expression: str) -> Any:
    program = _compile(expression)
    if program is None:
        raise ValueError(f"{expression} is no jq expression")
    results: list[Any] = program(text)
    if not results:
        raise ValueError(f"{expression} yields nothing")
    return results[0]


@lru_cache(maxsize=512)
def _compile(expression: str) -> Callable[[str], list[Any]] | None:
    """Compile an expression, None when it is none; a compilation takes a thousand times longer than a run."""
    try:
        program = jq.compile(f"{_SAFE}{expression}\n)")
    except ValueError:
        return None
    return lambda text: list(program.input_text(text))
