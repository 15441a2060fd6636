"""Guessing gets slower."""

from __future__ import annotations

import pytest

from dagbook.auth.throttle import Throttle, ThrottleLimits, network_of
from dagbook.errors import TooManyAttemptsError


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(ThrottleLimits(failures=5, window_seconds=900, per_minute=100), clock)


def fail(throttle: Throttle, times: int, name: str = "ann", address: str = "192.0.2.1") -> None:
    for _ in range(times):
        throttle.acquire(name, address)


def delay_of(throttle: Throttle, name: str = "ann", address: str = "192.0.2.1") -> int:
    with pytest.raises(TooManyAttemptsError) as caught:
        throttle.acquire(name, address)
    assert caught.value.headers is not None
    return int(caught.value.headers["Retry-After"])


def test_the_failures_of_the_limit_are_free_and_the_next_attempt_waits(throttle: Throttle) -> None:
    fail(throttle, 5)
    assert delay_of(throttle) == 15


def test_each_further_failure_doubles_the_wait_up_to_the_window(throttle: Throttle, clock: Clock) -> None:
    fail(throttle, 5)
    waits = []
    for _ in range(6):
        waits.append(delay_of(throttle))
        clock.seconds += waits[-1]
        fail(throttle, 1)
    assert [*waits, delay_of(throttle)] == [15, 30, 60, 120, 240, 480, 900]


def test_the_wait_gets_shorter_as_time_passes_and_attempts_meanwhile_do_not_count(
    throttle: Throttle, clock: Clock
) -> None:
    fail(throttle, 5)
    clock.seconds += 14.5
    assert delay_of(throttle) == 1
    clock.seconds += 0.5
    fail(throttle, 1)


def test_failures_are_forgotten_after_the_window(throttle: Throttle, clock: Clock) -> None:
    fail(throttle, 5)
    clock.seconds += 900
    fail(throttle, 5)


def test_success_forgets_the_failures_of_that_name_and_address_only(throttle: Throttle) -> None:
    fail(throttle, 4)
    fail(throttle, 5, name="bob")
    throttle.succeed("ann", "192.0.2.1")
    fail(throttle, 5)
    delay_of(throttle, name="bob")


def test_other_names_and_other_addresses_are_not_slowed_down(throttle: Throttle) -> None:
    fail(throttle, 5)
    fail(throttle, 1, name="bob")
    fail(throttle, 1, address="192.0.2.2")


def test_the_addresses_of_one_ipv6_network_count_together(throttle: Throttle) -> None:
    fail(throttle, 5, address="2001:db8::1")
    delay_of(throttle, address="2001:db8::2")
    fail(throttle, 1, address="2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64"), ("", ""), ("testclient", "testclient")],
)
def test_what_is_no_address_is_counted_as_it_is(address: str, network: str) -> None:
    assert network_of(address) == network


def test_attempts_per_minute_are_limited(throttle: Throttle, clock: Clock) -> None:
    for number in range(100):
        fail(throttle, 1, name=f"user {number}")
        clock.seconds += 0.1
    assert delay_of(throttle, name="another") == 50
    clock.seconds += 50
    fail(throttle, 1, name="another")


def test_what_is_remembered_does_not_grow_without_bound(clock: Clock) -> None:
    throttle = Throttle(ThrottleLimits(failures=5, window_seconds=900, per_minute=100_000), clock)
    for number in range(5000):
        clock.seconds += 1
        fail(throttle, 1, name=f"user {number}")
    assert len(throttle._failures) <= 1000
