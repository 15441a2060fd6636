"""What processes write, as text."""

from __future__ import annotations

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def read_text(data: bytes) -> str:
    """Decode output: what is no UTF-8, and NUL, which neither PostgreSQL nor another process can take, is replaced."""
    return data.decode("utf-8", "replace").replace("\0", REPLACEMENT)
