"""Items of a parallel call: splitting of a text, and maps as text (runtime 20.8)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from dagbook.spec.model import Pair

MOST_ITEMS = 1000
_QUOTED_OR_BARE = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_WORD_START = re.compile(r'(?:^|\s)"')
_SEPARATORS = "\t|;,"


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
    except ValueError:
        return None
    if not isinstance(value, list):
        return [text]
    return [element if isinstance(element, str) else _compact(element) for element in value]


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
