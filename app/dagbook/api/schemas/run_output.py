"""Schemas of the interleaved output of a run's steps (extension of the contract)."""

from __future__ import annotations

from typing import Literal

from dagbook.api.schemas.common import Schema


class LogPiece(Schema, kw_only=True):
    """Output of a step between two reads of the server; the unmodified ``text`` starts in or at the start of ``line``.

    A piece may end inside a line; the next one of that step and stream continues there. ``place`` is its cursor.
    """

    at: str
    step: str
    stream: Literal["stdout", "stderr"]
    line: int
    text: str
    place: str


class LogPieces(Schema, kw_only=True):
    """Pieces in the order of arrival, and whether there are earlier and later ones."""

    pieces: list[LogPiece]
    has_earlier: bool
    has_more: bool
