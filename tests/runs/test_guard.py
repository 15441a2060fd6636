"""Whether a new run may be started now (api-behaviour 3.4)."""

from __future__ import annotations

import pytest

from app.db.repositories.transitions import Activity, NewRun
from app.runs.guard import guard


def _run(*, most: int, singleton: bool = False) -> NewRun:
    return NewRun(
        key=1,
        dag_name="etl",
        run_id="r1",
        singleton=singleton,
        max_active_runs=most,
        definition={},
        run={},
        attempt={},
        inputs={},
        nodes=[],
        events=[],
    )


@pytest.mark.parametrize(
    ("most", "singleton", "used", "live", "queued", "code"),
    [
        (1, False, False, 0, 0, None),
        (1, False, False, 1, 0, "max_run_reached"),
        (1, False, False, 0, 1, "max_run_reached"),
        (1, False, True, 0, 0, "already_exists"),
        (1, False, True, 1, 0, "already_exists"),  # the used id is told first
        (2, False, False, 1, 0, None),
        (2, False, False, 1, 1, "max_run_reached"),
        (2, False, False, 0, 2, "max_run_reached"),
        (2, True, False, 1, 0, "max_run_reached"),
        (2, True, False, 0, 1, None),
        (-1, False, False, 99, 99, None),
        (-1, True, False, 1, 0, "max_run_reached"),
        (-1, True, False, 0, 9, None),
        (-1, False, True, 0, 0, "already_exists"),
        (0, False, False, 5, 0, None),
    ],
)
def test_a_run_is_refused_for_its_id_for_a_live_one_or_for_the_limit(
    most: int, singleton: bool, used: bool, live: int, queued: int, code: str | None
) -> None:
    refusal = guard(_run(most=most, singleton=singleton), used, Activity(live=live, queued=queued))
    assert (refusal.code if refusal else None) == code
    assert refusal is None or "etl" in refusal.message
