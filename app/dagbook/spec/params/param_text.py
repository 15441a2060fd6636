"""Params as text and as pairs, their evaluation at a start (DAG format 2.9, 7.3), and items of calls (runtime 20.8)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from dagbook.json_values import JsonObject
from dagbook.spec.expansion.expand import Mode, Variables, expand
from dagbook.spec.expansion.requests import MAX_CHARACTERS, Evaluation, Work
from dagbook.spec.model import Pair
from dagbook.spec.problem import ExpansionError
from dagbook.spec.reading.rendering import compact, parse_json, quote_text, render_json

__all__ = [
    "GivenParams",
    "describe",
    "evaluate",
    "format_pairs",
    "is_json",
    "merge",
    "quote",
    "render",
    "tokenise",
    "validate",
]

_BLANK = " \t\n\f\r"
_BLANKS = re.compile(rf"[{_BLANK}]+")
_NAME_STOP = re.compile(rf"[{_BLANK}=]")
_QUOTED = re.compile(r'"(?:\\"|[^"])*"')
_BACKTICKED = re.compile(r'`[^"]*`')
_BARE = re.compile(rf'[^{_BLANK}"]+')
MOST_ITEMS = 1000
_QUOTED_OR_BARE = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_WORD_START = re.compile(r'(?:^|\s)"')
_SEPARATORS = "\t|;,"


class GivenParams(msgspec.Struct, frozen=True):
    """Params that a caller gives to a run: ``pairs``, or without them those that ``text`` is read as.

    Beside pairs, the text is only shown and hashed. A text that is read as its pairs stands alone.
    """

    text: str = ""
    pairs: tuple[Pair, ...] | None = None

    @classmethod
    def of_pairs(cls, pairs: tuple[Pair, ...]) -> GivenParams:
        """Make params from pairs, for instance those of a call; the text is that of DAG format 7.3."""
        return cls._beside(quote(pairs, positions=False), pairs)

    @classmethod
    def of_item(cls, text: str, pairs: tuple[Pair, ...]) -> GivenParams:
        """Make params from an item of a parallel call: its text, and its pairs, read before their evaluation."""
        given = cls._beside(text, pairs)
        return given if given.pairs is None else cls(render(pairs), pairs)

    @classmethod
    def _beside(cls, text: str, pairs: tuple[Pair, ...]) -> GivenParams:
        return cls(text, None if tokenise(text) == pairs else pairs)

    def read(self) -> tuple[Pair, ...]:
        """Return the pairs."""
        return tokenise(self.text) if self.pairs is None else self.pairs

    @property
    def json_text(self) -> str | None:
        """The text if the caller wrote JSON."""
        return self.text.strip() if self.pairs is None and is_json(self.text) else None


def tokenise(text: str, *, start: int = 1) -> tuple[Pair, ...]:
    """Parse a parameter text, JSON or words; entries without a name get their position, counted from ``start``."""
    from_json = _json_entries(text.strip())
    entries = _scan(text) if from_json is None else from_json
    return tuple(Pair(name or str(number), value) for number, (name, value) in enumerate(entries, start))


def is_json(text: str) -> bool:
    """Whether a parameter text is a JSON object or array."""
    return _json_entries(text.strip()) is not None


def render(pairs: Iterable[Pair]) -> str:
    """Render pairs as JSON, which ``tokenise`` reads as the same pairs for all values."""
    return compact(
        [pair.value if pair.name == str(at) else {pair.name: pair.value} for at, pair in enumerate(pairs, 1)]
    )


def quote(pairs: Iterable[Pair], *, positions: bool) -> str:
    """Format pairs as the text that is shown (7.3); without ``positions`` positional values stay unnamed.

    ``tokenise`` does not read every value back: its words have no escape for a backslash.
    """
    return " ".join(
        quote_text(pair.value)
        if pair.name == str(number) and not positions
        else f"{pair.name}={quote_text(pair.value)}"
        for number, pair in enumerate(pairs, 1)
    )


def validate(pairs: Iterable[Pair], schema: JsonObject) -> tuple[Pair, ...]:
    """Validate pairs against a JSON Schema; see ``json_schema.validate``."""
    # Imported for the first schema: the library takes 0.06 s, and few definitions have one.
    from dagbook.spec.params import json_schema  # noqa: PLC0415

    return json_schema.validate(pairs, schema)


def format_pairs(pairs: Iterable[Pair]) -> str:
    """Format pairs for the status of a run, without quotes."""
    return " ".join(describe(pairs))


def describe(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Format pairs as ``NAME=value``."""
    return tuple(f"{pair.name}={pair.value}" for pair in pairs)


