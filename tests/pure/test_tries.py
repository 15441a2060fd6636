"""When a receiver is tried again, and what an answer decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from dagbook.tries import Answer, Fate, channel_pause, decide, of_http, own_pause, read_retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (200, Fate.SENT),
        (204, Fate.SENT),
        *((code, Fate.CHANNEL) for code in (0, 301, 302, 401, 403, 404, 408, 410, 425, 429, 500, 503)),
        *((code, Fate.RETRY) for code in (400, 405, 413, 422)),
    ],
)
def test_what_an_answer_says_about_channel_and_message(code: int, fate: Fate) -> None:
    answer = of_http(code, "", {}) if code else Answer(text="the connection was refused")
    assert decide(answer, 1) is fate


def test_a_message_that_is_refused_three_times_is_given_up() -> None:
    refused = of_http(400, "bad", {})
    assert [decide(refused, tries) for tries in (1, 2, 3)] == [Fate.RETRY, Fate.RETRY, Fate.GIVEN_UP]
    assert [own_pause(tries).total_seconds() for tries in (1, 2, 9)] == [60, 300, 300]


def test_a_redirect_is_not_followed_and_says_so() -> None:
    assert of_http(302, "<html>", {}).text == "302, not followed"


def test_the_pauses_of_a_channel_that_fails_grow() -> None:
    failing, pauses = timedelta(), []
    while failing < timedelta(hours=3):
        pause = channel_pause(failing, Answer(), NOW, 1.0)
        pauses.append(round(pause.total_seconds()))
        failing += pause
    assert pauses[:5] == [5, 10, 20, 30, 30]
    assert sorted(set(pauses)) == [5, 10, 20, 30, 120, 600]


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_ten_minutes_without_an_answer_cost_at_most_25_requests(factor: float) -> None:
    failing, requests = timedelta(), 1
    while (failing := failing + channel_pause(failing, Answer(), NOW, factor)) < timedelta(minutes=10):
        requests += 1
    assert requests <= (25 if factor >= 1 else 29)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0", 0), ("-5", 0), ("soon", 0), ("", 0), ("1" * 400, 111_111_111_111), ("\u0661", 0)],
)
def test_retry_after_is_read_leniently(text: str, seconds: float) -> None:
    assert read_retry_after(text, NOW) == seconds


def test_retry_after_may_be_a_date_and_is_capped() -> None:
    date = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert read_retry_after(date, NOW) == 90
    pauses = [channel_pause(timedelta(), Answer(retry_after=text), NOW, 0.8) for text in ("120", "1" * 10)]
    assert [pause.total_seconds() for pause in pauses] == [120, 3600]
