"""One caller does not use up what all share."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dagbook.api.shares import Shares, key_of
from dagbook.auth.audit_context import Caller
from dagbook.errors import TooManyRequestsError

ANN = Caller(via="login", name="ann", user_id="u1", address="192.0.2.1")
BOB = Caller(via="login", name="bob", user_id="u2", address="192.0.2.1")
CY = Caller(via="login", name="cy", user_id="u3", address="192.0.2.1")


@pytest.fixture
def shares() -> Shares:
    return Shares("searches", 2, 3, retry_seconds=5)


def refusal(shares: Shares, caller: Caller) -> str:
    with pytest.raises(TooManyRequestsError) as caught, shares.hold(caller):
        pass
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "5"}
    return caught.value.message


def test_a_caller_has_a_share_and_gets_it_back(shares: Shares) -> None:
    with shares.hold(ANN):
        with shares.hold(ANN):
            assert "you have 2 searches at a time" in refusal(shares, ANN)
            with shares.hold(BOB):
                pass
        with shares.hold(ANN):
            pass


def test_all_callers_together_have_a_limit(shares: Shares) -> None:
    with ExitStack() as held:
        for caller in (ANN, ANN, BOB):
            held.enter_context(shares.hold(caller))
        assert "this server has 3 searches of all callers" in refusal(shares, CY)
    with shares.hold(CY):
        pass


def test_a_use_that_fails_is_given_back(shares: Shares) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), shares.hold(ANN):
            raise ZeroDivisionError
    assert not shares._held


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
def test_a_share_is_that_of_a_user_else_of_an_address(caller: Caller, key: str) -> None:
    assert key_of(caller) == key
