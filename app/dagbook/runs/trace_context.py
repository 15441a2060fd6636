"""The trace that a run is part of (runtime 28.2): ids that follow from keys, and the context of its steps and callees.

A traced run has its context among its variables, in the form of W3C Trace Context: who called it, or itself if it is
the first of its trace. So a server that adopts the run, and one that sends the trace, find the same ids. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec

from dagbook.spec.model import Pair

TRACEPARENT = "TRACEPARENT"
_FIRST = 1
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16


class TraceContext(msgspec.Struct, frozen=True):
    """A trace and a span in it, both in hex."""

    trace: str
    span: str

    def __str__(self) -> str:
        return f"00-{self.trace}-{self.span}-01"


def parse(text: str) -> TraceContext | None:
    """Read a ``traceparent``, also of a later version; None for another text."""
    found = _FORM.fullmatch(text)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[4]):
        return None
    context = TraceContext(found[2], found[3])
    return context if int(context.trace, 16) and int(context.span, 16) else None


def span_of_run(key: int, attempt: int) -> str:
    """Return the id of the span of an attempt."""
    return _digest(f"{key}/{attempt}")[:_SPAN_DIGITS]


def span_of_node(key: int, attempt: int, name: str, *, is_handler: bool) -> str:
    """Return the id of the span of a step or handler: all its executions in an attempt are one."""
    return _digest(f"{key}/{attempt}/{'handler' if is_handler else 'step'}/{name}")[:_SPAN_DIGITS]


def of_new_run(key: int, root: int, incoming: str = "") -> TraceContext:
    """Return the context of a run that is the first of a trace, or is started by a request that is part of one."""
    return parse(incoming) or TraceContext(_digest(str(root))[:_TRACE_DIGITS], span_of_run(key, _FIRST))


def find(variables: Iterable[Pair]) -> TraceContext | None:
    """Return the context that a run was given; None if it is not traced."""
    return next((parse(pair.value) for pair in variables if pair.name == TRACEPARENT), None)


def with_context(variables: Iterable[Pair], context: TraceContext | None) -> tuple[Pair, ...]:
    """Return variables with another context, or without one."""
    others = tuple(pair for pair in variables if pair.name != TRACEPARENT)
    return others if context is None else (*others, Pair(TRACEPARENT, str(context)))


def is_first(context: TraceContext, key: int) -> bool:
    """Whether a run has no caller in its trace."""
    return context.span == span_of_run(key, _FIRST)


def sends(variables: Iterable[Pair], key: int, *, is_root: bool) -> bool:
    """Whether a trace is sent when a run ends: of its sub-runs too, so that these send none."""
    context = find(variables)
    return context is not None and (is_root or is_first(context, key))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
