"""What time it is. Parts that need the time take a ``Clock``, so that tests can hand them another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the current instant, aware and in UTC."""
    return datetime.now(UTC)
