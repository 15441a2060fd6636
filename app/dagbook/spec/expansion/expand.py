"""Evaluation of texts: references, commands in backticks, shell expansion (DAG format 5.3, 5.5, 5.7, 5.8).

What the author of a text wrote is evaluated, and nothing else: a text is split at its backticks before values are put
in, and a value that was put in stays as it is. Nothing is run here: see ``requests``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

import msgspec

from dagbook.spec.expansion import shell_words
from dagbook.spec.expansion.requests import (
    MAX_CHARACTERS,
    Command,
    Evaluation,
    InsertedValues,
    Work,
    refuse_beyond_measure,
)
from dagbook.spec.expansion.shell_expansion import expand_plain, expand_shell
from dagbook.spec.expansion.shell_quotes import escape_again
from dagbook.spec.expansion.substitution import StepFacts, Variables, substitute
from dagbook.spec.model import Pair
from dagbook.spec.problem import ExpansionError

__all__ = [
    "ExpansionError",
    "Mode",
    "StepFacts",
    "Variables",
    "evaluate_env",
    "evaluate_step_env",
    "expand",
    "expand_all",
    "expand_item",
]

_BACKTICK = re.compile(r"(?<!\\)`")


class Mode(Enum):
    """How far a text is evaluated (DAG format 5.3)."""

    FULL = "full"
    COMMAND = "command"
    VARS = "vars"
    STRUCT = "struct"


def expand(
    text: str,
    *,
    mode: Mode,
    variables: Variables,
    home: str = "",
    for_shell: bool = False,
    work: Work | None = None,
) -> Evaluation[str]:
    """Evaluate a text, with ``for_shell`` one that a POSIX shell reads; raises ExpansionError if it grows too long.

    ``work`` is that of the texts before it in the same evaluation.
    """
    values, work = InsertedValues(), work or Work()
    text = yield from _put_in(text, mode, variables, values, work, for_shell=for_shell)
    if mode is Mode.FULL:
        if "$" in text:  # each reference may search in all values
            yield from work.expect(
                text.count("$") * sum(len(value) for known in variables.maps for value in known.values())
            )
        return expand_shell(text, variables, values, home, work)
    return values.fill(expand_plain(text, variables.environ) if mode is Mode.STRUCT else text)


def expand_all(texts: Iterable[str], *, variables: Variables, home: str) -> Evaluation[list[str]]:
    """Evaluate texts in full mode, within the limits of one text; raises ExpansionError."""
    values, work, size = list[str](), Work(), 0
    for text in texts:
        value = yield from expand(text, mode=Mode.FULL, variables=variables, home=home, work=work)
        size += len(value)
        refuse_beyond_measure(size)
        values.append(value)
    return values


def expand_item(text: str, variables: Variables) -> Evaluation[tuple[str, str]]:
    """Evaluate an item of a command list for a POSIX shell: as it is, and as it stands in the line.

    An item with a space becomes one word of the line, in which the shell evaluates what its author wrote alone.
    """
    values = InsertedValues()
    text = yield from _put_in(text, Mode.COMMAND, variables, values, Work(), for_shell=True)
    item = values.fill(text)
    return item, shell_words.quote(values.fill(text, escape_again)) if shell_words.needs_quotes(item) else item


def _put_in(
    text: str, mode: Mode, variables: Variables, values: InsertedValues, work: Work, *, for_shell: bool
) -> Evaluation[str]:
    """Replace references and commands in backticks by marks of their values."""
    if "$" not in text and "`" not in text:
        return text
    pieces = []
    yield from work.add(len(text))
    for piece, is_command in _split_at_backticks(text) if mode is not Mode.VARS else ((text, False),):
        if not is_command:
            pieces.append(piece)
            continue
        command = yield from substitute(piece, variables, values, work, for_shell=True)
        pieces.append(values.mark(((yield Command(values.fill(command))) or "").strip()))
    # All of it at once: whether a reference is quoted depends on what precedes it.
    text = "".join(pieces)
    return (yield from substitute(text, variables, values, work, quoted=mode is not Mode.STRUCT, for_shell=for_shell))


def _split_at_backticks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text with whether they are commands; empty backticks are no command."""
    position = 0
    while (opening := _BACKTICK.search(text, position)) and (closing := _BACKTICK.search(text, opening.end())):
        command = text[opening.end() : closing.start()]
        yield text[position : opening.start() if command else closing.end()], False
        if command:
            yield command, True
        position = closing.end()
    yield text[position:], False


def evaluate_env(
    pairs: Iterable[Pair], *, variables: Variables, home: str, earlier: Mapping[str, str] | None = None
) -> Evaluation[tuple[Pair, ...]]:
    """Evaluate the ``env`` of a DAG or container; each entry sees those before it and those in ``earlier``."""
    known = dict(earlier or {})
    seen = msgspec.structs.replace(variables, maps=[known, *variables.maps])
    evaluated, work = [], Work()
    size = 0
    for pair in pairs:
        value = yield from expand(pair.value, mode=Mode.FULL, variables=seen, home=home, work=work)
        size = _grown(size, value)
        known[pair.name] = value
        evaluated.append(Pair(pair.name, value))
    return tuple(evaluated)


def evaluate_step_env(pairs: Iterable[Pair], *, variables: Variables, home: str) -> Evaluation[tuple[Pair, ...]]:
    """Evaluate the ``env`` of a step; entries do not see each other, and a failing one is left out."""
    evaluated, work = [], Work()
    size = 0
    for pair in pairs:
        try:
            value = yield from expand(pair.value, mode=Mode.FULL, variables=variables, home=home, work=work)
        except ExpansionError:
            continue
        size = _grown(size, value)
        evaluated.append(Pair(pair.name, value))
    return tuple(evaluated)


def _grown(size: int, value: str) -> int:
    if size + len(value) > MAX_CHARACTERS:
        raise ExpansionError(f"the environment grows beyond {MAX_CHARACTERS} characters")
    return size + len(value)
