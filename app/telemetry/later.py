"""Lines of the log that may come a moment later, many at a time.

Most of what a single line costs is that its code has been driven out of the processor's caches since the last one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping

_SECONDS = 0.1
_MOST = 500


class Later(logging.LogRecord):
    """A record that was told before it was made."""


_waiting: deque[tuple[logging.Logger, float, str, Mapping[str, object]]] = deque()
_loops: set[asyncio.AbstractEventLoop] = set()  # those in which it is planned to write what waits


def tell_later(logger: logging.Logger, message: str, fields: Mapping[str, object]) -> None:
    """Log at level INFO within a tenth of a second; to be called in a running loop."""
    if not logger.isEnabledFor(logging.INFO):
        return
    _waiting.append((logger, time.time(), message, fields))
    if len(_waiting) >= _MOST:
        write_waiting()
    elif (loop := asyncio.get_running_loop()) not in _loops:
        _loops.add(loop)
        loop.call_later(_SECONDS, _write_in, loop)


def _write_in(loop: asyncio.AbstractEventLoop) -> None:
    _loops.discard(loop)
    write_waiting()


def write_waiting() -> None:
    """Log what waits; from any thread."""
    while True:
        try:
            logger, created, message, fields = _waiting.popleft()
        except IndexError:
            return
        record = Later(logger.name, logging.INFO, "", 0, message, (), None)
        record.created = created
        vars(record).update(fields)
        logger.handle(record)
