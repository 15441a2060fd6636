"""Which histories of requests and answers about one run are possible: a model, and a search for an order (promise R13).

Requests of concurrent clients overlap. A history is possible when there is an order of all requests in which each takes
effect at one moment between its begin and its end, and in which the model gives the answers that were given. Requests
about different runs do not depend on each other, so each run is searched by itself (Wing and Gong, 1993).

The DAG of the model has the steps ``work``, ``gate``, which waits for an approval, and ``last``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple


class Phase(StrEnum):
    ABSENT = "absent"
    QUEUED = "queued"
    STARTING = "starting"
    ACTIVE = "active"  # before the gate
    WAITING = "waiting"
    DECIDED = "decided"  # the approval is stored, and the run has not gone on yet
    ENDING = "ending"  # behind the gate
    SUCCEEDED = "succeeded"
    ABORTED = "aborted"


RUNNING = frozenset({Phase.STARTING, Phase.ACTIVE, Phase.WAITING, Phase.DECIDED, Phase.ENDING})
FINISHED = frozenset({Phase.SUCCEEDED, Phase.ABORTED})
# By what a read shows; ``waiting`` is *running* with a reason.
_LABELS = {
    "not_started": frozenset({Phase.STARTING}),
    "queued": frozenset({Phase.QUEUED}),
    "running": RUNNING,
    "waiting": frozenset({Phase.WAITING, Phase.DECIDED}),
    "succeeded": frozenset({Phase.SUCCEEDED}),
    "aborted": frozenset({Phase.ABORTED}),
}


class State(NamedTuple):
    """What is known of a run: ``approved`` stays over attempts, ``stopping`` is a stop that was asked for."""

    phase: Phase = Phase.ABSENT
    approved: bool = False
    stopping: bool = False


class Operation(NamedTuple):
    """A request of a client, and its answer.

    ``answer`` is ``ok``, the error code of the API, or what a read showed. It is empty when there was none: the request
    may have taken effect at any time after its begin, or never.
    """

    kind: str
    answer: str
    begin: float
    end: float = math.inf

    def __str__(self) -> str:
        return f"{self.kind} → {self.answer or 'no answer'} ({self.begin:.3f} to {self.end:.3f})"


class UndecidedError(Exception):
    """The search has met its bound."""


def _moves(state: State) -> Iterator[State]:
    """What may happen without a request."""
    match state.phase:
        case Phase.QUEUED:
            yield state._replace(phase=Phase.STARTING)
        case Phase.STARTING:
            yield state._replace(phase=Phase.ACTIVE)
        case Phase.ACTIVE:
            yield state._replace(phase=Phase.ENDING if state.approved else Phase.WAITING)
        case Phase.DECIDED:
            yield state._replace(phase=Phase.ENDING, approved=True)
        case Phase.ENDING:
            yield state._replace(phase=Phase.SUCCEEDED)
    if state.stopping and state.phase in RUNNING:
        yield state._replace(phase=Phase.ABORTED)


def reachable(states: frozenset[State]) -> frozenset[State]:
    """Return the states, and those that a run may get into from them by itself."""
    found, new = set(states), list(states)
    while new:
        for state in _moves(new.pop()):
            if state not in found:
                found.add(state)
                new.append(state)
    return frozenset(found)


def apply(state: State, kind: str, answer: str) -> Iterator[State]:  # noqa: C901, PLR0912 - one arm for each kind
    """Yield the states after a request with this answer; none when the answer is wrong in this state."""
    phase = state.phase
    exists = phase is not Phase.ABSENT
    match kind, answer:
        case (("start" | "enqueue"), "ok"):
            if not exists:
                yield State(Phase.STARTING if kind == "start" else Phase.QUEUED)
        case (("start" | "enqueue"), "already_exists"):
            if exists:
                yield state
        case "read", _ if answer in _LABELS:
            if phase in _LABELS[answer]:
                yield state
        case _, "not_found":
            if not exists and kind not in ("start", "enqueue"):
                yield state
        case "stop", "ok":
            if phase in RUNNING:
                yield state._replace(stopping=True)
        case "stop", "not_running":
            if phase in FINISHED | {Phase.QUEUED, Phase.STARTING}:
                yield state
        case "dequeue", "ok":
            if phase is Phase.QUEUED:
                yield State()
        case "dequeue", "bad_request":
            if exists and phase is not Phase.QUEUED:
                yield state
        case "retry", "ok":
            if phase in FINISHED:
                yield State(Phase.STARTING, state.approved)
        case "retry", "max_run_reached":
            if exists and phase not in FINISHED:
                yield state
        case "approve", "ok":
            if phase is Phase.WAITING:
                yield state._replace(phase=Phase.DECIDED)
        case "approve", "bad_request":
            if exists and (phase is not Phase.WAITING or state.stopping):
                yield state
        case "settled", _:
            # Asked when nothing was requested any more, until it stayed.
            if phase.value == answer and (phase in FINISHED or (phase is Phase.WAITING and not state.stopping)):
                yield state


# What a request without an answer may have done.
_SUCCESSES = {"start": "ok", "enqueue": "ok", "stop": "ok", "dequeue": "ok", "retry": "ok", "approve": "ok"}


def explain(history: Sequence[Operation], most_visits: int = 200_000) -> list[Operation] | None:
    """Return an order of the requests that explains all answers, or None when there is none.

    Requests without an answer may be missing in it. Raises UndecidedError after ``most_visits`` places of the search.
    """
    operations = sorted(history, key=lambda one: one.begin)
    every = frozenset(number for number, one in enumerate(operations) if one.answer)
    seen: set[tuple[frozenset[int], frozenset[State]]] = set()
    stack: list[tuple[tuple[int, ...], frozenset[State]]] = [((), reachable(frozenset({State()})))]
    while stack:
        order, states = stack.pop()
        done = frozenset(order)
        if every <= done:
            return [operations[number] for number in order]
        if (done, states) in seen:
            continue
        seen.add((done, states))
        if len(seen) > most_visits:
            raise UndecidedError(f"{len(history)} requests, {most_visits} places of the search")
        stack += reversed(list(_next(operations, order, done, states)))
    return None


def _next(
    operations: Sequence[Operation], order: tuple[int, ...], done: frozenset[int], states: frozenset[State]
) -> Iterator[tuple[tuple[int, ...], frozenset[State]]]:
    """Yield each request that may be the next one: it began before every other that is left has ended."""
    left = [number for number in range(len(operations)) if number not in done]
    first_end = min(operations[number].end for number in left)
    for number in left:
        one = operations[number]
        if one.begin > first_end:
            return
        answer = one.answer or _SUCCESSES.get(one.kind, "")
        after = frozenset(new for state in states for new in apply(state, one.kind, answer))
        if after:
            yield (*order, number), reachable(after)


def describe(history: Sequence[Operation]) -> str:
    """Return a history as text, in the order of the begins, with times since the first one."""
    begin = min(one.begin for one in history)
    moved = [one._replace(begin=one.begin - begin, end=one.end - begin) for one in history]
    return "; ".join(str(one) for one in sorted(moved, key=lambda one: one.begin))
