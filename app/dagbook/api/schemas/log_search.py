"""Schemas of the search in a run's logs (extension of the contract)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema


class LogHit(Schema, kw_only=True):
    """A matching line; ``text`` is an excerpt that starts at character ``column`` of the line.

    ``start`` and ``end`` are the offsets of the first match in ``text``. Lines and columns count from 1.
    """

    step: str
    stream: Literal["stdout", "stderr"]
    line: int
    column: int
    text: str
    start: int
    end: int


class LogHits(Schema, kw_only=True):
    """Hits in the order of steps, streams and lines.

    ``total`` is the number of all hits, on the first page only; ``isEstimate`` says that there may be more. With
    ``next`` as ``after`` the search continues.
    """

    hits: list[LogHit]
    total: int | UnsetType = UNSET
    is_estimate: bool | UnsetType = UNSET
    next: str | UnsetType = UNSET
