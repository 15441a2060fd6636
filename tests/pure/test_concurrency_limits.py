"""One caller does not use up what all need."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from litestar.types import HTTPDisconnectEvent, HTTPReceiveMessage

from dagbook.api.limits import ConcurrencyLimit, key_of
from dagbook.auth.audit_context import Caller
from dagbook.errors import TooManyRequestsError

ANN = Caller(via="login", name="ann", user_id="u1", address="192.0.2.1")
BOB = Caller(via="login", name="bob", user_id="u2", address="192.0.2.1")
CY = Caller(via="login", name="cy", user_id="u3", address="192.0.2.1")


@pytest.fixture
def searches() -> ConcurrencyLimit:
    return ConcurrencyLimit("searches", 2, 3, retry_seconds=5)


def refusal(searches: ConcurrencyLimit, caller: Caller) -> str:
    with pytest.raises(TooManyRequestsError) as caught, searches.use(caller):
        pass
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "5"}
    return caught.value.message


def test_a_caller_has_a_limit_and_ended_uses_do_not_count(searches: ConcurrencyLimit) -> None:
    with searches.use(ANN):
        with searches.use(ANN):
            assert "you have 2 searches at a time" in refusal(searches, ANN)
            with searches.use(BOB):
                pass
        with searches.use(ANN):
            pass


def test_all_callers_together_have_a_limit(searches: ConcurrencyLimit) -> None:
    with ExitStack() as held:
        for caller in (ANN, ANN, BOB):
            held.enter_context(searches.use(caller))
        assert "this server has 3 searches of all callers" in refusal(searches, CY)
    with searches.use(CY):
        pass


def test_a_use_that_fails_does_not_count(searches: ConcurrencyLimit) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), searches.use(ANN):
            raise ZeroDivisionError
    assert not searches._uses


async def connected() -> HTTPReceiveMessage:
    """Receive from a client that stays."""
    return await asyncio.Future[HTTPReceiveMessage]()


async def held(searches: ConcurrencyLimit, caller: Caller, end: asyncio.Event) -> None:
    async with searches.turn(caller, connected, 3600):
        await end.wait()


async def test_turns_come_in_order_to_those_who_may_have_one(searches: ConcurrencyLimit) -> None:
    ends = [asyncio.Event() for _ in range(6)]
    callers = (ANN, ANN, BOB, ANN, CY, BOB)
    async with asyncio.TaskGroup() as tasks:
        for caller, end in zip(callers, ends, strict=True):
            tasks.create_task(held(searches, caller, end))
        await asyncio.sleep(0)
        assert [*searches._waiting.values()] == ["user u1", "user u3", "user u2"]
        ends[2].set()  # Ann waits on, because she has two
        await asyncio.sleep(0)
        assert [*searches._waiting.values()] == ["user u1", "user u2"]
        ends[0].set()
        await asyncio.sleep(0)
        assert [*searches._waiting.values()] == ["user u2"]
        for end in ends:
            end.set()
    assert not searches._uses


async def test_a_turn_that_does_not_come_is_refused(searches: ConcurrencyLimit) -> None:
    with searches.use(ANN), searches.use(ANN):
        with pytest.raises(TooManyRequestsError):
            async with searches.turn(ANN, connected, 0):
                pass
        assert searches._uses == {"user u1": 2}
    assert not searches._waiting


async def test_who_disconnects_or_is_cancelled_waits_no_longer(searches: ConcurrencyLimit) -> None:
    async def leave() -> HTTPDisconnectEvent:
        return {"type": "http.disconnect"}

    with searches.use(ANN), searches.use(ANN):
        with pytest.raises(TooManyRequestsError):
            async with searches.turn(ANN, leave, 3600):
                pass
        waiting = asyncio.create_task(held(searches, ANN, asyncio.Event()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not searches._waiting


async def test_a_turn_that_comes_when_its_task_is_cancelled_goes_to_the_next(searches: ConcurrencyLimit) -> None:
    end = asyncio.Event()
    with searches.use(ANN):
        with searches.use(ANN):
            first, second = (asyncio.create_task(held(searches, ANN, end)) for _ in range(2))
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not searches._waiting
        end.set()
        await second
    assert not searches._uses


@pytest.mark.parametrize(
    ("caller", "key"),
    [
        (ANN, "user u1"),
        (Caller(via="personal", name="ann", user_id="u1", address="192.0.2.9"), "user u1"),
        (Caller(via="oidc", name="ann@example.org", address="192.0.2.9"), "oidc ann@example.org"),
        (Caller(via="local", name="root"), "local root"),
        (Caller(via="token", name="api-token", address="192.0.2.9"), "address 192.0.2.9"),
        (Caller(via="basic", name="shared", address="192.0.2.9"), "address 192.0.2.9"),
        (Caller(via="none", address="2001:db8:1:2::3"), "address 2001:db8:1:2::/64"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.via,
)
def test_uses_are_counted_for_a_user_else_for_an_address(caller: Caller, key: str) -> None:
    assert key_of(caller) == key
