"""Which steps lie before a step, and whose outputs it therefore sees (DAG format 5.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from app.spec.model import Step


def visible_outputs(steps: Sequence[Step], index: int) -> tuple[int, ...]:
    """List the steps with an output that a step depends on, directly or not: the nearest first."""
    places = {step.name: place for place, step in enumerate(steps)}
    seen = {index}
    found = []
    waiting = deque([index])
    while waiting:
        for name in steps[waiting.popleft()].depends:
            place = places.get(name)
            if place is None or place in seen:
                continue
            seen.add(place)
            waiting.append(place)
            if steps[place].output:
                found.append(place)
    return tuple(found)
