"""What the experiments on triggers count as a violation."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
import pytest

from dagbook.engine.status import RunStatus
from tests.chaos.triggers.inbox import ORDERED, PUSH, EventRow, Rows, RunRow, compare
from tests.chaos.triggers.senders import DEAD, Event, Sent

EVENT = EventRow("id-1", PUSH, "started", None, duplicates=0, run=7)
RUN = RunRow(7, "id-1", RunStatus.SUCCEEDED)
STEP = ("one", "id-1")


def send(event: Event, *statuses: int, id_: str = "id-1", lost: int = 0) -> Sent:
    """Return an event with these answers."""
    sent = Sent(event)
    sent.lost = lost
    for status in statuses:
        duplicate = {"duplicate": True} if status == httpx.codes.OK else {}
        sent.take(httpx.Response(status, json={"eventId": id_, "dagRunId": id_, **duplicate}))
    return sent


def rows(*events: EventRow, runs: Iterable[RunRow] = (RUN,)) -> Rows:
    return Rows({each.id: each for each in events}, {each.key: each for each in runs})


ONE = Event(PUSH, "one")


def test_an_event_that_is_one_run_with_the_answered_id_is_no_violation() -> None:
    repeated = EVENT._replace(duplicates=2)
    assert [*compare(rows(repeated), [send(ONE, 503, 202, 200, lost=1)], [STEP])] == []


def test_a_dead_event_without_a_run_is_no_violation() -> None:
    dead = EVENT._replace(state=DEAD, run=None)
    assert [*compare(rows(dead, runs=()), [send(Event(PUSH, "one", DEAD), 202)], [])] == []


@pytest.mark.parametrize(
    ("found", "sent", "steps", "sentence"),
    [
        (rows(runs=()), send(ONE, 202), [], "lost: one was answered with id-1 and is not there"),
        (rows(EVENT._replace(state="waiting", run=None), runs=()), send(ONE, 202), [], "one is waiting at push: None"),
        (rows(EVENT), send(ONE, 202), [], "the step of one has started 0 times in the run id-1"),
        (rows(EVENT), send(ONE, 202), [STEP, STEP], "the step of one has started 2 times in the run id-1"),
        (rows(EVENT), send(ONE, 202), [STEP, ("one", "id-2")], "has started 1 times in the run id-2"),
        (rows(EVENT, runs=()), send(ONE, 202), [STEP], "one has None, not the run id-1"),
        (rows(EVENT, runs=[RUN._replace(run_id="id-2")]), send(ONE, 202), [STEP], "not the run id-1"),
        (rows(EVENT, runs=[RUN._replace(status=RunStatus.FAILED)]), send(ONE, 202), [STEP], "not the run id-1"),
        (rows(EVENT, runs=[RUN, RunRow(8, "id-8", RUN.status)]), send(ONE, 202), [STEP], "the run id-8 is of no event"),
        (rows(EVENT, EVENT._replace(id="id-9")), send(ONE, 202), [STEP], "the event id-9 was answered to no sender"),
        (rows(EVENT), send(ONE), [STEP], "one was answered with 0 ids"),
        (rows(EVENT), send(ONE, 401), [STEP], "one was answered 401"),
        (rows(EVENT._replace(duplicates=1)), send(ONE, 202, 202), [STEP], "one was accepted 2 times"),
        (rows(EVENT), send(ONE, 202, 200), [STEP], "one has 0 duplicates, 2 answers"),
        (rows(EVENT._replace(duplicates=2)), send(ONE, 202, lost=1), [STEP], "one has 2 duplicates, 1 answers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_lost_or_doubled_is_a_violation(
    found: Rows, sent: Sent, steps: list[tuple[str, str]], sentence: str
) -> None:
    assert sentence in "\n".join(compare(found, [sent], steps))


def test_an_event_that_starts_before_one_that_was_answered_before_it_was_sent_is_a_violation() -> None:
    found, sent = [], []
    for number in range(3):  # each is answered before the next one is sent
        sent.append(send(Event(ORDERED, f"event-{number}"), 202, id_=f"id-{number}"))
        sent[-1].first, sent[-1].answered = 10.0 * number, 10.0 * number + 5
        found.append(EventRow(f"id-{number}", ORDERED, "started", None, duplicates=0, run=number + 1))
    ran = rows(*found, runs=[RunRow(number + 1, f"id-{number}", RunStatus.SUCCEEDED) for number in range(3)])
    steps = [(f"event-{number}", f"id-{number}") for number in range(3)]
    assert [*compare(ran, sent, steps)] == []
    swapped = [steps[1], steps[0], steps[2]]
    sentence = "event-0 was answered before event-1 was sent, and has started after it"
    assert [*compare(ran, sent, swapped)] == [sentence]
