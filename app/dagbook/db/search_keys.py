"""Rows of the search tables; indexed texts are shortened, because no index takes a text of any length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
_LONGEST, _HEAD = 200, 100  # characters; PostgreSQL's indexes take about 2,700 bytes
_MAX_ERROR_CHARACTERS = 8_000


def index_key(text: str) -> str:
    """Return a text, or the start and the hash of a long one, so that equal texts have equal keys."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_HEAD]}…{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def tag_rows(run: int, tags: Iterable[str]) -> list[Row]:
    """Return the rows of ``run_tags`` for a run."""
    return [{"run": run, "tag": tag} for tag in dict.fromkeys(index_key(tag) for tag in tags)]


def param_rows(run: int, params: Sequence[Any]) -> list[Row]:
    """Return the rows of ``run_params`` for a run; ``params`` are pairs, or lists as they are stored."""
    rows = []
    for position, param in enumerate(params):
        name, value = param[:2] if isinstance(param, list | tuple) else (param.name, param.value)
        rows.append({"run": run, "position": position, "name": index_key(name), "value": index_key(value)})
    return rows


def error_text(run_error: str | None, node_errors: Iterable[str]) -> str:
    """Join the distinct errors of a run and its nodes, truncated to 8,000 characters."""
    errors = dict.fromkeys(error for error in (run_error, *node_errors) if error)
    return "\n".join(errors)[:_MAX_ERROR_CHARACTERS]


def error_rows(texts: Mapping[int, str]) -> list[Row]:
    """Return the rows of ``run_errors``, none for an empty text."""
    return [{"run": run, "text": text} for run, text in texts.items() if text]
