"""Crontabs as definitions: which lines become which, what is left out, and that both start at the same times."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.reading.load import load
from dagbook.spec.time import cron
from dagbook.transfer.cron_times import translate
from dagbook.transfer.crontab import MAX_CHARACTERS, name_of, read_crontab

CRONTAB = """\
# Edit this file to introduce tasks to be run by cron.
#
# m h  dom mon dow   command
SHELL=/bin/bash
PATH=/usr/local/bin:/usr/bin:/bin
MAILTO="ops@example.org, night@example.org"

# Fetches the orders
# of the day
30 2 * * 1-5 flock -n /tmp/sync.lock timeout 1h $HOME/bin/sync-orders.sh --day "$(date +\\%F)" > sync.log 2>&1
CRON_TZ=Europe/Berlin
@daily\t/srv/clean
MAILTO=
*/5 * * * sun,7 cat > /srv/note%first line%second: 50\\% done
15 4 * * * echo `hostname`
"""


def _dags(text: str, **options: bool) -> dict[str, dict[str, Any]]:
    found = read_crontab(text, **options)
    assert found.left_out == []
    return {dag.name: yaml.safe_load(dag.spec) for dag in found.dags}


def test_each_line_with_a_command_becomes_a_definition_with_what_stands_above_it() -> None:
    env = [{"PATH": "/usr/local/bin:/usr/bin:/bin"}]
    usual = {"workingDir": "${HOME}", "env": env}
    mail = {"mailOn": {"failure": True}, "errorMail": {"to": ["ops@example.org", "night@example.org"]}}

    def step(**fields: str) -> list[dict[str, str]]:
        return [{"name": "main", "shell": "/bin/bash", **fields}]

    command = 'flock -n /tmp/sync.lock timeout 1h $HOME/bin/sync-orders.sh --day "$(date +%F)" > sync.log 2>&1'
    script = "{ cat > /srv/note\n} <<'END'\nfirst line\nsecond: 50% done\nEND\n"
    zone = "CRON_TZ=Europe/Berlin"
    assert _dags(CRONTAB) == {
        "sync-orders": {
            "name": "sync-orders",
            "description": "Fetches the orders of the day",
            "schedule": "30 2 * * 1-5",
            **usual,
            "steps": step(command=command),
            **mail,
        },
        "clean": {
            "name": "clean",
            "schedule": f"{zone} 0 0 * * *",
            **usual,
            "steps": step(command="/srv/clean"),
            **mail,
        },
        "cat": {"name": "cat", "schedule": f"{zone} */5 * * * 0", **usual, "steps": step(script=script)},
        "echo": {"name": "echo", "schedule": f"{zone} 15 4 * * *", **usual, "steps": step(script="echo `hostname`")},
    }


def test_every_definition_is_valid_and_has_its_line_as_a_comment() -> None:
    found = read_crontab(CRONTAB)
    assert [dag.line for dag in found.dags] == [10, 12, 14, 15]
    for dag in found.dags:
        loaded = load(dag.spec, name=dag.name)
        assert (loaded.problems, loaded.warnings) == ((), ())
        assert dag.spec.startswith("# crontab: ")
    assert "# crontab: @daily /srv/clean\n" in found.dags[1].spec


def test_a_crontab_of_the_system_has_accounts() -> None:
    text = "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n@weekly postgres vacuumdb -a\n"
    found = read_crontab(text, is_system=True)
    assert [dag.name for dag in found.dags] == ["run-parts", "vacuumdb"]
    assert "# cron runs it as postgres: `dagbook dag run-as vacuumdb postgres`\n" in found.dags[1].spec
    assert yaml.safe_load(found.dags[0].spec)["steps"][0]["command"] == "cd / && run-parts --report /etc/cron.hourly"
    (left,) = read_crontab("5 4 * * * root\n", is_system=True).left_out
    assert left.reason.startswith("has no account before the command")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@reboot /srv/agent", "nothing starts at a boot"),
        ("@often /srv/agent", "@often is no time that is known"),
        ("5 4 * * *", "is neither a variable nor time fields with a command"),
        ("a.b=c", "is not the name of a variable"),
        ("PATH=$PATH:/srv/bin", "cron does not evaluate the value of PATH"),
        ("NOW=`date`", "cron does not evaluate the value of NOW"),
        ("SHELL=bash -e", "SHELL is not the path of a shell"),
        ("RANDOM_DELAY=30", "RANDOM_DELAY has no counterpart: "),
        ("60 4 * * * x", "minute '60' is not a value from 0 to 59"),
        ("5 4 0 * * x", "day of month '0' is not a value from 1 to 31"),
        ("5 4 * * fri-mon x", "day of week 'fri-mon' runs backwards"),
        ("5/10 4 * * * x", "minute '5/10' is read differently by versions of cron; write 5, or 5-59/10"),
        ("*/0 4 * * * x", "minute '*/0' has the step 0"),
        ("0~30 4 * * * x", "minute '0~30' is chosen at random"),
        ("5, 4 * * * x", "minute '' is not a value of cron"),
        ("0 0 */2 * mon x", "cron starts it on days that match both */2 and mon"),
        ("5 4 * * * %input", "has no command"),
    ],
)
def test_what_has_no_counterpart_is_left_out_with_the_reason(line: str, reason: str) -> None:
    found = read_crontab(f"# comment\n\n{line}\n1 2 * * * /srv/good\n")
    (left,) = found.left_out
    assert (left.line, left.text, [dag.name for dag in found.dags]) == (3, line, ["good"])
    assert left.reason.startswith(reason)


def test_a_zone_that_is_not_known_leaves_out_the_lines_below_it() -> None:
    found = read_crontab("CRON_TZ=Berlin\n1 2 * * * a\nCRON_TZ=\n1 2 * * * b\n")
    assert [(left.line, "write Europe/Berlin" in left.reason) for left in found.left_out] == [(2, True)]
    assert yaml.safe_load(found.dags[0].spec)["schedule"] == "1 2 * * *"


@pytest.mark.parametrize(
    ("comments", "description"),
    [
        ("# Cleans up", "Cleans up"),
        ("#--- Cleans up ---#", "Cleans up"),
        ("# m h  dom mon dow   command", None),
        ("# *  *  *  *  * user-name command to be executed", None),
        ("# |  |  |  .------- month (1 - 12)", None),
        ("# 30 4 * * * /srv/old", None),
        ("# about the file\n#\n# Cleans up", "Cleans up"),
        ("# about the file\n\n# Cleans up", "Cleans up"),
        ("# about the variable\nA=1", None),
    ],
)
def test_the_comment_above_a_line_describes_it(comments: str, description: str | None) -> None:
    (dag,) = _dags(f"{comments}\n1 2 * * * /srv/clean\n").values()
    assert dag.get("description") == description


@pytest.mark.parametrize(
    ("written", "command", "stdin"),
    [
        (r"date +\%F", "date +%F", None),
        (r"cat \\%a\%b%c", r"cat \\", "a%b\nc\n"),
        ("cat%", "cat", None),
        ("cat%END", "cat", "END\n"),
    ],
)
def test_percent_signs_are_read_as_cron_does(written: str, command: str, stdin: str | None) -> None:
    (dag,) = _dags(f"1 2 * * * {written}\n").values()
    (step,) = dag["steps"]
    if stdin is None:
        assert step["command"] == command
    else:
        head, _, rest = step["script"].partition(" <<'")
        assert head == f"{{ {command}\n}}"
        end, _, body = rest.partition("'\n")
        assert body == f"{stdin}{end}\n"
        assert end not in stdin.split("\n")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/certbot -q renew", "certbot"),
        ("cd /srv/app && ./bin/report.sh", "report"),
        ("A=1 B='x y' nice -n 10 ionice -c3 /opt/x/job", "job"),
        ("/usr/bin/python3.12 -u /srv/load.py --all", "load"),
        ("python3 -m team.load", "team.load"),
        ("bash -lc 'cd /srv && ./go.sh'", "go"),
        ("sudo -u web /srv/a_b", "a_b"),
        ("flock -w 10 /run/x.lock /srv/work", "work"),
        ("test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily; }", "run-parts"),
        ("[ -d /x ] && :", "job"),
        ("$HOME/bin/sync", "sync"),
        ("python3", "python3"),
        ("./naïve", "na-ve"),
        ("/srv/" + "x" * 60, "x" * 40),
        ("/srv/dag.yaml", "dag"),
        ("...", "job"),
    ],
)
def test_a_dag_is_named_after_what_the_command_runs(command: str, name: str) -> None:
    assert name_of(command) == name


def test_equal_names_get_numbers() -> None:
    found = read_crontab("".join(f"{minute} 2 * * * /srv/{'x' * 60}\n" for minute in range(11)))
    names = [dag.name for dag in found.dags]
    assert names[:2] == ["x" * 40, "x" * 38 + "-2"]
    assert names[10] == "x" * 37 + "-11"


def test_sizes_are_limited() -> None:
    with pytest.raises(ValueError, match="has more than 262,144 characters"):
        read_crontab("#" * (MAX_CHARACTERS + 1))
    found = read_crontab(f"A={'x' * 16_000}\nB={'x' * 16_000}\n1 2 * * * a\n")
    assert ([left.line for left in found.left_out], len(found.dags)) == ([2], 1)
    found = read_crontab("* * * * * a\n" * 501)
    assert ([left.line for left in found.left_out], len(found.dags)) == ([501], 500)


# -- times -----------------------------------------------------------------------------------------------------------

DAYS = [date(2027, 1, 1) + timedelta(days) for days in range(366)]
MONTHS = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _values(text: str, lowest: int, highest: int, names: list[str]) -> set[int]:
    """Return the values of a field as the manual of cron describes them."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = (str(lowest), "-", str(highest)) if span == "*" else span.partition("-")
        numbers = [names.index(word.lower()) if word.lower() in names else int(word) for word in (first, last or first)]
        found |= set(range(numbers[0], numbers[1] + 1, int(step or 1)))
    return found


