"""Queue admission (runtime 22)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.engine.admission import (
    ActiveRun,
    Pause,
    QueueConfig,
    QueuedRun,
    QueueSnapshot,
    WaitCause,
    WorkerAccess,
    admit,
    queued_behind,
    ready,
    wait_reason,
)

LIMITED = QueueConfig(limits={"etl": 2})
FULL = "queue 'a' is at its limit: 1 of 1 runs active (maxActiveRuns of the DAG)"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOVE = Pause(NOON, "ann", "move of the database", NOON.replace(hour=18), everything=True)


def _states(live: dict[str, int]) -> dict[str, QueueSnapshot]:
    return {name: QueueSnapshot(active=count) for name, count in live.items()}


@pytest.mark.parametrize(
    ("queues", "entries", "live", "released"),
    [
        (QueueConfig(), [], {}, ()),
        (QueueConfig(), [QueuedRun(1, "a", 1)], {}, (1,)),
        (QueueConfig(), [QueuedRun(1, "a", 1)], {"a": 1}, ()),
        (QueueConfig(), [QueuedRun(1, "a", 1)], {"b": 9}, (1,)),
        (QueueConfig(), [QueuedRun(1, "a", 3), QueuedRun(2, "a", 3)], {"a": 1}, (1, 2)),
        (QueueConfig(), [QueuedRun(1, "a", 3), QueuedRun(2, "a", 3)], {"a": 2}, (1,)),
        (QueueConfig(), [QueuedRun(1, "a", -1), QueuedRun(2, "a", -1)], {"a": 9}, (1, 2)),
        (QueueConfig(), [QueuedRun(1, "a", 0), QueuedRun(2, "a", 0)], {}, (1,)),  # at least 1
        (
            LIMITED,
            [QueuedRun(1, "etl", 1), QueuedRun(2, "etl", 1), QueuedRun(3, "etl", 1)],
            {},
            (1, 2),
        ),  # not what the DAG says
        (LIMITED, [QueuedRun(1, "etl", 9)], {"etl": 2}, ()),
        (LIMITED, [QueuedRun(1, "etl", -1)], {"etl": 2}, ()),
        (QueueConfig(), [QueuedRun(1, "a", 1), QueuedRun(2, "a", 5)], {"a": 1}, ()),  # the second one may not overtake
        (QueueConfig(), [QueuedRun(1, "a", 1), QueuedRun(2, "b", 1)], {"a": 1}, (2,)),
        (QueueConfig(enabled=False), [QueuedRun(1, "a", 1)], {}, ()),
        # The queue that is named after a DAG counts that DAG alone, unless it is configured; for others it counts all.
        (QueueConfig(), [QueuedRun(1, "a", 1, {}, "a"), QueuedRun(2, "a", 1, {}, "a")], {"a": 1}, (1,)),
        (QueueConfig(), [QueuedRun(1, "a", 1, {}, "b")], {"a": 1}, ()),
        (LIMITED, [QueuedRun(1, "etl", 9, {}, "etl")], {"etl": 2}, ()),
    ],
)
def test_a_queue_is_served_in_order_up_to_its_limit(
    queues: QueueConfig, entries: list[QueuedRun], live: dict[str, int], released: tuple[int, ...]
) -> None:
    assert admit(entries, _states(live), queues).released == released


def test_no_run_leaves_a_paused_queue_and_other_queues_continue() -> None:
    states = {"a": QueueSnapshot(pause=Pause(NOON))}
    assert admit([QueuedRun(1, "a", 9), QueuedRun(2, "b", 9)], states, QueueConfig()).released == (2,)


@pytest.mark.parametrize(
    ("workers", "released"),
    [
        (None, (1, 2)),  # where no run asks for one
        ([], ()),
        ([{"gpu": "no"}], ()),
        ([{"gpu": "no"}, {"gpu": "yes", "zone": "a"}], (1, 2)),
    ],
)
def test_a_run_without_a_matching_worker_blocks_the_runs_behind_it(
    workers: list[dict[str, str]] | None, released: tuple[int, ...]
) -> None:
    entries = [QueuedRun(1, "a", 9, {"gpu": "yes"}), QueuedRun(2, "a", 9)]
    assert admit(entries, {"a": QueueSnapshot(workers=workers)}, QueueConfig()).released == released


def test_the_wait_reason_counts_the_runs_ahead_and_names_what_the_first_one_waits_for() -> None:
    entries = [QueuedRun(1, "etl", 1), QueuedRun(2, "etl", 1), QueuedRun(3, "etl", 1), QueuedRun(4, "a", 1)]
    waiting = admit(entries, _states({"etl": 2, "a": 1}), LIMITED).queued
    full = "queue 'etl' is at its limit: 2 of 2 runs active (limit of the queue)"
    assert {run: wait.text for run, wait in waiting.items()} == {
        1: full,
        2: f"1 ahead in queue 'etl'; {full}",
        3: f"2 ahead in queue 'etl'; {full}",
        4: FULL,
    }


def test_released_runs_are_not_counted_as_ahead_of_the_others() -> None:
    entries = [QueuedRun(run, "etl", 1) for run in (1, 2, 3, 4)]
    waiting = admit(entries, {}, LIMITED).queued
    assert [(run, wait.ahead) for run, wait in waiting.items()] == [(3, 0), (4, 1)]


@pytest.mark.parametrize(
    ("state", "entry", "cause", "text"),
    [
        (
            QueueSnapshot(pause=Pause(NOON)),
            QueuedRun(1, "a", 1),
            WaitCause.PAUSED,
            "queue 'a' is paused since 2026-03-01T12:00:00Z",
        ),
        (
            QueueSnapshot(pause=Pause(NOON, "ann"), active=9),
            QueuedRun(1, "a", 1),
            WaitCause.PAUSED,
            "queue 'a' is paused since 2026-03-01T12:00:00Z by ann",
        ),
        (
            QueueSnapshot(pause=Pause(NOON, "ann", "full disk", NOON.replace(hour=18))),
            QueuedRun(1, "a", 1),
            WaitCause.PAUSED,
            "queue 'a' is paused since 2026-03-01T12:00:00Z by ann until 2026-03-01T18:00:00Z: full disk",
        ),
        (
            QueueSnapshot(total_pause=MOVE, pause=Pause(NOON, "bob"), active=9),
            QueuedRun(1, "a", 1),
            WaitCause.PAUSED,
            "everything is paused by ann until 2026-03-01T18:00:00Z: move of the database",
        ),
        (
            QueueSnapshot(workers=[]),
            QueuedRun(1, "a", 1, {"zone": "b", "gpu": "yes"}),
            WaitCause.WORKER,
            "no worker has the labels gpu=yes, zone=b",
        ),
        (
            QueueSnapshot(active=1, active_runs=[ActiveRun("etl", "r1", NOON)]),
            QueuedRun(1, "a", 1),
            WaitCause.LIMIT,
            f"{FULL}: etl/r1 since 2026-03-01T12:00:00Z",
        ),
        (
            QueueSnapshot(active=5, active_runs=[ActiveRun("etl", f"r{number}") for number in range(4)]),
            QueuedRun(1, "a", 5),
            WaitCause.LIMIT,
            "queue 'a' is at its limit: 5 of 5 runs active (maxActiveRuns of the DAG): etl/r0, etl/r1, etl/r2, 2 more",
        ),
    ],
)
def test_the_wait_reason_of_the_first_run_names_what_blocks_it_and_since_when(
    state: QueueSnapshot, entry: QueuedRun, cause: WaitCause, text: str
) -> None:
    wait = wait_reason(entry, state, QueueConfig())
    assert wait is not None
    assert (wait.cause, wait.text) == (cause, text)


def test_a_pause_of_everything_does_not_stop_the_sub_runs_of_active_runs() -> None:
    of_root, of_sub_run = QueuedRun(1, "a", 1), QueuedRun(2, "called run r1", 1, is_sub_run=True)
    states = {entry.queue: QueueSnapshot(total_pause=MOVE) for entry in (of_root, of_sub_run)}
    assert admit([of_root, of_sub_run], states, QueueConfig()).released == (2,)


def test_the_wait_reason_says_how_to_get_a_worker_on_sqlite() -> None:
    entry = QueuedRun(1, "a", 1, {"zone": "a b", "gpu": "yes"})
    wait = wait_reason(entry, QueueSnapshot(workers=[]), QueueConfig(workers=WorkerAccess.SQLITE))
    assert wait is not None
    assert wait.text == (
        "no worker has the labels gpu=yes, zone=a b: workers need a PostgreSQL database, this is SQLite; set "
        "database_url and start `dagbook worker --label=gpu=yes '--label=zone=a b'`, or set ignore_worker_selector "
        "to run such DAGs here"
    )


def test_ignored_selectors_need_no_worker() -> None:
    queues = QueueConfig(ignore_selectors=True)
    assert wait_reason(QueuedRun(1, "a", 1, {"gpu": "yes"}), QueueSnapshot(workers=[]), queues) is None
    assert not queues.sends_to_worker({"gpu": "yes"})


def test_a_run_with_a_selector_waits_if_the_servers_cannot_reach_workers() -> None:
    entry = QueuedRun(1, "a", 1, {"gpu": "yes"})
    wait = wait_reason(entry, QueueSnapshot(workers=[{"gpu": "yes"}]), QueueConfig(workers=WorkerAccess.NO_EXTRA))
    assert wait is not None
    assert wait.cause is WaitCause.WORKER
    assert "they lack the extra distributed" in wait.text
    assert (
        wait_reason(QueuedRun(2, "a", 1), QueueSnapshot(workers=[]), QueueConfig(workers=WorkerAccess.NO_EXTRA)) is None
    )


def test_disabled_queues_are_the_wait_reason() -> None:
    wait = wait_reason(QueuedRun(1, "a", 1), QueueSnapshot(), QueueConfig(enabled=False))
    assert wait is not None
    assert (wait.cause, wait.text) == (WaitCause.OFF, "queues are switched off (queues_enabled)")


def test_a_run_behind_a_ready_one_says_so() -> None:
    assert queued_behind(ready("a"), 2).text == "2 ahead in queue 'a', ready to start"


_entries = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 4)), max_size=20).map(
    lambda found: [QueuedRun(number, queue, most) for number, (queue, most) in enumerate(found)]
)
_counts = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))


@given(_entries, _counts, st.dictionaries(st.sampled_from("ab"), st.integers(1, 4)))
def test_no_run_is_lost_none_overtakes_and_no_limit_is_exceeded(
    entries: list[QueuedRun], live: dict[str, int], limits: dict[str, int]
) -> None:
    queues = QueueConfig(limits=limits)
    admission = admit(entries, _states(live), queues)
    assert sorted([*admission.released, *admission.queued]) == [entry.run for entry in entries]
    for name in "abc":
        own = [entry for entry in entries if entry.queue == name]
        left = [entry for entry in own if entry.run in admission.released]
        assert left == own[: len(left)]
        assert [admission.queued[entry.run].ahead for entry in own[len(left) :]] == list(range(len(own) - len(left)))
        for number, entry in enumerate(left, live.get(name, 0) + 1):
            assert queues.limit(entry) is None or number <= (queues.limit(entry) or 0)
        if len(left) < len(own):
            assert (queues.limit(own[len(left)]) or 99) <= live.get(name, 0) + len(left)
