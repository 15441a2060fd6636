"""What a search in the logs of a run brings (extension of the contract)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema


class LogHit(Schema, kw_only=True):
    """A line that matches: ``text`` is what is shown of it, from character ``column`` of the line on.

    ``start`` and ``end`` are where the first match lies in ``text``. Lines and columns count from 1.
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

    ``total`` counts all of them, on the first page only; ``isEstimate`` says that there may be more. With ``next`` as
    ``after`` the search goes on.
    """

    hits: list[LogHit]
    total: int | UnsetType = UNSET
    is_estimate: bool | UnsetType = UNSET
    next: str | UnsetType = UNSET
