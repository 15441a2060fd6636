"""Runs sorted into their queues (api-behaviour 3.7)."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.api.presenters.queues import group_by_queue, summarize
from dagbook.api.schemas.queues import Queue
from dagbook.db.repositories.queue import ActiveRunRow, QueuedRunRow
from dagbook.engine.admission import QueueConfig

LIMITS = QueueConfig(limits={"z": 2, "a": 1})


def _active(queue: str, most: int = 1) -> ActiveRunRow:
    return ActiveRunRow(**_values(ActiveRunRow, queue, most))


def _queued(queue: str, most: int = 1) -> QueuedRunRow:
    return QueuedRunRow(**_values(QueuedRunRow, queue, most))


def _values(kind: type[ActiveRunRow], queue: str, most: int) -> dict[str, Any]:
    return dict.fromkeys(kind.__struct_fields__) | {"queue": queue, "max_active_runs": most}


def test_configured_queues_come_first_and_in_their_order_even_empty() -> None:
    found = group_by_queue(LIMITS, [_active("m")], [_queued("b"), _queued("a")])
    assert [(group.name, group.configured, group.limit) for group in found] == [
        ("z", True, 2),
        ("a", True, 1),
        ("b", False, 1),
        ("m", False, 1),
    ]


def test_a_queue_that_is_not_configured_has_the_limit_of_its_first_run() -> None:
    (group,) = group_by_queue(QueueConfig(), [_active("q", 3)], [_queued("q", 5)])
    assert (group.limit, len(group.active), len(group.queued)) == (3, 1, 1)


def test_with_queues_switched_off_none_is_configured() -> None:
    found = group_by_queue(QueueConfig(enabled=False, limits={"z": 2}), [], [_queued("z")])
    assert [(group.name, group.configured) for group in found] == [("z", False)]


@pytest.mark.parametrize(
    ("running", "limits", "capacity", "utilization"),
    [([], [], 0, 0), ([1], [2], 2, 50), ([3], [2], 2, 100), ([1, 1], [None, 4], 4, 50), ([5], [None], 0, 0)],
)
def test_the_share_of_the_capacity_that_is_used_never_passes_all_of_it(
    running: list[int], limits: list[int | None], capacity: int, utilization: float
) -> None:
    queues = []
    for count, limit in zip(running, limits, strict=True):
        queue = Queue(name="q", type="global", running=[{}] * count, queued=[])  # type: ignore[list-item]  # only counted
        if limit is not None:
            queue.max_concurrency = limit
        queues.append(queue)
    summary = summarize(queues)
    assert (summary.total_capacity, summary.utilization_percentage) == (capacity, utilization)
    assert (summary.total_queues, summary.total_running) == (len(running), sum(running))
