"""Texts as they are looked up by: no index takes one of any length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
_LONGEST, _HEAD = 200, 100  # characters; PostgreSQL's indexes take about 2,700 bytes
_MAX_ERROR_CHARACTERS = 8_000


def index_key(text: str) -> str:
    """Give a text itself, or when it is long its beginning and its hash, so that equal stays equal."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_HEAD]}…{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def tag_rows(run: int, tags: Iterable[str]) -> list[Row]:
    """Make the rows by which a run is found by its tags."""
    return [{"run": run, "tag": tag} for tag in dict.fromkeys(index_key(tag) for tag in tags)]


def param_rows(run: int, params: Sequence[Any]) -> list[Row]:
    """Make the rows by which a run is found by its params: pairs, or lists as they are stored."""
    return [
        {"run": run, "position": position, "name": index_key(name), "value": index_key(value)}
        for position, (name, value) in enumerate(map(_pair, params))
    ]


def _pair(param: Any) -> tuple[str, str]:
    if isinstance(param, list | tuple):
        return param[0], param[1]
    return param.name, param.value


def error_text(run_error: str | None, node_errors: Iterable[str]) -> str:
    """Join what went wrong in a run: each error once, cut where it would fill the table."""
    found = dict.fromkeys(error for error in (run_error, *node_errors) if error)
    return "\n".join(found)[:_MAX_ERROR_CHARACTERS]


def error_rows(texts: Mapping[int, str]) -> list[Row]:
    """Make the rows by which runs are found by their errors."""
    return [{"run": run, "text": text} for run, text in texts.items() if text]
