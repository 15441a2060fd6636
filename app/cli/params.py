"""Parameters as people write them behind a command."""

from __future__ import annotations

from collections.abc import Sequence

from app.spec.model import Pair
from app.spec.params import quote


def params_text(params: str, words: Sequence[str]) -> str:
    """Give the text of ``--params``, or make one of the words after ``--``."""
    return params or quote([_pair(word, number) for number, word in enumerate(words, 1)], positions=False)


def _pair(word: str, number: int) -> Pair:
    name, equals, value = word.partition("=")
    return Pair(name, value) if equals else Pair(str(number), word)
