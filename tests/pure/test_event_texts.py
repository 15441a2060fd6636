"""Events of a run in words: those of the page *Events*, whose examples are in tests/web/js/events.test.js."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dagbook.api.schemas.run_logs import RunEvent
from dagbook.cli.runs.events import sentence_of
from dagbook.engine.status import NodeStatus, RunStatus

ENDED = {"finishedAt": "10:00"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"trigger": "api", "actor": "ada"}, "accepted, by ada"),
        ({"trigger": "retry", "retriedStep": "a"}, "accepted, of step a, trigger retry"),
        ({"trigger": "schedule", "queue": "night", "status": 5}, "accepted, queued in night, trigger schedule"),
        ({"status": 1, "startedAt": "09:00"}, "started"),
        ({"status": 4, **ENDED}, "succeeded"),
        ({"stopRequestedAt": "10:00", "actor": "ada"}, "stop requested, by ada"),
        ({"timedOut": True}, "time limit reached"),
        ({"dequeued": True, "status": 3, **ENDED, "actor": "ada"}, "removed from its queue, aborted, by ada"),
        ({"step": "a", "status": 1, "execution": 1}, "started"),
        ({"step": "a", "status": 4, "exitCode": 0, "doneCount": 1, **ENDED}, "succeeded"),
        (
            {"step": "a", "status": 2, "exitCode": 1, "error": "exit status 1\nlast of stderr:\nno price", **ENDED},
            "failed, exit status 1 \N{EN DASH} no price",
        ),
        (
            {"step": "b", "status": 3, "error": "not run: a step it depends on failed"},
            "did not run, a step it depends on failed",
        ),
        (
            {"step": "a", "dueAt": "03:04:06", "retryCount": 1, "exitCode": 3},
            "failed and will be retried, exit code 3, retry 1, at 03:04:06",
        ),
        ({"step": "a", "dueAt": "03:04:06"}, "will be repeated, at 03:04:06"),
        ({"step": "a", "execution": 2, "error": ""}, "executed again, execution 2"),
        ({"step": "a", "status": 4, "setByHand": True, "actor": "ada"}, "set to succeeded by hand, by ada"),
        (
            {"step": "a", "status": 5, "unmetPreconditions": ["x is not y"]},
            "preconditions are not met: x is not y, did not run",
        ),
        ({"step": "a", "doneCount": 2}, ""),
    ],
)
def test_an_event_is_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    status = fields.get("status")
    label = {} if status is None else {"statusLabel": (NodeStatus if "step" in fields else RunStatus)(status).label}
    event = msgspec.convert({"number": 1, "at": "10:00", "attempt": 1, **label, **fields}, RunEvent)
    assert sentence_of(event) == sentence
