"""What the experiments on alerts count as a violation."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.chaos.alerts.receiver import Reply, Request
from tests.chaos.alerts.told import CHAT, HOOK, AlertRows, Delivery, FailedRun, Told

AT = datetime(2026, 11, 30, tzinfo=UTC)
FAILED = FailedRun("run-1", "nightly", 1)
OPENED = Delivery("id-1", HOOK, "opened", "sent", None, AT, AT, AT, "nightly")
CLOSED = OPENED._replace(id="id-2", purpose="closed")
SAID = OPENED._replace(id="id-3", channel=CHAT)
OVER = SAID._replace(id="id-4", purpose="closed")


def hook(row: Delivery, reply: Reply = Reply.OK, *, id_: str = "") -> Request:
    data = {"alert": {"id": 1}, "dag": row.dag}
    return Request(f"/{HOOK}", 0.0, id_ or row.id, {"type": f"alert.{row.purpose}", "data": data}, reply)


def chat(*lines: str, reply: Reply = Reply.OK) -> Request:
    return Request(f"/{CHAT}", 0.0, "", {"text": "\n".join(lines)}, reply)


def rows(*deliveries: Delivery, failed: FailedRun = FAILED, unrouted: int = 0) -> AlertRows:
    return AlertRows([failed], unfinished=0, unrouted=unrouted, deliveries=deliveries)


def test_messages_that_have_arrived_once_are_no_violation() -> None:
    requests = [
        hook(OPENED, Reply.ERROR),
        hook(OPENED),
        hook(CLOSED),
        chat("nightly failed at 1", reply=Reply.DOWN),
        chat("nightly failed at 1", "other failed at 1, and succeeded at 2 after 1 failure"),
        chat("nightly succeeded at 2, after 1 failure since 1"),
    ]
    others = [SAID._replace(dag="other"), OVER._replace(dag="other")]
    told = Told(rows(OPENED, CLOSED, SAID, OVER, *others), requests)
    assert ([*told.find_violations()], told.repeats) == ([], 0)


@pytest.mark.parametrize(
    ("found", "requests", "sentence"),
    [
        (rows(OPENED, failed=FAILED._replace(events=0)), [hook(OPENED)], "has failed, and has 0 events"),
        (rows(OPENED, unrouted=1), [hook(OPENED)], "1 events or messages wait"),
        (rows(OPENED._replace(status="pending")), [], "1 events or messages wait"),
        (rows(OPENED._replace(status="failed", reason="why")), [], "given up: opened of nightly for hook: why"),
        (rows(OPENED), [hook(OPENED, Reply.HANG)], "lost: opened of nightly for hook has a receipt"),
        (rows(SAID), [chat("other failed at 1")], "lost: opened of nightly for chat has a receipt"),
        (
            rows(OPENED._replace(dag="other")),
            [hook(OPENED._replace(dag="other"))],
            "lost: hook was not told of nightly",
        ),
        (rows(OPENED), [hook(OPENED), hook(OPENED, id_="id-9")], "got the unknown id id-9"),
        (rows(OPENED), [hook(OPENED), hook(OPENED, id_="id-9")], "got two ids for the beginning of the alert 1"),
        (rows(OPENED, CLOSED), [hook(CLOSED), hook(OPENED)], "got alert.closed before alert.opened of the alert 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_missing_or_in_disorder_is_a_violation(
    found: AlertRows, requests: list[Request], sentence: str
) -> None:
    assert sentence in "\n".join(Told(found, requests).find_violations())


def test_a_message_that_was_accepted_twice_is_a_repeat() -> None:
    twice = [hook(OPENED), hook(OPENED), chat("nightly failed at 1"), chat("nightly failed at 1")]
    assert Told(rows(OPENED, SAID), twice).repeats == 2
