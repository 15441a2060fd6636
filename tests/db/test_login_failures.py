"""Failed logins are counted by all servers of a database together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from dagbook.accounts.authentication import Credentials
from dagbook.accounts.login_throttle import CredentialThrottle, LoginThrottle
from dagbook.auth.throttle import ThrottleLimits, key_of_site
from dagbook.db.database import Database
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, upgrade
from dagbook.db.models import LoginAddress, LoginFailure
from dagbook.db.repositories import login_failures, users
from dagbook.errors import TooManyAttemptsError, TooManyRequestsError
from tests.db.rows import NOW, add_user

LIMITS = ThrottleLimits(failures=5, per_address=20, window_seconds=900, per_minute=1000)
HOME, ELSEWHERE, ATTACKER = "192.0.2.1", "198.51.100.9", "203.0.113.66"


class Clock:
    """The time of all servers, which only passes when a test says so."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def other_database(database_url: str, database: Database) -> AsyncIterator[Database]:  # noqa: ARG001 - the first one
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def first(database: Database, clock: Clock) -> LoginThrottle:
    return LoginThrottle(database, LIMITS, clock)


@pytest.fixture
def second(other_database: Database, clock: Clock) -> LoginThrottle:
    return LoginThrottle(other_database, LIMITS, clock)


async def fail(
    throttle: LoginThrottle, name: str, address: str, times: int = 1, user_id: str | None = None
) -> list[int]:
    """Try to log in, and return how many seconds each attempt has to wait."""
    waits = []
    for _ in range(times):
        try:
            await throttle.admit(name, address, user_id)
            waits.append(0)
        except TooManyAttemptsError as error:
            waits.append(int((error.headers or {})["Retry-After"]))
    return waits


async def log_in(database: Database, throttle: LoginThrottle, name: str, address: str, user_id: str) -> None:
    attempt = await throttle.admit(name, address, user_id)
    await database.write(lambda connection: throttle.succeed(connection, attempt, user_id))


async def count(database: Database, model: type[LoginAddress | LoginFailure]) -> int:
    return await database.read(lambda connection: connection.scalar(select(func.count()).select_from(model)) or 0)


async def test_failures_at_two_servers_count_together(first: LoginThrottle, second: LoginThrottle) -> None:
    assert await fail(first, "ann", ATTACKER, 3) == [0, 0, 0]
    assert await fail(second, "ann", ATTACKER, 3) == [0, 0, 15]
    assert await fail(first, "ann", ATTACKER) == [15]


async def test_attempts_at_two_servers_at_once_do_not_exceed_the_limit(
    first: LoginThrottle, second: LoginThrottle
) -> None:
    tries = [fail(throttle, "ann", ATTACKER) for _ in range(10) for throttle in (first, second)]
    waits = [wait for each in await asyncio.gather(*tries) for wait in each]
    assert sorted(wait > 0 for wait in waits) == [False] * 5 + [True] * 15


async def test_an_address_that_tries_many_names_is_refused_by_every_server_until_its_window_ends(
    first: LoginThrottle, second: LoginThrottle, clock: Clock
) -> None:
    for number in range(10):
        assert await fail(first, f"user {number}", ATTACKER) == [0]
        assert await fail(second, f"another {number}", ATTACKER) == [0]
    clock.pass_seconds(100)
    assert await fail(first, "ann", ATTACKER) + await fail(second, "bob", ATTACKER) == [800, 800]
    assert await fail(first, "ann", ELSEWHERE) == [0]
    clock.pass_seconds(800)
    assert await fail(second, "ann", ATTACKER) == [0]


async def test_the_networks_of_one_ipv6_site_are_refused_together(first: LoginThrottle) -> None:
    waits = [(await fail(first, f"user {number}", f"2001:db8:7:{number:x}::1"))[0] for number in range(21)]
    assert [wait > 0 for wait in waits] == [False] * 20 + [True]
    assert await fail(first, "ann", "2001:db8:8::1") == [0]


async def test_a_refused_attempt_is_not_written(first: LoginThrottle, database: Database) -> None:
    await fail(first, "ann", ATTACKER, 5)
    rows = await count(database, LoginFailure)
    await fail(first, "ann", ATTACKER, 20)
    found = await database.read(lambda connection: login_failures.find(connection, [key_of_site(ATTACKER)], NOW))
    assert [row.count for row in found.values()] == [5]
    assert await count(database, LoginFailure) == rows


