"""Waiting on a condition of another process, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from app.torture.trial import TortureError

T = TypeVar("T")
_LOOK_SECONDS = 0.02


class NotInTimeError(TortureError):
    """Something that had to happen did not happen within its bound."""


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float = 45) -> T:
    """Return what ``look`` gives as soon as it is true; raises NotInTimeError after the bound."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise NotInTimeError(f"{what}: did not happen within {seconds:g} seconds")
        time.sleep(_LOOK_SECONDS)
    return found