def merge(defaults: Sequence[Pair], overrides: Iterable[Pair]) -> tuple[Pair, ...]:
    """Merge overrides into defaults: a pair of the same name is replaced, any other is appended."""
    merged = list(defaults)
    for override in overrides:
        positions = [position for position, pair in enumerate(merged) if pair.name == override.name]
        for position in positions:
            merged[position] = override
        if not positions:
            merged.append(override)
    return tuple(merged)


def evaluate(
    defaults: Sequence[Pair],
    overrides: Sequence[Pair],
    environ: Mapping[str, str],
    home: str,
    *,
    evaluate_override: bool = False,
) -> Evaluation[tuple[Pair, ...]]:
    """Evaluate the defaults in order, and merge the caller's pairs into them, as they are.

    With ``evaluate_override`` the caller's pairs are evaluated on their own, like the defaults.
    """
    evaluated = yield from _evaluate_in_order(defaults, environ, home)
    if evaluate_override:
        overrides = yield from _evaluate_in_order(overrides, environ, home)
    return merge(evaluated, overrides)


def _evaluate_in_order(pairs: Iterable[Pair], environ: Mapping[str, str], home: str) -> Evaluation[tuple[Pair, ...]]:
    """Evaluate each value in full mode; ``$2`` yields the second value if that has no name, else ``NAME=value``."""
    known: dict[str, str] = {}
    variables = Variables(maps=[known], environ=environ)
    evaluated, work = [], Work()
    size = 0
    for number, pair in enumerate(pairs, 1):
        value = yield from expand(pair.value, mode=Mode.FULL, variables=variables, home=home, work=work)
        size += len(value)
        if size > MAX_CHARACTERS:
            raise ExpansionError(f"the parameters grow beyond {MAX_CHARACTERS} characters")
        known[str(number)] = value if pair.name == str(number) else f"{pair.name}={value}"
        known[pair.name] = value
        evaluated.append(Pair(pair.name, value))
    return tuple(evaluated)


def _json_entries(text: str) -> list[tuple[str, str]] | None:
    """Parse an object's members, or an array's elements; None if the text is no such JSON."""
    if not text.startswith(("{", "[")):
        return None
    entries: list[tuple[str, str]] = []
    try:
        value = parse_json(text)
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, dict):
                entries += [(name, render_json(member)) for name, member in sorted(element.items())]
            else:
                entries.append(("", render_json(element)))
    except ValueError:
        return None
    return entries


def _scan(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) for each token; characters that match no form are dropped."""
    position = 0
    name_end = -1  # end of the characters that may be a name; searched once, so that a scan stays linear
    while position < len(text):
        if name_end < position:
            stop = _NAME_STOP.search(text, position)
            name_end = stop.start() if stop else len(text)
        name = text[position:name_end] if text[name_end : name_end + 1] == "=" else ""
        found = (name and _value_at(text, name_end + 1)) or None
        if found is None:
            name, found = "", _value_at(text, position)
        if found is None:
            blank = _BLANKS.match(text, position)
            position = blank.end() if blank else position + 1
            continue
        value, position = found
        yield name, value


def _value_at(text: str, position: int) -> tuple[str, int] | None:
    """Match one of the three value forms, in their order; return the value and its end."""
    if found := _QUOTED.match(text, position):
        return found[0].strip('"').replace('\\"', '"'), found.end()
    found = _BACKTICKED.match(text, position) or _BARE.match(text, position)
    return (found[0], found.end()) if found else None


def map_text(pairs: Iterable[Pair]) -> str:
    """Render a map item: JSON with sorted keys and no blanks, every value as text."""
    return _compact({pair.name: pair.value for pair in sorted(pairs, key=lambda pair: pair.name)})


def split(text: str) -> list[str]:
    """Split the value of a variable into items."""
    listed = _from_json(text.strip())
    if listed is not None:
        return listed
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    line = text.strip()
    if line.count('"') > 1 and _WORD_START.search(line):
        return [bare or re.sub(r"\\(.)", r"\1", quoted) for quoted, bare in _QUOTED_OR_BARE.findall(line)]
    best = max(_SEPARATORS, key=line.count)
    if not line.count(best):
        return line.split()
    return [part.strip() for part in line.split(best) if part.strip()]


def _from_json(text: str) -> list[str] | None:
    if text[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return [text]
    return [element if isinstance(element, str) else _compact(element) for element in value]


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
