"""Which orphaned runs are taken over when, if some of them may have killed the processes that took them over."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.runs.recovery.crash_loop import Orphan, choose, crashes_of
from dagbook.runs.recovery.ownership import Loss
from tests.runs.scene import now

ME = "me"


def _attempt(run: int, **values: Any) -> OpenAttempt:
    usual: dict[str, Any] = {
        name: None for name in OpenAttempt.__struct_fields__ if name not in OpenAttempt.__struct_defaults__
    }
    usual |= {"run": run, "number": 1, "token": 1, "opened_at": now(), "owner": "dead", "takeovers": 0}
    return OpenAttempt(**usual | values)


def _chosen(
    crashes: dict[int, int], *, unproven: int = 0, seconds: float = 60.0, stopping: Collection[int] = ()
) -> tuple[list[int], list[int], list[int]]:
    orphans = [Orphan(_attempt(run), Loss("gone"), count) for run, count in crashes.items()]
    choice = choose(orphans, unproven=unproven, seconds=seconds, stopping=stopping)
    named = [[orphan.attempt.run for orphan in part] for part in (choice.next, choice.ended, choice.waiting)]
    return named[0], named[1], named[2]


def test_runs_without_suspicion_are_taken_over_together() -> None:
    assert _chosen({1: 0, 2: 0, 3: 0}) == ([1, 2, 3], [], [])


def test_runs_without_suspicion_wait_for_no_other() -> None:
    assert _chosen({1: 0, 2: 1}, unproven=1) == ([1], [], [2])


def test_suspected_runs_come_after_the_others() -> None:
    assert _chosen({1: 1, 2: 0}) == ([2], [], [1])


def test_suspected_runs_are_taken_over_one_at_a_time_the_least_suspected_first() -> None:
    assert _chosen({1: 2, 2: 1, 3: 1}) == ([2], [], [3, 1])


def test_a_suspected_run_waits_until_another_one_is_known_to_be_harmless() -> None:
    assert _chosen({1: 1}, unproven=1) == ([], [], [1])


@pytest.mark.parametrize(("seconds", "taken"), [(9.9, []), (10.0, [1])])
def test_the_last_try_waits_until_the_process_has_lived_for_a_while(seconds: float, taken: list[int]) -> None:
    assert _chosen({1: 2}, seconds=seconds)[0] == taken


def test_after_three_crashes_a_run_is_not_taken_over_again() -> None:
    assert _chosen({1: 3, 2: 4, 3: 0}, unproven=1, seconds=0) == ([3], [1, 2], [])


def test_a_suspected_run_that_is_asked_to_stop_is_not_taken_over_at_all() -> None:
    assert _chosen({1: 1, 2: 1, 3: 0}, stopping={1, 3}) == ([3], [1], [2])


@pytest.mark.parametrize(
    ("values", "crashes"),
    [
        pytest.param({"takeovers": 2}, 2, id="owner-crashed-in-the-take-over"),
        pytest.param({"takeovers": 0}, 0, id="owner-had-survived-the-take-over"),
        pytest.param({"takeovers": 2, "stopped_at": now()}, 0, id="owner-stopped-in-order"),
        pytest.param({"takeovers": 2, "owner": ME}, 0, id="owner-is-this-process"),
    ],
)
def test_only_an_owner_that_died_unproven_counts(values: dict[str, Any], crashes: int) -> None:
    assert crashes_of(_attempt(1, **values), ME) == crashes
