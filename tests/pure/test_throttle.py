"""Guessing gets slower."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from dagbook.auth.throttle import (
    Attempt,
    Budget,
    ThrottleLimits,
    is_overtaken,
    key_of_site,
    make_attempt,
    network_of,
    site_of,
    wait_seconds,
)
from dagbook.db.repositories.login_failures import FailureCount

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = ThrottleLimits(failures=5, per_address=100, window_seconds=900, per_minute=100)
ANN = make_attempt("ann", "192.0.2.1", is_users=False)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failures(key: str, count: int, *, seconds_ago: float = 0, left: float = 900) -> dict[str, FailureCount]:
    at = NOW - timedelta(seconds=seconds_ago)
    return {key: FailureCount(key=key, count=count, last_at=at, expires_at=NOW + timedelta(seconds=left))}


def wait(found: Mapping[str, FailureCount], attempt: Attempt = ANN) -> float:
    return max(wait_seconds(LIMITS, attempt, found, NOW), 0)


def test_the_failures_of_the_limit_are_free_and_each_further_one_doubles_the_wait_up_to_the_window() -> None:
    waits = [wait(failures(ANN.pair, count)) for count in range(14)]
    assert waits == [0, 0, 0, 0, 0, 15, 30, 60, 120, 240, 480, 900, 900, 900]


def test_the_wait_gets_shorter_as_time_passes() -> None:
    assert wait(failures(ANN.pair, 5, seconds_ago=14.5)) == 0.5
    assert wait(failures(ANN.pair, 5, seconds_ago=15)) == 0


def test_a_name_is_delayed_after_twice_as_many_failures_from_all_addresses() -> None:
    waits = [wait(failures(ANN.by_name, count)) for count in (9, 10, 11, 12)]
    assert waits == [0, 15, 30, 60]


def test_guesses_from_elsewhere_do_not_delay_a_user_at_an_address_that_is_known() -> None:
    at_home = make_attempt("ann", "192.0.2.1", is_users=True)
    assert wait(failures(ANN.by_name, 1000), at_home) == 0
    assert wait(failures(ANN.pair, 5), at_home) == 15


def test_an_address_is_refused_for_the_rest_of_the_window_after_a_hundred_failures() -> None:
    assert wait(failures(ANN.site, 99, left=321)) == 0
    assert wait(failures(ANN.site, 100, left=321)) == 321


def test_each_count_has_a_key_of_its_own() -> None:
    others = [("bob", "192.0.2.1"), ("ann", "192.0.2.2"), ("ann:192.0.2.1", ""), ("", "")]
    attempts = [ANN, *(make_attempt(name, address, is_users=False) for name, address in others)]
    assert len({attempt.pair for attempt in attempts}) == len(attempts)
    assert attempts[1].site == ANN.site != attempts[2].site
    assert attempts[2].by_name == ANN.by_name != attempts[1].by_name
    assert {len(key) for attempt in attempts for key in attempt.keys} == {64}


def test_a_name_may_be_any_text() -> None:
    assert make_attempt("a\0b", "", is_users=False).pair != make_attempt("\udc80", "", is_users=False).pair


@pytest.mark.parametrize(
    ("before", "after", "overtaken"),
    [(0, 1, False), (3, 5, False), (4, 6, True), (5, 6, False), (5, 7, True)],
    ids=["first", "still free", "the last free one is taken", "its delay is over", "another one after the delay"],
)
def test_attempts_at_once_do_not_share_the_last_place(before: int, after: int, overtaken: bool) -> None:
    counted = failures(ANN.site, 1) | failures(ANN.by_name, 1) | failures(ANN.pair, after)
    assert is_overtaken(LIMITS, ANN, failures(ANN.pair, before) if before else {}, counted) is overtaken


def test_attempts_at_once_do_not_exceed_the_limit_of_an_address() -> None:
    counted = failures(ANN.by_name, 1) | failures(ANN.pair, 1)
    assert not is_overtaken(LIMITS, ANN, {}, counted | failures(ANN.site, 100))
    assert is_overtaken(LIMITS, ANN, {}, counted | failures(ANN.site, 101))


@pytest.mark.parametrize(
    ("address", "network", "site"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64", "2001:db8::/48"),
        ("::1", "::/64", "::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("", "", ""),
        ("testclient", "testclient", "testclient"),
        ("x" * 100, "x" * 64, "x" * 64),
    ],
)
def test_the_addresses_of_one_customer_count_together(address: str, network: str, site: str) -> None:
    assert (network_of(address), site_of(address)) == (network, site)
    assert key_of_site(site) == key_of_site(address)


# -- the budget of a server ----------------------------------------------------------------------------------------


def take(budget: Budget, times: int, site: str, *, is_known: bool = False) -> list[float]:
    return [budget.take(site, is_known=is_known) for _ in range(times)]


def test_one_address_gets_half_of_the_attempts_of_a_minute(clock: Clock) -> None:
    budget = Budget(100, clock)
    assert take(budget, 50, "one") == [0] * 50
    clock.seconds += 20
    assert take(budget, 80, "one") == [40] * 80
    assert take(budget, 1, "another") == [0]


def test_a_quarter_of_the_attempts_is_kept_for_addresses_that_are_known(clock: Clock) -> None:
    budget = Budget(100, clock)
    given = [budget.take(f"bot {number}", is_known=False) for number in range(80)]
    assert given == [0] * 75 + [60] * 5
    assert [budget.take(f"user {number}", is_known=True) for number in range(26)] == [0] * 25 + [60]


def test_attempts_are_given_again_after_a_minute(clock: Clock) -> None:
    budget = Budget(4, clock)
    for _ in range(3):
        assert take(budget, 1, "a") + take(budget, 1, "b", is_known=True) == [0, 0]
        assert take(budget, 1, "b", is_known=True) == [0]
        clock.seconds += 60
    assert take(budget, 4, "c", is_known=True) == [0, 0, 60, 60]


def test_a_budget_of_one_attempt_is_one_for_strangers_too(clock: Clock) -> None:
    assert take(Budget(1, clock), 2, "a") == [0, 60]
