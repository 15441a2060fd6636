"""Who may leave a queue, and why the others may not (runtime 22)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.admission import Entry, Queues, admit

LIMITED = Queues(limits={"etl": 2})


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
    assert admit(entries, live, queues).released == released


def test_whoever_waits_is_told_why() -> None:
    entries = [Entry(1, "etl", 1), Entry(2, "etl", 1), Entry(3, "etl", 1), Entry(4, "a", 1)]
    assert admit(entries, {"etl": 2, "a": 1}, LIMITED).waiting == {
        1: "queue 'etl' has 2 of at most 2 runs under way",
        2: "1 before it in queue 'etl'",
        3: "2 before it in queue 'etl'",
        4: "queue 'a' has 1 of at most 1 runs under way",
    }


_entries = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 4)), max_size=20).map(
    lambda found: [Entry(number, queue, most) for number, (queue, most) in enumerate(found)]
)
_counts = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))


@given(_entries, _counts, st.dictionaries(st.sampled_from("ab"), st.integers(1, 4)))
def test_nobody_is_forgotten_nobody_overtakes_and_no_limit_is_passed(
    entries: list[Entry], live: dict[str, int], limits: dict[str, int]
) -> None:
    queues = Queues(limits=limits)
    admission = admit(entries, live, queues)
    assert sorted([*admission.released, *admission.waiting]) == [entry.run for entry in entries]
    for name in "abc":
        own = [entry for entry in entries if entry.queue == name]
        gone = [entry for entry in own if entry.run in admission.released]
        assert gone == own[: len(gone)]
        for number, entry in enumerate(gone, live.get(name, 0) + 1):
            assert queues.limit(entry) is None or number <= (queues.limit(entry) or 0)
        if len(gone) < len(own):
            assert (queues.limit(own[len(gone)]) or 99) <= live.get(name, 0) + len(gone)
