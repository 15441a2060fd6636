"""Params that a caller gives to a run: a text, or pairs."""

from __future__ import annotations

import msgspec

from dagbook.spec.model import Pair
from dagbook.spec.params.param_text import is_json, quote, render, tokenise


class GivenParams(msgspec.Struct, frozen=True):
    """Params of a caller: ``pairs``, or without them those that ``text`` is read as.

    Beside pairs, the text is only shown and hashed. A text that is read as its pairs stands alone.
    """

    text: str = ""
    pairs: tuple[Pair, ...] | None = None

    def read(self) -> tuple[Pair, ...]:
        """Return the pairs."""
        return tokenise(self.text) if self.pairs is None else self.pairs

    @property
    def json_text(self) -> str | None:
        """The text if the caller wrote JSON."""
        return self.text.strip() if self.pairs is None and is_json(self.text) else None


NOTHING = GivenParams()


def of_pairs(pairs: tuple[Pair, ...]) -> GivenParams:
    """Make params from pairs, for instance those of a call; the text is that of DAG format 7.3."""
    return _beside(quote(pairs, positions=False), pairs)


def of_item(text: str, pairs: tuple[Pair, ...]) -> GivenParams:
    """Make params from an item of a parallel call: its text, and its pairs, which were read before their evaluation."""
    given = _beside(text, pairs)
    return given if given.pairs is None else GivenParams(render(pairs), pairs)


def _beside(text: str, pairs: tuple[Pair, ...]) -> GivenParams:
    return GivenParams(text, None if tokenise(text) == pairs else pairs)
