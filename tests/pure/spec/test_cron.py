from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.spec.time import cron

NEW_YORK = ZoneInfo("America/New_York")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
MINUTE = timedelta(minutes=1)


def firings(expression: str, zone: ZoneInfo, since: datetime, until: datetime) -> list[str]:
    """The wall-clock times, with offset, at which an expression fires in a stretch of time."""
    parsed = cron.parse(expression)
    found = []
    instant = cron.next_after(parsed, since - timedelta(seconds=1), zone)
    while instant is not None and instant < until:
        found.append(instant.astimezone(zone).strftime("%d %H:%M %z"))
        instant = cron.next_after(parsed, instant, zone)
    return found


@pytest.mark.parametrize(
    ("expression", "since", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:45:00", "2026-01-01T01:00:00"),
        ("5/20 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:05:00"),
        ("10-30/10 * * * *", "2026-01-01T00:20:00", "2026-01-01T00:30:00"),
        ("0,,5 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:05:00"),
        ("0 0 */99 * *", "2026-01-02T00:00:00", "2026-02-01T00:00:00"),
        ("0 0 ? * 0", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("0 9 * jan-Mar MON-FRI", "2026-03-31T09:00:00", "2027-01-01T09:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        (" 59\t23 31 12 * ", "2026-12-31T23:59:00", "2027-12-31T23:59:00"),
    ],
)
def test_the_next_firing_is_the_first_match_strictly_later(expression: str, since: str, expected: str) -> None:
    parsed = cron.parse(expression)
    found = cron.next_after(parsed, datetime.fromisoformat(since + "+00:00"), ZoneInfo("UTC"))
    assert found == datetime.fromisoformat(expected + "+00:00")


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("1 * 1", ["01", "05", "12", "19", "26"]),
        ("*/2 * 1", ["01", "03", "05", "07", "09", "11", "12", "13", "15"]),
        ("1,* * 1", ["05", "12", "19", "26"]),
        ("1-31/1 * 1", ["01", "02", "03", "04"]),
        ("*/1 * 1", ["05", "12", "19", "26"]),
        ("5 * */1", ["05"]),
        ("12 * ?", ["12"]),
    ],
)
def test_either_day_field_is_enough_only_when_both_are_restricted(days: str, expected: list[str]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = firings(f"0 0 {days}", ZoneInfo("UTC"), start, start + timedelta(days=31))
    assert [moment[:2] for moment in found][: len(expected)] == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "not 0"),
        ("* * * *", "not 4"),
        ("0 * * * * *", "not 6"),
        ("@daily", "@daily is not supported"),
        ("@every 5m", "@every is not supported"),
        ("60 * * * *", "outside 0 to 59"),
        ("0 0 0 * *", "outside 1 to 31"),
        ("0 0 * * 7", "outside 0 to 6"),
        ("0 0 L * *", "'L'"),
        ("0 0 15W * *", "'15W'"),
        ("0 0 * * 1#2", "'1#2'"),
        ("H * * * *", "'H'"),
        ("5-1 * * * *", "runs backwards"),
        ("0 0 * * MON-SUN", "runs backwards"),
        ("*/0 * * * *", "above 0"),
        ("1/2/3 * * * *", "above 0"),
        ("1-2-3 * * * *", "'2-3'"),
        ("MON * * * *", "'MON'"),
        ("-1 * * * *", "minute ''"),
        (", * * * *", "no value"),
        ("\u0665 * * * *", "minute"),
        ("TZ=Nowhere/Town 0 0 * * *", "'Nowhere/Town'"),
        ("TZ=../etc/hosts 0 0 * * *", "not known"),
        ("CRON_TZ=America 0 0 * * *", "not known"),
        ("CRON_TZ=UTC", "must follow"),
        (f"{'0-59,' * 200}0 * * * *", "1,000 are enough"),
    ],
)
def test_a_bad_expression_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("*", r"\*")):
        cron.parse(expression)


