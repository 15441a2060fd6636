"""Who may leave a queue, and why the others may not (runtime 22)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.admission import (
    Cause,
    Entry,
    Holder,
    Pause,
    Queues,
    Scene,
    WorkerAccess,
    admit,
    behind,
    turn,
    wait_of,
)

LIMITED = Queues(limits={"etl": 2})
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _scenes(live: dict[str, int]) -> dict[str, Scene]:
    return {name: Scene(live=count) for name, count in live.items()}


@pytest.mark.parametrize(
    ("queues", "entries", "live", "released"),
    [
        (Queues(), [], {}, ()),
        (Queues(), [Entry(1, "a", 1)], {}, (1,)),
        (Queues(), [Entry(1, "a", 1)], {"a": 1}, ()),
        (Queues(), [Entry(1, "a", 1)], {"b": 9}, (1,)),
        (Queues(), [Entry(1, "a", 3), Entry(2, "a", 3)], {"a": 1}, (1, 2)),
        (Queues(), [Entry(1, "a", 3), Entry(2, "a", 3)], {"a": 2}, (1,)),
        (Queues(), [Entry(1, "a", -1), Entry(2, "a", -1)], {"a": 9}, (1, 2)),
        (Queues(), [Entry(1, "a", 0), Entry(2, "a", 0)], {}, (1,)),  # at least 1
        (LIMITED, [Entry(1, "etl", 1), Entry(2, "etl", 1), Entry(3, "etl", 1)], {}, (1, 2)),  # not what the DAG says
        (LIMITED, [Entry(1, "etl", 9)], {"etl": 2}, ()),
        (LIMITED, [Entry(1, "etl", -1)], {"etl": 2}, ()),
        (Queues(), [Entry(1, "a", 1), Entry(2, "a", 5)], {"a": 1}, ()),  # the second one may not overtake
        (Queues(), [Entry(1, "a", 1), Entry(2, "b", 1)], {"a": 1}, (2,)),
        (Queues(enabled=False), [Entry(1, "a", 1)], {}, ()),
    ],
)
def test_a_queue_is_served_in_order_up_to_its_limit(
    queues: Queues, entries: list[Entry], live: dict[str, int], released: tuple[int, ...]
) -> None:
    assert admit(entries, _scenes(live), queues).released == released


def test_nobody_leaves_a_paused_queue_and_others_go_on() -> None:
    scenes = {"a": Scene(pause=Pause(NOON))}
    assert admit([Entry(1, "a", 9), Entry(2, "b", 9)], scenes, Queues()).released == (2,)


@pytest.mark.parametrize(
    ("workers", "released"),
    [
        (None, (1, 2)),  # where no run asks for one
        ([], ()),
        ([{"gpu": "no"}], ()),
        ([{"gpu": "no"}, {"gpu": "yes", "zone": "a"}], (1, 2)),
    ],
)
def test_a_run_that_no_worker_fits_holds_up_those_behind_it(
    workers: list[dict[str, str]] | None, released: tuple[int, ...]
) -> None:
    entries = [Entry(1, "a", 9, {"gpu": "yes"}), Entry(2, "a", 9)]
    assert admit(entries, {"a": Scene(workers=workers)}, Queues()).released == released


def test_every_run_that_waits_is_told_how_many_go_before_it_and_what_the_first_one_waits_for() -> None:
    entries = [Entry(1, "etl", 1), Entry(2, "etl", 1), Entry(3, "etl", 1), Entry(4, "a", 1)]
    waiting = admit(entries, _scenes({"etl": 2, "a": 1}), LIMITED).waiting
    full = "queue 'etl' has 2 of at most 2 runs under way (the limit of the queue)"
    assert {run: wait.text for run, wait in waiting.items()} == {
        1: full,
        2: f"1 before it in queue 'etl'; {full}",
        3: f"2 before it in queue 'etl'; {full}",
        4: "queue 'a' has 1 of at most 1 runs under way (maxActiveRuns of the DAG)",
    }


def test_those_that_may_go_now_are_not_counted_as_before_the_others() -> None:
    entries = [Entry(run, "etl", 1) for run in (1, 2, 3, 4)]
    waiting = admit(entries, {}, LIMITED).waiting
    assert [(run, wait.before) for run, wait in waiting.items()] == [(3, 0), (4, 1)]


@pytest.mark.parametrize(
    ("scene", "entry", "cause", "text"),
    [
        (Scene(pause=Pause(NOON)), Entry(1, "a", 1), Cause.PAUSED, "queue 'a' is paused since 2026-03-01T12:00:00Z"),
        (
            Scene(pause=Pause(NOON, "ann"), live=9),
            Entry(1, "a", 1),
            Cause.PAUSED,
            "queue 'a' is paused since 2026-03-01T12:00:00Z by ann",
        ),
        (
            Scene(workers=[]),
            Entry(1, "a", 1, {"zone": "b", "gpu": "yes"}),
            Cause.WORKER,
            "no worker has the labels gpu=yes, zone=b",
        ),
        (
            Scene(live=1, holders=[Holder("etl", "r1", NOON)]),
            Entry(1, "a", 1),
            Cause.LIMIT,
            "queue 'a' has 1 of at most 1 runs under way (maxActiveRuns of the DAG): etl/r1 since 2026-03-01T12:00:00Z",
        ),
        (
            Scene(live=5, holders=[Holder("etl", f"r{number}") for number in range(4)]),
            Entry(1, "a", 5),
            Cause.LIMIT,
            "queue 'a' has 5 of at most 5 runs under way (maxActiveRuns of the DAG): etl/r0, etl/r1, etl/r2, 2 more",
        ),
    ],
)
def test_whoever_is_next_is_told_what_holds_it_up_since_when(
    scene: Scene, entry: Entry, cause: Cause, text: str
) -> None:
    wait = wait_of(entry, scene, Queues())
    assert wait is not None
    assert (wait.cause, wait.text) == (cause, text)


def test_where_there_can_be_no_worker_it_is_told_how_to_get_one() -> None:
    entry = Entry(1, "a", 1, {"zone": "a b", "gpu": "yes"})
    wait = wait_of(entry, Scene(workers=[]), Queues(workers=WorkerAccess.SQLITE))
    assert wait is not None
    assert wait.text == (
        "no worker has the labels gpu=yes, zone=a b: workers need a PostgreSQL database, this is SQLite; set "
        "database_url and start `dagbook worker --label=gpu=yes '--label=zone=a b'`, or set ignore_worker_selector "
        "to have such runs driven here"
    )


def test_where_selectors_are_ignored_no_worker_is_waited_for() -> None:
    queues = Queues(ignore_selectors=True)
    assert wait_of(Entry(1, "a", 1, {"gpu": "yes"}), Scene(workers=[]), queues) is None
    assert not queues.sends_to_worker({"gpu": "yes"})


def test_a_run_for_workers_waits_where_the_servers_reach_none_though_one_would_fit() -> None:
    entry = Entry(1, "a", 1, {"gpu": "yes"})
    wait = wait_of(entry, Scene(workers=[{"gpu": "yes"}]), Queues(workers=WorkerAccess.NO_EXTRA))
    assert wait is not None
    assert wait.cause is Cause.WORKER
    assert "they lack the extra distributed" in wait.text
    assert wait_of(Entry(2, "a", 1), Scene(workers=[]), Queues(workers=WorkerAccess.NO_EXTRA)) is None


def test_where_queues_are_switched_off_that_is_why() -> None:
    wait = wait_of(Entry(1, "a", 1), Scene(), Queues(enabled=False))
    assert wait is not None
    assert (wait.cause, wait.text) == (Cause.OFF, "queues are switched off (queues_enabled)")


def test_who_stands_behind_one_whose_turn_has_come_is_told_that() -> None:
    assert behind(turn("a"), 2).text == "2 before it in queue 'a', whose turn has come"


_entries = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 4)), max_size=20).map(
    lambda found: [Entry(number, queue, most) for number, (queue, most) in enumerate(found)]
)
_counts = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))


@given(_entries, _counts, st.dictionaries(st.sampled_from("ab"), st.integers(1, 4)))
def test_nobody_is_forgotten_nobody_overtakes_and_no_limit_is_passed(
    entries: list[Entry], live: dict[str, int], limits: dict[str, int]
) -> None:
    queues = Queues(limits=limits)
    admission = admit(entries, _scenes(live), queues)
    assert sorted([*admission.released, *admission.waiting]) == [entry.run for entry in entries]
    for name in "abc":
        own = [entry for entry in entries if entry.queue == name]
        gone = [entry for entry in own if entry.run in admission.released]
        assert gone == own[: len(gone)]
        assert [admission.waiting[entry.run].before for entry in own[len(gone) :]] == list(range(len(own) - len(gone)))
        for number, entry in enumerate(gone, live.get(name, 0) + 1):
            assert queues.limit(entry) is None or number <= (queues.limit(entry) or 0)
        if len(gone) < len(own):
            assert (queues.limit(own[len(gone)]) or 99) <= live.get(name, 0) + len(gone)
