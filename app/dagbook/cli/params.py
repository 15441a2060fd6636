"""Run parameters from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import click
import msgspec

from dagbook.cli.foreign import notice
from dagbook.spec.model import Pair
from dagbook.spec.params.param_text import tokenise

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
    pairs: list[Pair] = []
    for word in words:
        pairs += _read_word(word, len(pairs) + 1)
    # As JSON, because NAME="value" cannot express a backslash before a quote.
    members = [pair.value if pair.name == str(at) else {pair.name: pair.value} for at, pair in enumerate(pairs, 1)]
    try:
        return msgspec.json.encode(members).decode()
    except UnicodeEncodeError as error:
        raise click.UsageError("A parameter is not UTF-8 text.") from error


def _read_word(word: str, number: int) -> Iterable[Pair]:
    """Parse a word as a parameter text, except ``NAME=a value``, whose quotes the shell has removed."""
    pairs = tokenise(word, start=number)
    named = _NAMED.match(word)
    if named is None:
        return pairs
    names = sum(pair.name != str(at) for at, pair in enumerate(pairs, number))
    is_text = names > 1 or word.startswith('"', named.end())
    return pairs if is_text and _PARTS.fullmatch(word) else [Pair(named[1], word[named.end() :])]
