"""Parameters on a command line: the text that they make, and those that a DAG does not declare."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from dagbook.cli.output import notice
from dagbook.identifiers import shorten

if TYPE_CHECKING:
    from dagbook.spec.model import Dag, Pair

_MOST_SHOWN = 5
# A name contains no quote: in JSON an equals sign may stand inside a string.
_NAMED = re.compile(r'\s*([^\s="]+)=')
# Parts separated by blanks; a part that contains blanks is quoted.
_PARTS = re.compile(r'(?:\s*(?:(?:[^\s="]+=)?"(?:\\"|[^"\\]|\\(?!"))*"|[^\s"]+)(?=\s|$))+\s*')


def params_text(params: str, words: Sequence[str]) -> str:
    """Return the parameter text of the words after ``--``; without any, that of ``--params``."""
    if not words:
        return params
    if params:
        notice("--params is ignored: parameters are also given after --")
    # Not above: it brings the library for JSON Schema, which most commands never need.
    from dagbook.spec.params.param_text import render  # noqa: PLC0415

    pairs: list[Pair] = []
    for word in words:
        pairs += _read_word(word, len(pairs) + 1)
    try:
        return render(pairs)  # as JSON, because NAME="value" cannot express a backslash before a quote
    except UnicodeEncodeError as error:
        raise click.UsageError("A parameter is not UTF-8 text.") from error


def _read_word(word: str, number: int) -> Iterable[Pair]:
    """Parse a word as a parameter text, except ``NAME=a value``, whose quotes the shell has removed."""
    # Not above, as in params_text.
    from dagbook.spec.model import Pair  # noqa: PLC0415
    from dagbook.spec.params.param_text import tokenise  # noqa: PLC0415

    pairs = tokenise(word, start=number)
    named = _NAMED.match(word)
    if named is None:
        return pairs
    names = sum(pair.name != str(at) for at, pair in enumerate(pairs, number))
    is_text = names > 1 or word.startswith('"', named.end())
    return pairs if is_text and _PARTS.fullmatch(word) else [Pair(named[1], word[named.end() :])]


def notice_undeclared(dag: Dag, params: str, inherited: Collection[str] = ()) -> None:
    """Print a notice for each named param that a DAG does not declare; a schema may declare more, and is not read."""
    # Not above, as in params_text.
    from dagbook.spec.params.param_text import GivenParams  # noqa: PLC0415

    declared = {name.casefold(): name for name in (*(pair.name for pair in dag.params), *inherited)}
    for pair in () if dag.params_schema else GivenParams(params).read():
        if pair.name.isdigit() or pair.name in declared.values():
            continue
        near = get_close_matches(pair.name.casefold(), declared, n=1)
        known = ", ".join(list(declared.values())[:_MOST_SHOWN]) or "none"
        hint = f"did you mean {declared[near[0]]}?" if near else f"it declares {known}"
        notice(f"{dag.name} has no parameter {shorten(pair.name)[1:-1]}; {hint}")
