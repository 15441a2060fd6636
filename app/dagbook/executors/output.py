"""Decodes the output of processes."""

from __future__ import annotations

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def read_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode output; replaces invalid bytes, and NUL, which neither PostgreSQL nor process arguments allow."""
    return data.decode(encoding, "replace").replace("\0", REPLACEMENT)
