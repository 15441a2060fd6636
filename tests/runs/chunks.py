"""What the chunks of a stream say."""

from __future__ import annotations

from app.db.packing import unpack
from app.runs.spool import Chunk


def shown(chunk: Chunk) -> str:
    return unpack(chunk.text, chunk.packed)
