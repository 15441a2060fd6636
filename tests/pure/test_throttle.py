"""Guessing gets slower, and keeps nobody else out (S4, S15)."""

from __future__ import annotations

import sys

import pytest

from dagbook.accounts.authentication import Credentials
from dagbook.accounts.login_throttle import Attempt, Bucket, Buckets, CredentialThrottle, LoginThrottle
from dagbook.auth.networks import network_of, site_of
from dagbook.errors import TooManyAttemptsError, TooManyRequestsError

HOME, ELSEWHERE, ATTACKER = "192.0.2.1", "198.51.100.9", "203.0.113.66"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sites(clock: Clock) -> Buckets:
    return Buckets(clock)


@pytest.fixture
def logins(sites: Buckets, clock: Clock) -> LoginThrottle:
    return LoginThrottle(sites, 1000, clock)


@pytest.fixture
def credentials(sites: Buckets, clock: Clock) -> CredentialThrottle:
    return CredentialThrottle(sites, clock)


def wait_of(error: TooManyAttemptsError | TooManyRequestsError) -> int:
    return int((error.headers or {})["Retry-After"])


def fail(throttle: LoginThrottle, name: str, address: str, times: int = 1) -> list[int]:
    """Try to log in, and return how many seconds each attempt has to wait."""
    waits = []
    for _ in range(times):
        try:
            throttle.admit(name, address)
            waits.append(0)
        except TooManyAttemptsError as error:
            waits.append(wait_of(error))
    return waits


# -- a name from an address ------------------------------------------------------------------------------------------


