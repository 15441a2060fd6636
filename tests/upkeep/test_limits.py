"""What counts, where text, people and settings say different things; and which runs go together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.repositories.removal import Bound, Size
from app.upkeep.limits import Limits, Said, most_lenient
from app.upkeep.removing import is_large, pack


def test_minus_one_is_no_limit_and_zero_is_one() -> None:
    assert Said(days=-1, runs=-1, log_bytes=-1).limits == Limits()
    assert Said(days=0, runs=0, log_bytes=0).limits == Limits(seconds=0, runs=0, log_bytes=0)


def test_days_are_counted_in_seconds() -> None:
    assert Said(days=2).limits.seconds == 172_800


def test_who_says_nothing_lets_the_next_one_speak() -> None:
    own, text, settings = Said(runs=5), Said(days=-1), Said(days=30, runs=7, log_bytes=100)
    assert own.or_else(text).or_else(settings) == Said(days=-1, runs=5, log_bytes=100)


@pytest.mark.parametrize(
    ("several", "kept"),
    [
        ([Said(days=3), Said(days=9)], Said(days=9)),
        ([Said(days=-1), Said(days=9)], Said(days=-1)),
        ([Said(runs=2), Said()], Said(runs=2)),
        ([], Said()),
    ],
)
def test_of_several_stored_dags_of_one_name_each_keeps_what_it_wants(several: list[Said], kept: Said) -> None:
    assert most_lenient(several) == kept


@pytest.mark.parametrize(
    ("limits", "goes"),
    [(Limits(seconds=60), True), (Limits(seconds=0), False), (Limits(seconds=0, newest=True), True)],
)
def test_what_is_kept_for_no_time_is_there_until_the_next_run(limits: Limits, *, goes: bool) -> None:
    assert limits.lets_newest_go is goes


_SIZES = st.lists(
    st.builds(Size, rows=st.integers(1, 30), chunks=st.integers(0, 30), log_bytes=st.integers(0, 30)), max_size=30
)


@given(_SIZES)
def test_runs_go_together_up_to_the_bound_and_large_ones_alone(sizes: list[Size]) -> None:
    bound, by_key = Bound(rows=20, log_bytes=15), dict(enumerate(sizes))
    groups = list(pack(by_key, bound))
    assert [key for group in groups for key in group] == list(by_key)
    for group in groups:
        rows = sum(by_key[key].rows + by_key[key].chunks for key in group)
        fits = rows <= bound.rows and sum(by_key[key].log_bytes for key in group) <= bound.log_bytes
        assert fits or (len(group) == 1 and is_large(by_key[group[0]], bound))