def _starts_on(day: date, text: str, weekday_text: str) -> bool:
    in_month = day.day in _values(text, 1, 31, [])
    in_week = day.isoweekday() % 7 in {value % 7 for value in _values(weekday_text, 0, 7, WEEKDAYS[:7])}
    if text.startswith("*") or weekday_text.startswith("*"):
        return in_month and in_week
    return in_month or in_week


def _field(lowest: int, highest: int, *others: str) -> st.SearchStrategy[str]:
    value = st.integers(lowest, highest)
    span = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, highest + 2)
    stepped = st.tuples(st.one_of(st.just("*"), span), step).map(lambda pair: f"{pair[0]}/{pair[1]}")
    part = st.one_of(value.map(str), st.just("*"), span, stepped, *map(st.just, others))
    return st.lists(part, min_size=1, max_size=3).map(",".join)


@given(_field(0, 59), _field(1, 31), _field(1, 12, "JAN", "feb-apr"), _field(0, 7, "sun", "Mon-FRI", "tue,sat"))
def test_a_definition_starts_when_cron_does(minute: str, day: str, month: str, weekday: str) -> None:
    text = f"{minute} 4 {day} {month} {weekday}"
    in_week = {value % 7 for value in _values(weekday, 0, 7, WEEKDAYS[:7])}
    if (day[0] == "*" or weekday[0] == "*") and len(_values(day, 1, 31, [])) < 31 and len(in_week) < 7:
        with pytest.raises(ValueError, match="cron starts it on days that match both"):
            translate(text.split())
        return
    parsed = cron.parse(translate(text.split()))
    months = _values(month, 1, 12, MONTHS)
    assert set(parsed.minutes) == _values(minute, 0, 59, [])
    assert parsed.hours == (4,)
    expected = [each for each in DAYS if each.month in months and _starts_on(each, day, weekday)]
    assert [each for each in DAYS if parsed.allows_day(each)] == expected
