"""Lines of the log that may come a moment later, some at a time.

Most of what a single line costs is that its code has been driven out of the processor's caches since the last one. But
no request should have to wait for all lines of a busy tenth of a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping

_SECONDS, _PAUSE_SECONDS = 0.1, 0.003
_AT_ONCE = 10  # a third of a millisecond
_ROUNDS = 20  # however many lines wait, they are written in so many pauses
_MOST = 500


class Later(logging.LogRecord):
    """A record that was told before it was made."""


_waiting: deque[tuple[logging.Logger, float, str, Mapping[str, object]]] = deque()
_loops: set[asyncio.AbstractEventLoop] = set()  # those in which it is planned to write what waits


def tell_later(logger: logging.Logger, message: str, fields: Mapping[str, object]) -> None:
    """Log at level INFO after a tenth of a second or two; to be called in a running loop."""
    if not logger.isEnabledFor(logging.INFO):
        return
    _waiting.append((logger, time.time(), message, fields))
    if len(_waiting) >= _MOST:
        _write(_AT_ONCE)
    if (loop := asyncio.get_running_loop()) not in _loops:
        _loops.add(loop)
        loop.call_later(_SECONDS, _write_in, loop)


def _write_in(loop: asyncio.AbstractEventLoop) -> None:
    _write(max(_AT_ONCE, len(_waiting) // _ROUNDS))
    if _waiting:
        loop.call_later(_PAUSE_SECONDS, _write_in, loop)
    else:
        _loops.discard(loop)


def write_waiting() -> None:
    """Log what waits; from any thread."""
    while _waiting:
        _write(_MOST)


def _write(most: int) -> None:
    for _ in range(most):
        try:
            logger, created, message, fields = _waiting.popleft()
        except IndexError:
            return
        record = Later(logger.name, logging.INFO, "", 0, message, (), None)
        record.created = created
        vars(record).update(fields)
        logger.handle(record)
