"""What the chunks of a stream say."""

from __future__ import annotations

from dagbook.db.compression import decompress
from dagbook.runs.output.output_follower import Chunk


def shown(chunk: Chunk) -> str:
    return decompress(chunk.text, chunk.packed)
