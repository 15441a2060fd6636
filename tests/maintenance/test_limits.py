"""Retention settings of several sources, and the batches of a deletion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.db.repositories.deletion import BatchLimit, Size
from dagbook.maintenance.retention.deletion import batch, is_large
from dagbook.maintenance.retention.limits import Limits, RetentionSettings, merge_lenient


def test_minus_one_is_no_limit_and_zero_is_one() -> None:
    assert RetentionSettings(days=-1, runs=-1, log_bytes=-1).limits == Limits()
    assert RetentionSettings(days=0, runs=0, log_bytes=0).limits == Limits(seconds=0, runs=0, log_bytes=0)


def test_days_are_counted_in_seconds() -> None:
    assert RetentionSettings(days=2).limits.seconds == 172_800


def test_unset_values_fall_back_to_the_next_source() -> None:
    own, text, settings = (
        RetentionSettings(runs=5),
        RetentionSettings(days=-1),
        RetentionSettings(days=30, runs=7, log_bytes=100),
    )
    assert own.with_fallback(text).with_fallback(settings) == RetentionSettings(days=-1, runs=5, log_bytes=100)


@pytest.mark.parametrize(
    ("several", "kept"),
    [
        ([RetentionSettings(days=3), RetentionSettings(days=9)], RetentionSettings(days=9)),
        ([RetentionSettings(days=-1), RetentionSettings(days=9)], RetentionSettings(days=-1)),
        ([RetentionSettings(runs=2), RetentionSettings()], RetentionSettings(runs=2)),
        ([], RetentionSettings()),
    ],
)
def test_of_several_dags_of_one_name_the_most_lenient_settings_are_used(
    several: list[RetentionSettings], kept: RetentionSettings
) -> None:
    assert merge_lenient(several) == kept


@pytest.mark.parametrize(
    ("limits", "goes"),
    [(Limits(seconds=60), True), (Limits(seconds=0), False), (Limits(seconds=0, newest=True), True)],
)
def test_with_a_limit_of_zero_the_newest_run_is_kept(limits: Limits, *, goes: bool) -> None:
    assert limits.may_delete_newest is goes


_SIZES = st.lists(
    st.builds(Size, rows=st.integers(1, 30), chunks=st.integers(0, 30), log_bytes=st.integers(0, 30)), max_size=30
)


@given(_SIZES)
def test_runs_are_batched_up_to_the_bound_and_large_ones_alone(sizes: list[Size]) -> None:
    bound, by_key = BatchLimit(rows=20, log_bytes=15), dict(enumerate(sizes))
    groups = list(batch(by_key, bound))
    assert [key for group in groups for key in group] == list(by_key)
    for group in groups:
        rows = sum(by_key[key].rows + by_key[key].chunks for key in group)
        fits = rows <= bound.rows and sum(by_key[key].log_bytes for key in group) <= bound.log_bytes
        assert fits or (len(group) == 1 and is_large(by_key[group[0]], bound))