def test_five_failures_are_free_and_each_further_one_doubles_the_wait_up_to_the_window() -> None:
    waits = [Bucket(1900, count, 1000).delay(1000) for count in range(14)]
    assert waits == [0, 0, 0, 0, 0, 15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert [Bucket(1900, 5, 1000).delay(now) for now in (1014.5, 1015, 1100)] == [0.5, 0, 0]


def test_who_waits_may_try_once_more_and_then_waits_longer(logins: LoginThrottle, clock: Clock) -> None:
    assert fail(logins, "ann", ATTACKER, 7) == [0] * 5 + [15, 15]
    clock.seconds += 15
    assert fail(logins, "ann", ATTACKER, 2) == [0, 30]
    clock.seconds += 899  # each failure extends the window
    assert fail(logins, "ann", ATTACKER, 2) == [0, 60]
    clock.seconds += 900
    assert fail(logins, "ann", ATTACKER, 5) == [0] * 5


def test_other_names_and_other_addresses_do_not_wait(logins: LoginThrottle) -> None:
    fail(logins, "ann", ATTACKER, 6)
    assert fail(logins, "bob", ATTACKER) + fail(logins, "ann", HOME) == [0, 0]


def test_a_login_takes_back_what_its_attempt_counted(logins: LoginThrottle, sites: Buckets) -> None:
    fail(logins, "ann", HOME, 4)
    attempt = logins.admit("ann", HOME)
    logins.succeed(attempt)
    assert sites.get(attempt.of_site).count == 4
    assert fail(logins, "ann", HOME, 5) == [0] * 5


def test_each_bucket_has_a_key_of_its_own(logins: LoginThrottle) -> None:
    pairs = [
        ("ann", HOME),
        ("bob", HOME),
        ("ann", ELSEWHERE),
        (f"ann:{HOME}", ""),
        ("", ""),
        ("a\0b", ""),
        ("\udc80", ""),
    ]
    attempts: list[Attempt] = [logins.admit(name, address) for name, address in pairs]
    assert len({attempt.of_name for attempt in attempts}) == len(pairs)
    assert attempts[0].of_site == attempts[1].of_site != attempts[2].of_site


def test_long_names_take_no_memory(logins: LoginThrottle) -> None:
    attempt = logins.admit("x" * 1_000_000, "y" * 1_000_000)
    assert sum(map(sys.getsizeof, attempt)) < 200


# -- an address ------------------------------------------------------------------------------------------------------


def test_an_address_that_tries_many_names_is_refused_until_its_window_ends(logins: LoginThrottle, clock: Clock) -> None:
    assert [fail(logins, f"user {number}", ATTACKER) for number in range(100)] == [[0]] * 100
    clock.seconds += 100
    assert fail(logins, "ann", ATTACKER, 20) == [800] * 20
    assert fail(logins, "ann", ELSEWHERE) == [0]
    clock.seconds += 800
    assert fail(logins, "ann", ATTACKER) == [0]


def test_the_networks_of_one_ipv6_site_are_refused_together(logins: LoginThrottle) -> None:
    waits = [fail(logins, f"user {number}", f"2001:db8:7:{number:x}::1")[0] for number in range(101)]
    assert [wait > 0 for wait in waits] == [False] * 100 + [True]
    assert fail(logins, "ann", "2001:db8:8::1") == [0]


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


# -- the attempts of a server ----------------------------------------------------------------------------------------


def test_one_address_gets_half_of_the_attempts_of_a_minute(sites: Buckets, clock: Clock) -> None:
    logins = LoginThrottle(sites, 100, clock)
    assert [fail(logins, f"user {number}", ATTACKER) for number in range(50)] == [[0]] * 50
    clock.seconds += 20
    assert [fail(logins, f"more {number}", ATTACKER) for number in range(20)] == [[40]] * 20
    assert fail(logins, "ann", ELSEWHERE) == [0]


def test_a_quarter_of_the_attempts_is_kept_for_addresses_of_users(sites: Buckets, clock: Clock) -> None:
    logins = LoginThrottle(sites, 100, clock)
    for number in range(30):
        logins.succeed(logins.admit("ann", f"192.0.2.{number}"))
    clock.seconds += 60
    assert [fail(logins, f"user {number}", f"198.51.100.{number}")[0] for number in range(80)] == [0] * 75 + [60] * 5
    assert [fail(logins, "ann", f"192.0.2.{number}")[0] for number in range(26)] == [0] * 25 + [60]


def test_attempts_are_given_again_after_a_minute(sites: Buckets, clock: Clock) -> None:
    logins = LoginThrottle(sites, 1, clock)
    assert fail(logins, "ann", HOME, 2) == [0, 60]
    clock.seconds += 60
    assert fail(logins, "ann", HOME, 2) == [0, 60]


# -- bearer tokens and Basic passwords ---------------------------------------------------------------------------------


def guess(number: int, address: str = ATTACKER) -> Credentials:
    return Credentials(authorization=f"Bearer guess {number}", address=address)


def refusal(throttle: CredentialThrottle, given: Credentials) -> int:
    try:
        throttle.check(given)
    except TooManyRequestsError as error:
        return wait_of(error)
    return 0


def test_invalid_credentials_and_failed_logins_of_an_address_count_together(
    credentials: CredentialThrottle, logins: LoginThrottle, clock: Clock
) -> None:
    for number in range(50):
        assert refusal(credentials, guess(number)) == 0
        credentials.fail(guess(number))
        fail(logins, f"user {number}", ATTACKER)
    assert refusal(credentials, guess(99)) == 900
    assert refusal(credentials, guess(99, ELSEWHERE)) == 0
    assert fail(logins, "ann", ATTACKER) == [900]
    clock.seconds += 900
    assert refusal(credentials, guess(99)) == 0


def test_an_expired_token_that_a_program_repeats_is_one_failure(credentials: CredentialThrottle) -> None:
    for _ in range(1000):
        credentials.fail(guess(1))
    assert refusal(credentials, guess(2)) == 0


def test_a_credential_that_was_valid_is_still_verified_where_others_are_refused(
    credentials: CredentialThrottle,
) -> None:
    ours = Credentials(authorization="Bearer ours", address=ATTACKER)
    credentials.succeed(ours)
    for number in range(100):
        credentials.fail(guess(number))
    assert refusal(credentials, ours) == 0
    assert refusal(credentials, guess(100)) > 0
    credentials.fail(ours)  # it was revoked
    assert refusal(credentials, ours) > 0


def test_a_request_without_credentials_is_no_guess(credentials: CredentialThrottle) -> None:
    for _ in range(200):
        credentials.fail(Credentials(address=ATTACKER))
    assert refusal(credentials, guess(1)) == refusal(credentials, Credentials(address=ATTACKER)) == 0


def test_many_addresses_take_bounded_memory(credentials: CredentialThrottle, sites: Buckets) -> None:
    for number in range(20_000):
        credentials.fail(guess(number, f"10.{number // 62_500}.{number // 250 % 250}.{number % 250}"))
    assert len(sites) == 10_000
