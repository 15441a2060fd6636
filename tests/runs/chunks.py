"""What the chunks of a stream say."""

from __future__ import annotations

from app.db.packing import decompress
from app.runs.spool import Chunk


def shown(chunk: Chunk) -> str:
    return decompress(chunk.text, chunk.packed)
