"""Durations as the format and the API write them: ``1m30s``."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 64


def duration_seconds(text: str) -> float | None:
    """Parse a duration such as ``1m30s``; None if it is invalid."""
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        return None
    total: float = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total
