"""Evaluation of texts: references, commands in backticks, shell expansion (DAG format 5.3, 5.5, 5.7, 5.8).

Nothing is run here. An evaluation is a generator that yields the text of each command it needs and is sent the
command's output; its caller throws ``ExpansionError`` into it if the command fails.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from dagbook.spec.expansion.shellexpansion import expand_plain, expand_shell
from dagbook.spec.expansion.substitution import MAX_CHARACTERS, StepFacts, substitute, substitute_quoted
from dagbook.spec.model import Pair
from dagbook.spec.problem import ExpansionError

__all__ = [
    "ExpansionError",
    "Mode",
    "StepFacts",
    "evaluate_env",
    "evaluate_step_env",
    "expand",
    "expand_value",
    "run_without_commands",
]

T = TypeVar("T")
_BACKTICK = re.compile(r"(?<!\\)`")
_NOTHING: Mapping[str, Any] = {}


class Mode(Enum):
    """How far a text is evaluated (DAG format 5.3)."""

    FULL = "full"
    COMMAND = "command"
    VARS = "vars"
    STRUCT = "struct"
    PLAIN = "plain"


def expand(
    text: str,
    *,
    mode: Mode,
    maps: Sequence[Mapping[str, str]] = (),
    steps: Mapping[str, StepFacts] = _NOTHING,
    environ: Mapping[str, str] = _NOTHING,
    home: str = "",
) -> Generator[str, str, str]:
    """Evaluate a text; later maps see the values of earlier ones. ``environ`` is the environment of the run."""
    if mode is Mode.PLAIN:
        return expand_plain(text, environ)
    if mode is not Mode.STRUCT:
        text = substitute_quoted(text, maps, steps, environ)
    text = substitute(text, maps, steps, environ)
    if mode is not Mode.VARS:
        text = yield from _run_commands(text)
    if mode is Mode.FULL:
        return expand_shell(text, maps, environ, home)
    return expand_plain(text, environ) if mode is Mode.STRUCT else text


def expand_value(
    value: Any,
    *,
    maps: Sequence[Mapping[str, str]] = (),
    steps: Mapping[str, StepFacts] = _NOTHING,
    environ: Mapping[str, str] = _NOTHING,
    home: str = "",
) -> Generator[str, str, Any]:
    """Evaluate every text inside a configuration in full mode; keys and other values stay."""
    if isinstance(value, str):
        return (yield from expand(value, mode=Mode.FULL, maps=maps, steps=steps, environ=environ, home=home))
    if isinstance(value, dict):
        members = {}
        for key, member in value.items():
            members[key] = yield from expand_value(member, maps=maps, steps=steps, environ=environ, home=home)
        return members
    if isinstance(value, list):
        items = []
        for raw in value:
            item = yield from expand_value(raw, maps=maps, steps=steps, environ=environ, home=home)
            items.append(item)
        return items
    return value


def evaluate_env(
    pairs: Iterable[Pair],
    *,
    environ: Mapping[str, str],
    home: str,
    earlier: Mapping[str, str] = _NOTHING,
    maps: Sequence[Mapping[str, str]] = (),
    steps: Mapping[str, StepFacts] = _NOTHING,
) -> Generator[str, str, tuple[Pair, ...]]:
    """Evaluate the ``env`` of a DAG or container; each entry sees those before it and those in ``earlier``."""
    known = dict(earlier)
    evaluated = []
    size = 0
    for pair in pairs:
        value = yield from expand(
            pair.value, mode=Mode.FULL, maps=[known, *maps], steps=steps, environ=environ, home=home
        )
        size += len(value)
        if size > MAX_CHARACTERS:
            raise ExpansionError(f"the environment grows beyond {MAX_CHARACTERS} characters")
        known[pair.name] = value
        evaluated.append(Pair(pair.name, value))
    return tuple(evaluated)


def evaluate_step_env(
    pairs: Iterable[Pair],
    *,
    maps: Sequence[Mapping[str, str]],
    steps: Mapping[str, StepFacts] = _NOTHING,
    environ: Mapping[str, str] = _NOTHING,
    home: str = "",
) -> Generator[str, str, tuple[Pair, ...]]:
    """Evaluate the ``env`` of a step; entries do not see each other, and a failing one is left out."""
    evaluated = []
    for pair in pairs:
        try:
            value = yield from expand(pair.value, mode=Mode.FULL, maps=maps, steps=steps, environ=environ, home=home)
        except ExpansionError:
            continue
        evaluated.append(Pair(pair.name, value))
    return tuple(evaluated)


def run_without_commands(evaluation: Generator[str, str, T]) -> T:
    """Complete an evaluation that must not run commands; raises ExpansionError if it needs one."""
    try:
        command = next(evaluation)
    except StopIteration as end:
        result: T = end.value
        return result
    evaluation.close()
    raise ExpansionError(f"no command may run here, but `{command}` would have to")


def _run_commands(text: str) -> Generator[str, str, str]:
    """Substitute the output of each command; output is not evaluated again."""
    pieces: list[str] = []
    position = 0
    while (opening := _BACKTICK.search(text, position)) and (closing := _BACKTICK.search(text, opening.end())):
        command = text[opening.end() : closing.start()]
        output = (yield command).strip() if command else "``"
        pieces += (text[position : opening.start()], output)
        position = closing.end()
    return "".join((*pieces, text[position:])) if pieces else text
