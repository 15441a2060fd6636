"""Waiting on a condition of another process, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.02


class NotInTimeError(Exception):
    """A condition did not become true within its bound."""


def wait_for(what: str, poll: Callable[[], T | None], *, seconds: float = 90) -> T:
    """Return the first true result of ``poll``. Raises NotInTimeError."""
    end = time.monotonic() + seconds
    while not (found := poll()):
        if time.monotonic() > end:
            raise NotInTimeError(f"{what}: did not happen within {seconds:g} seconds")
        time.sleep(_POLL_SECONDS)
    return found