async def test_a_name_is_delayed_by_failures_from_many_addresses(first: LoginThrottle, second: LoginThrottle) -> None:
    for number in range(10):
        assert await fail((first, second)[number % 2], "ann", f"198.51.100.{number}") == [0]
    assert await fail(first, "ann", ELSEWHERE) == [15]
    assert await fail(first, "bob", ELSEWHERE) == [0]


async def test_a_user_logs_in_from_a_known_address_while_others_guess_the_password(
    first: LoginThrottle, second: LoginThrottle, database: Database
) -> None:
    user_id = await database.write(add_user)
    await log_in(database, first, "ann", HOME, user_id)
    for number in range(15):
        await fail(first, "ann", f"198.51.100.{number}", user_id=user_id)
    assert await fail(second, "ann", ELSEWHERE, user_id=user_id) == [15]
    await log_in(database, second, "ann", HOME, user_id)


async def test_a_known_address_is_forgotten_after_ninety_days(
    first: LoginThrottle, database: Database, clock: Clock
) -> None:
    user_id = await database.write(add_user)
    await log_in(database, first, "ann", HOME, user_id)
    clock.pass_seconds(timedelta(days=91).total_seconds())
    for number in range(10):
        await fail(first, "ann", f"198.51.100.{number}", user_id=user_id)
    assert await fail(first, "ann", HOME, user_id=user_id) == [15]


async def test_a_server_keeps_attempts_for_known_addresses(database: Database, clock: Clock) -> None:
    throttle = LoginThrottle(
        database, ThrottleLimits(failures=5, per_address=100, window_seconds=900, per_minute=20), clock, lambda: 0.0
    )
    user_id = await database.write(add_user)
    await log_in(database, throttle, "ann", HOME, user_id)
    waits = [await fail(throttle, f"user {number}", f"198.51.100.{number}") for number in range(20)]
    assert [wait for (wait,) in waits].count(0) < 20
    assert await fail(throttle, "bob", ELSEWHERE) == [60]
    await log_in(database, throttle, "ann", HOME, user_id)


async def test_a_login_takes_back_what_its_attempt_counted(first: LoginThrottle, database: Database) -> None:
    user_id = await database.write(add_user)
    await fail(first, "ann", HOME, 4, user_id)
    await log_in(database, first, "ann", HOME, user_id)
    keys = [key_of_site(HOME)]
    found = await database.read(lambda connection: login_failures.find(connection, keys, NOW))
    assert [row.count for row in found.values()] == [4]
    assert await fail(first, "ann", HOME, 5, user_id) == [0] * 5


async def test_the_addresses_of_a_user_are_bounded_and_go_with_the_user(
    first: LoginThrottle, database: Database, clock: Clock
) -> None:
    user_id = await database.write(add_user)
    for number in range(30):
        clock.pass_seconds(1)
        await log_in(database, first, "ann", f"192.0.2.{number}", user_id)
    kept = await database.read(lambda connection: set(connection.scalars(select(LoginAddress.network))))
    assert kept == {f"192.0.2.{number}" for number in range(10, 30)}
    await database.write(lambda connection: users.remove(connection, user_id))
    assert await count(database, LoginAddress) == 0


async def test_a_login_of_a_user_who_was_removed_meanwhile_stores_no_address(
    first: LoginThrottle, database: Database
) -> None:
    await log_in(database, first, "ann", HOME, "removed")
    assert await count(database, LoginAddress) == 0


async def test_names_that_were_tried_are_not_stored(first: LoginThrottle, database: Database) -> None:
    await fail(first, "my password", ATTACKER)
    rows = await database.read(lambda connection: connection.execute(select(LoginFailure.__table__)).all())
    assert len(rows) == 3
    assert "my password" not in str(rows)


# -- bearer tokens and Basic passwords ---------------------------------------------------------------------------------


def guess(number: int, address: str = ATTACKER) -> Credentials:
    return Credentials(authorization=f"Bearer guess {number}", address=address)


