"""What all steps of a run wrote, in one stream (extension of the contract)."""

from __future__ import annotations

from typing import Literal

from dagbook.api.schemas.common import Schema


class LogPiece(Schema, kw_only=True):
    """What a step wrote between two looks of the server: ``text`` as it is, from somewhere in line ``line`` on.

    A piece may end inside a line; the next one of that step and stream goes on there. ``place`` tells where it stands.
    """

    at: str
    step: str
    stream: Literal["stdout", "stderr"]
    line: int
    text: str
    place: str


class LogPieces(Schema, kw_only=True):
    """Pieces in the order in which they came, and whether there are others above and behind them by now."""

    pieces: list[LogPiece]
    has_earlier: bool
    has_more: bool
