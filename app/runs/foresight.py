"""The step that probably comes next, prepared while the one before it runs.

In a chain of short steps the time from one to the next is what preparing takes. Nobody sees anything of what is
prepared: it has run nothing, no row and no event tells of it, and what does not fit when the time comes is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from app.executors.process import Waiting
from app.runs.environment import Moment
from app.runs.evaluation import is_stored
from app.runs.node import NodeWork

_MOST_SECONDS = 1.0  # a step that takes longer gains nothing by it, and a process would wait beside each

Prepare = Callable[[NodeWork, Moment], Coroutine[Any, Any, Waiting]]


class Foresight:
    """At most one execution of a run that waits for its order."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._expected: _Expected | None = None

    @property
    def is_free(self) -> bool:
        """Whether nothing is prepared."""
        return self._expected is None

    def begin(self, node: NodeWork, moment: Moment) -> None:
        """Prepare the first execution of a node, as it would be if it began at this moment."""
        self._expected = _Expected(node, moment, self._prepare, self.drop)

    def take(self, node: NodeWork, number: int, moment: Moment) -> Waiting | None:
        """Give what was prepared if it is for this execution and this moment; whatever else it is, it is dropped."""
        expected, self._expected = self._expected, None
        if expected is None:
            return None
        if number == 1 and expected.node is node and expected.moment == moment and expected.is_usable():
            return expected.waiting()
        expected.drop()
        return None

    def drop(self) -> None:
        """Let nothing be prepared any more."""
        expected, self._expected = self._expected, None
        if expected is not None:
            expected.drop()


class _Expected:
    """An execution that is being prepared."""

    def __init__(self, node: NodeWork, moment: Moment, prepare: Prepare, give_up: Callable[[], None]) -> None:
        self.node = node
        self.moment = moment
        self._task = asyncio.create_task(_without_commands(prepare, node, moment))
        self._timer = asyncio.get_running_loop().call_later(_MOST_SECONDS, give_up)

    def is_usable(self) -> bool:
        return self._is_ready() and self._task.result().still_fits()

    def waiting(self) -> Waiting:
        self._timer.cancel()
        return self._task.result()

    def drop(self) -> None:
        self._timer.cancel()
        if self._is_ready():
            self._task.result().drop()
        self._task.cancel()
        self.node.forget()

    def _is_ready(self) -> bool:
        return self._task.done() and not self._task.cancelled() and self._task.exception() is None


async def _without_commands(prepare: Prepare, node: NodeWork, moment: Moment) -> Waiting:
    """Prepare, but for commands inside texts: they wait for what never happens, until it is given up."""
    is_stored.set(asyncio.Event())
    return await prepare(node, moment)
