"""Markdown for the generated pages of docs/reference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator


def head(title: str, source: str, intro: str) -> list[str]:
    """Return the first lines of a page: its title, the source that it is made from, and its introduction."""
    return [
        f"# {title}",
        "",
        f"<!-- Made by scripts/documentation/reference.py from {source}. -->",
        "",
        *intro.splitlines(),
    ]


def table(columns: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Return a table with these columns, separated by blanks."""
    names = columns.split()
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def anchor(heading: str) -> str:
    """Return the anchor of a heading of letters, digits, blanks and hyphens."""
    return heading.lower().replace(" ", "-")


def escape(text: str) -> str:
    """Return a plain text as Markdown for a table; what is in backticks stays code."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


def code(text: str) -> str:
    """Return a text as code for a table; an empty text stays empty."""
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def show(data: object) -> str:
    """Return a value as YAML writes it on one line."""
    if isinstance(data, str):
        return data
    return f"{data:g}" if isinstance(data, float) else json.dumps(data, ensure_ascii=False)