def refusal(throttle: CredentialThrottle, credentials: Credentials) -> int:
    try:
        throttle.check(credentials)
    except TooManyRequestsError as error:
        return int((error.headers or {})["Retry-After"])
    return 0


@pytest.fixture
def credentials(database: Database, clock: Clock) -> CredentialThrottle:
    return CredentialThrottle(database, LIMITS, clock)


@pytest.fixture
def credentials_elsewhere(other_database: Database, clock: Clock) -> CredentialThrottle:
    return CredentialThrottle(other_database, LIMITS, clock)


async def test_invalid_credentials_at_two_servers_and_failed_logins_count_together(
    credentials: CredentialThrottle, credentials_elsewhere: CredentialThrottle, first: LoginThrottle
) -> None:
    for number in range(10):
        credentials.fail(guess(number))
    await credentials.run_once()
    for number in range(5):
        await fail(first, f"user {number}", ATTACKER)
    for number in range(5):
        credentials_elsewhere.fail(guess(number))
    await credentials_elsewhere.run_once()
    assert refusal(credentials_elsewhere, guess(99)) == 900
    assert refusal(credentials_elsewhere, guess(99, ELSEWHERE)) == 0
    assert await fail(first, "ann", ATTACKER) == [900]


async def test_one_server_refuses_an_address_before_anything_is_stored(
    credentials: CredentialThrottle, clock: Clock
) -> None:
    for number in range(20):
        assert refusal(credentials, guess(number)) == 0
        credentials.fail(guess(number))
    assert refusal(credentials, guess(20)) == 900
    clock.pass_seconds(900)
    assert refusal(credentials, guess(20)) == 0


async def test_an_expired_token_that_a_program_repeats_is_one_failure(credentials: CredentialThrottle) -> None:
    for _ in range(1000):
        credentials.fail(guess(1))
    assert refusal(credentials, guess(2)) == 0


async def test_a_credential_that_was_valid_is_still_verified_where_others_are_refused(
    credentials: CredentialThrottle,
) -> None:
    credentials.succeed(Credentials(authorization="Bearer ours", address=ATTACKER))
    for number in range(20):
        credentials.fail(guess(number))
    assert refusal(credentials, Credentials(authorization="Bearer ours", address=ATTACKER)) == 0
    assert refusal(credentials, guess(20)) > 0
    credentials.fail(Credentials(authorization="Bearer ours", address=ATTACKER))  # it was revoked
    assert refusal(credentials, Credentials(authorization="Bearer ours", address=ATTACKER)) > 0


async def test_a_request_without_credentials_is_no_guess(credentials: CredentialThrottle) -> None:
    for _ in range(100):
        credentials.fail(Credentials(address=ATTACKER))
    assert refusal(credentials, guess(1)) == refusal(credentials, Credentials(address=ATTACKER)) == 0


async def test_many_failures_are_few_writes_and_bounded_rows(
    credentials: CredentialThrottle, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10_000):
        credentials.fail(guess(number, f"10.0.{number // 250}.{number % 250}"))
    written = []
    write = database.write

    async def counted(*arguments: object, **options: object) -> object:
        written.append(arguments)
        return await write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "write", counted)
    await credentials.run_once()
    assert len(written) == 2  # the failures of 64 addresses, and the deletion of expired ones
    assert await count(database, LoginFailure) == 64
    assert len(credentials._sites) == 5000


async def test_expired_counts_are_deleted(
    credentials: CredentialThrottle, first: LoginThrottle, database: Database, clock: Clock
) -> None:
    for number in range(20):
        await fail(first, f"user {number}", f"198.51.100.{number}")
    assert await count(database, LoginFailure) == 60
    clock.pass_seconds(901)
    await credentials.run_once()
    assert await count(database, LoginFailure) == 0


# -- the migration ---------------------------------------------------------------------------------------------------


async def test_the_tables_come_and_go_with_their_revision(
    database_url: str, database: Database, first: LoginThrottle
) -> None:
    user_id = await database.write(add_user)
    await fail(first, "bob", ATTACKER)
    await log_in(database, first, "ann", HOME, user_id)
    await downgrade(database_url, "0100")
    assert await database.read(users.count) == 1
    await upgrade(database_url)
    assert await check(database_url) == []
    assert (await count(database, LoginFailure), await count(database, LoginAddress)) == (0, 0)