@pytest.mark.parametrize("prefix", ["CRON_TZ", "TZ"])
def test_a_zone_prefix_outranks_the_default_zone(prefix: str) -> None:
    parsed = cron.parse(f"{prefix}=Asia/Tokyo  0 9 * * *")
    found = cron.next_after(parsed, datetime(2026, 1, 1, tzinfo=UTC), NEW_YORK)
    assert (parsed.zone, found) == (ZoneInfo("Asia/Tokyo"), datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_what_never_matches_is_given_up(expression: str) -> None:
    assert cron.next_after(cron.parse(expression), datetime(2026, 1, 1, tzinfo=UTC), NEW_YORK) is None


def test_the_search_ends_after_five_years() -> None:
    leap_day = cron.parse("0 0 29 2 *")
    assert cron.next_after(leap_day, datetime(2096, 3, 1, tzinfo=UTC), NEW_YORK) is None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", []),
        ("0 3 * * *", ["08 03:00 -0400"]),
        ("0 * * * *", ["08 00:00 -0500", "08 01:00 -0500", "08 03:00 -0400", "08 04:00 -0400"]),
        ("*/30 1-3 * * *", ["08 01:00 -0500", "08 01:30 -0500", "08 03:00 -0400", "08 03:30 -0400"]),
    ],
)
def test_a_time_skipped_in_spring_does_not_fire(expression: str, expected: list[str]) -> None:
    start = datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert firings(expression, NEW_YORK, start, start + timedelta(hours=4)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 1 * * *", ["01 01:30 -0400", "01 01:30 -0500"]),
        ("0 2 * * *", ["01 02:00 -0500"]),
        ("0 * * * *", ["01 00:00 -0400", "01 01:00 -0400", "01 01:00 -0500", "01 02:00 -0500"]),
        ("*/30 1 * * *", ["01 01:00 -0400", "01 01:30 -0400", "01 01:00 -0500", "01 01:30 -0500"]),
    ],
)
def test_a_time_that_occurs_twice_in_autumn_fires_twice(expression: str, expected: list[str]) -> None:
    start = datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert firings(expression, NEW_YORK, start, start + timedelta(hours=4)) == expected


def test_a_day_whose_midnight_does_not_exist_has_no_midnight_run() -> None:
    start = datetime(2018, 11, 3, 12, tzinfo=UTC)
    assert firings("0 0 * * *", SAO_PAULO, start, start + timedelta(days=2)) == ["05 00:00 -0200"]


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/7", "30", "59", "15-45/10", "1,31"]),
    st.sampled_from(["*", "0", "1", "2", "*/2", "23", "1-3", "0,23"]),
    st.sampled_from(["*", "1", "*/2", "?", "8", "31"]),
    st.sampled_from(["*", "*", "3", "10-12"]),
    st.sampled_from(["*", "0", "MON", "*/3", "0,6"]),
)
# Each is the day of a change, or the day before: spring and autumn, half an hour only, at midnight, a day skipped.
CHANGES = st.sampled_from(
    [
        ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 10, 31, 20, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 11, 3, 12, tzinfo=UTC)),
        ("America/Havana", datetime(2026, 11, 1, tzinfo=UTC)),
        ("America/St_Johns", datetime(2010, 11, 6, 12, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC)),
        ("UTC", datetime(2026, 2, 28, tzinfo=UTC)),
    ]
)


WINDOW = timedelta(hours=26)


def walk(parsed: cron.Cron, since: datetime, zone: ZoneInfo) -> list[datetime]:
    """The plain answer: try every minute."""
    minutes = (since + n * MINUTE for n in range(1, WINDOW // MINUTE))
    return [
        minute
        for minute in minutes
        if (wall := minute.astimezone(zone)).minute in parsed.minutes
        and wall.hour in parsed.hours
        and parsed.allows_day(wall.date())
    ]


@settings(max_examples=60, deadline=None)
@given(fields=FIELDS, change=CHANGES, minutes=st.integers(0, 12 * 60))
def test_the_firings_are_those_of_a_walk_over_every_minute(
    fields: tuple[str, ...], change: tuple[str, datetime], minutes: int
) -> None:
    zone, start = ZoneInfo(change[0]), change[1] + minutes * MINUTE
    parsed = cron.parse(" ".join(fields))
    found = []
    instant = cron.next_after(parsed, start, zone)
    while instant is not None and instant < start + WINDOW:
        found.append(instant)
        instant = cron.next_after(parsed, instant, zone)
    assert found == walk(parsed, start, zone)
