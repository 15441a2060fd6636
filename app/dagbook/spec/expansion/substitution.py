"""Substitution of references by variables (DAG format 5.5 steps 1 and 2, 5.6), JSON paths in them included (5.7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jq  # type: ignore[import-not-found, unused-ignore]  # a compiled module without type information
import msgspec

from dagbook.spec.problem import ExpansionError
from dagbook.spec.reading.rendering import parse_json, quote_text, render_json

# Without a limit a few parameters that reference each other could fill the server's memory.
MAX_CHARACTERS = 16 * 1024 * 1024
_QUOTED = re.compile(r'"\$\{([^}]+)\}"')
_PATH = re.compile(r"\$\{([A-Za-z0-9_]+)(\.[^}]+)\}|\$([A-Za-z0-9_]+)(\.\S+)")
_PATH_TEXT = re.compile(r"([A-Za-z0-9_]+)(\..+)", re.DOTALL)
# A quote protects one reference only: in '${A}'${B} the second one is replaced.
_SIMPLE = re.compile(r"('?)\$(?:\{([^}]+)\}|([A-Za-z0-9_]+))('?)")
_PROPERTY = re.compile(r"\.(stdout|stderr|exitCode|exit_code)(?::([0-9]{1,9})(?::([0-9]{1,9}))?)?")


class StepFacts(msgspec.Struct, frozen=True):
    """The properties of a step in references such as ``${id.stdout}``: the paths of its logs and its exit code."""

    stdout: str
    stderr: str
    exit_code: int | None = None


class _Variables(msgspec.Struct, frozen=True):
    """One map of variables, and the steps and values that path references may use."""

    values: Mapping[str, str]
    steps: Mapping[str, StepFacts]
    environ: Mapping[str, str]

    def follow(self, name: str, path: str) -> str | None:
        """Resolve ``${name.path}``: a property of a step, else a path into JSON."""
        found = _step_property(self.steps[name], path) if name in self.steps else None
        if found is not None:
            return found
        text = self.values.get(name, self.environ.get(name))
        return None if text is None else read(text, path)


def substitute(
    text: str,
    maps: Sequence[Mapping[str, str]],
    steps: Mapping[str, StepFacts],
    environ: Mapping[str, str],
) -> str:
    """Replace every reference that a map, a step or a JSON value resolves; all others stay."""
    for values in maps:
        text = _substitute_once(text, _Variables(values, steps, environ))
    return text


def substitute_quoted(
    text: str,
    maps: Sequence[Mapping[str, str]],
    steps: Mapping[str, StepFacts],
    environ: Mapping[str, str],
) -> str:
    """Replace ``"${NAME}"``, quotes included, by the value as a quoted literal."""
    for values in maps:
        text = _substitute_quoted_once(text, _Variables(values, steps, environ))
    return text


def replace_each(pattern: re.Pattern[str], text: str, resolve: Callable[[re.Match[str]], str | None]) -> str:
    """Replace each match by the result of ``resolve``, None leaving it; refuse a result beyond the size limit."""
    pieces: list[str] = []
    position = size = 0
    for match in pattern.finditer(text):
        value = resolve(match)
        if value is None:
            continue
        pieces += (text[position : match.start()], value)
        position = match.end()
        size += len(value)
        if size > MAX_CHARACTERS:
            raise ExpansionError(f"the text grows beyond {MAX_CHARACTERS} characters")
    return "".join((*pieces, text[position:])) if pieces else text


def _substitute_once(text: str, variables: _Variables) -> str:
    if "$" not in text:
        return text
    text = replace_each(_PATH, text, lambda match: variables.follow(match[1] or match[3], match[2] or match[4]))
    # A reference next to a single quote stays.
    simple = variables.values.get
    return replace_each(_SIMPLE, text, lambda match: None if match[1] or match[4] else simple(match[2] or match[3]))


def _substitute_quoted_once(text: str, variables: _Variables) -> str:
    def resolve(match: re.Match[str]) -> str | None:
        path = _PATH_TEXT.fullmatch(match[1])
        value = variables.follow(path[1], path[2]) if path else None
        if value is None:
            value = variables.values.get(match[1])
        return None if value is None else quote_text(value)

    return replace_each(_QUOTED, text, resolve)


def _step_property(facts: StepFacts, path: str) -> str | None:
    """Return ``.stdout``, ``.stderr`` or ``.exitCode``, or the part of it that ``:start:length`` selects."""
    found = _PROPERTY.fullmatch(path)
    if found is None:
        return None
    whole = {"stdout": facts.stdout, "stderr": facts.stderr}.get(found[1], str(facts.exit_code or 0))
    if not whole:
        return None
    start = int(found[2] or 0)
    return whole[start : start + int(found[3])] if found[3] else whole[start:]


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
