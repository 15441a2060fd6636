"""Wrong signatures of webhooks delay further wrong ones, by source and network."""

from __future__ import annotations

import pytest

from dagbook.errors import AppError, TooManyRequestsError, UnauthorizedError
from dagbook.sources.signatures import WrongSignatures


def test_the_delay_doubles_up_to_a_quarter_of_an_hour_and_early_ones_do_not_count() -> None:
    now = 1000.0
    wrong = WrongSignatures(lambda: now)
    for _ in range(5):
        assert kind(wrong) is UnauthorizedError
    for seconds in (15, 30, 60, 120, 240, 480, 900):
        for early in (0.0, seconds - 1.0):
            now += early
            with pytest.raises(TooManyRequestsError) as caught:
                wrong.refuse("team", "192.0.2.1")
            assert caught.value.headers == {"Retry-After": str(int(seconds - early))}
        now += 1
        assert kind(wrong) is UnauthorizedError
    now += 900
    assert [kind(wrong) for _ in range(6)] == [UnauthorizedError] * 5 + [TooManyRequestsError]


def test_each_source_and_network_has_its_own_count() -> None:
    wrong = WrongSignatures(lambda: 0.0)
    for _ in range(6):
        first = kind(wrong, "team", "2001:db8::1")
    assert first is TooManyRequestsError
    assert kind(wrong, "team", "2001:db8::2") is TooManyRequestsError
    assert kind(wrong, "team", "192.0.2.1") is UnauthorizedError
    assert kind(wrong, "other", "2001:db8::1") is UnauthorizedError


def kind(wrong: WrongSignatures, source: str = "team", address: str = "192.0.2.1") -> type[AppError]:
    try:
        wrong.refuse(source, address)
    except AppError as error:
        return type(error)
    raise AssertionError
