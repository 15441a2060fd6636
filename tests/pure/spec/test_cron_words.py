"""Cron expressions in words."""

from __future__ import annotations

import itertools
import re

import pytest

from dagbook.spec.time.cron_words import describe

# Times of every hour.
OF_EVERY_HOUR = {
    "* * * * *": "every minute",
    "*/1 * * * *": "every minute",
    "? ? ? ? ?": "every minute",
    "*/5 * * * *": "every 5 minutes",
    "*/30 * * * *": "every 30 minutes",
    "2/5 * * * *": "every 5 minutes from :02",
    "*/7 * * * *": "every 7 minutes from :00 to :56 of every hour",
    "0-10 * * * *": "every minute from :00 to :10 of every hour",
    "15 * * * *": "every hour at :15",
    "5,17,30 * * * *": "every hour at :05, :17 and :30",
}
# Times of a day.
OF_A_DAY = {
    "0 3 * * *": "every day at 03:00",
    "0 3,15 * * *": "every day at 03:00 and 15:00",
    "*/20 9 * * *": "every day at 09:00, 09:20 and 09:40",
    "45 */2 * * *": "every 2 hours from 00:45",
    "45 1-23/2 * * *": "every 2 hours from 01:45",
    "0 */5 * * *": "every 5 hours from 00:00 to 20:00",
    "30 9-17 * * *": "every hour from 09:30 to 17:30",
    "0,30 9-17 * * *": "every 30 minutes from 09:00 to 17:30",
    "*/15 9 * * *": "every 15 minutes from 09:00 to 09:45",
    "* 9 * * *": "every minute from 09:00 to 09:59",
    "0 1,3,8,9 * * *": "every day at 01:00, 03:00, 08:00 and 09:00",
    "5,20 9-17 * * *": "at :05 and :20 of every hour from 09 to 17",
    "* */2 * * *": "every minute of every 2nd hour from 00 to 22",
    "1,2,4 3,7,8 * * *": "at :01, :02 and :04 of the hours 03, 07 and 08",
}
# Days of the week.
WEEKDAYS = {
    "30 4 * * 1": "every Monday at 04:30",
    "0 4 * * 0": "every Sunday at 04:00",
    "0 7 * * 1-5": "Monday to Friday at 07:00",
    "0 7 * * mon,WED,Fri": "every Monday, Wednesday and Friday at 07:00",
    "0 7 * * 0,6": "every Saturday and Sunday at 07:00",
    "0 7 * * 5,6,0": "Friday to Sunday at 07:00",
    "0 7 * * *,1": "every day at 07:00",
    "*/10 8-16 * * 1-5": "every 10 minutes from 08:00 to 16:50, Monday to Friday",
}
# Days of the month, and months.
DATES = {
    "0 2 1 * *": "on the 1st of every month at 02:00",
    "0 2 1,15 * *": "on the 1st and 15th of every month at 02:00",
    "0 2 1-7 * *": "on the 1st to 7th of every month at 02:00",
    "0 2 */2 * *": "on every 2nd day from the 1st to the 31st of every month at 02:00",
    "0 2 11-13 * *": "on the 11th to 13th of every month at 02:00",
    "0 2 22,23 * *": "on the 22nd and 23rd of every month at 02:00",
    "0 3 29 2 *": "on the 29th of February at 03:00",
    "0 3 1 JAN,jul *": "on the 1st of January and July at 03:00",
    "0 3 * 6-8 *": "every day in June to August at 03:00",
    "0 3 * 6 1-5": "Monday to Friday in June at 03:00",
    "* * * 12 *": "every minute, every day in December",
}
# With both day fields a day of either is enough, unless one of them allows every day.
EITHER = {
    "0 0 13 * 5": "on the 13th of every month and also every Friday at 00:00",
    "0 0 13 1 5": "on the 13th of January and also every Friday in January at 00:00",
    "0 0 1-31 * 5": "every day at 00:00",
    "0 0 *,13 * 5": "every Friday at 00:00",
    "0 0 */1 * 5": "every Friday at 00:00",
    "0 0 */2 * 5": "on every 2nd day from the 1st to the 31st of every month and also every Friday at 00:00",
}
# A zone is not repeated.
WITH_A_ZONE = {
    "TZ=Europe/Berlin 0 3 * * *": "every day at 03:00",
    "CRON_TZ=UTC   0 3 * * *": "every day at 03:00",
}
REFUSED = (
    *("", "@daily", "0 3 * *", "0 0 3 * * *", "30 4 * * 7", "60 * * * *", "0 24 * * *", "0 0 0 * *", "5-1 * * * *"),
    *("*/0 * * * *", "1- * * * *", "-1 * * * *", "a * * * *", "0 0 * january *", "0 0 * * 1/"),
    *(", * * * *", "5/-1 * * * *"),
)


@pytest.mark.parametrize("rows", [OF_EVERY_HOUR, OF_A_DAY, WEEKDAYS, DATES, EITHER, WITH_A_ZONE])
def test_an_expression_is_said_in_words(rows: dict[str, str]) -> None:
    assert {expression: describe(expression) for expression in rows} == rows


def test_what_is_refused_has_no_words() -> None:
    assert [expression for expression in REFUSED if describe(expression)] == []


def test_whatever_is_valid_has_words() -> None:
    fields = (
        ("*", "0", "*/5", "7/20", "1,2,50", "3-9"),
        ("*", "4", "*/3", "5/7", "1,2,9", "8-17"),
        ("*", "31", "*/4", "2/9", "1,9", "1-3"),
        ("*", "2", "*/3", "2/4", "JAN,DEC", "3-6"),
        ("*", "0", "*/2", "1/2", "SUN,TUE", "1-5"),
    )
    expressions = list(map(" ".join, itertools.product(*fields)))
    assert len(expressions) == 6**5
    is_odd = re.compile("^$|None| {2}|,,|^ | $")
    assert [expression for expression in expressions if is_odd.search(describe(expression))] == []
