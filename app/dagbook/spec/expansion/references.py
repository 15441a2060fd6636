"""Which outputs a step sees: those of the steps upstream (DAG format 5.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dagbook.spec.model import Step


def visible_outputs(steps: Sequence[Step], index: int) -> tuple[int, ...]:
    """List the steps with an output that a step depends on, directly or not, nearest first."""
    positions = {step.name: position for position, step in enumerate(steps)}
    seen = {index}
    found = []
    waiting = deque([index])
    while waiting:
        for name in steps[waiting.popleft()].depends:
            position = positions.get(name)
            if position is None or position in seen:
                continue
            seen.add(position)
            waiting.append(position)
            if steps[position].output:
                found.append(position)
    return tuple(found)
