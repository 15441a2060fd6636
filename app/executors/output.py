"""What processes write, as text."""

from __future__ import annotations

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def read_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode output: what is no text, and NUL, which neither PostgreSQL nor another process can take, is replaced."""
    return data.decode(encoding, "replace").replace("\0", REPLACEMENT)
