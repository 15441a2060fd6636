"""What people are told about an alert, made when it is sent: a line, and the facts that it is made of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Literal, NamedTuple

import msgspec

from dagbook.alerts.kinds import Kind
from dagbook.telemetry.printable import one_line

Purpose = Literal["opened", "reminder", "closed", "test"]
_LONGEST = 300  # characters of a text of others
_LONGEST_LINE, _LONGEST_LINK = 600, 500  # characters, so that a line fits into a message of any service


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of an alert, as it is when the message is made."""

    run_id: str
    attempt: int
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    dag_name: str = ""
    failed_step: str = ""
    url: str = ""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An alert and why it is reported to a channel; ``is_told_once`` for what does not end.

    A test has the values of the alert that it stands for, and no ``alert_id``. ``ended`` is said of the subject at the
    end, if that is another one than the usual end. ``reason`` says what is missing or lasts too long, ``due_at`` which
    scheduled time that is about.
    """

    delivery_id: str
    purpose: Purpose
    alert_id: int | None
    kind: Kind
    subject_kind: str
    subject: str
    count: int
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None = None
    ended: str = ""
    is_told_once: bool = False
    error: str = ""
    reason: str = ""
    due_at: datetime | None = None
    run: RunFacts | None = None


class Line(NamedTuple):
    """What a person is told about an alert, and the page of its run; empty for none."""

    text: str
    url: str = ""


def clean(text: str, longest: int = _LONGEST) -> str:
    """Return a text as one line without control characters, shortened."""
    return one_line(text, longest)


def first_line(text: str) -> str:
    """Return the first line of an error: the others are the end of what a step has printed."""
    return clean(text.strip().partition("\n")[0])


def describe(notice: Notice, zone: tzinfo) -> str:
    """Return the line about an alert; what has ended meanwhile says both times."""
    words, subject = notice.kind, name_subject(notice)
    said, at = notice.ended or words.ended, notice.closed_at
    ended = f"{said} at {_time(at, zone)}" if at is not None and not notice.is_told_once else ""
    plural = "" if notice.count == 1 else "es" if words.counted.endswith("s") else "s"
    counted = f"{notice.count} {words.counted}{plural}"
    match notice.purpose:
        case "closed":
            return f"{subject} {ended or said}, after {counted} since {_time(notice.opened_at, zone)}"
        case "reminder":
            text = f"{subject} {words.happened}: {counted} since {_time(notice.opened_at, zone)}"
        case _:
            error, step = first_line(notice.error), clean(notice.run.failed_step) if notice.run else ""
            reason = f" ({f'step {step}: ' if step else ''}{error})" if error else ""
            if notice.reason:
                due = f"due {_time(notice.due_at, zone)}: " if notice.due_at else ""
                reason = f" ({due}{clean(notice.reason)})"
            text = f"{subject} {words.happened} at {_time(notice.last_at, zone)}{reason}"
            text = f"test: {text}" if notice.purpose == "test" else text
    return f"{text}, and {ended} after {counted}" if ended else text


def name_subject(notice: Notice) -> str:
    """Return what an alert is about: a DAG by its name, others with what they are."""
    kind = f"{notice.kind.about} " if notice.kind in (Kind.QUEUED, Kind.CHANNEL, Kind.TRIGGER) else ""
    return f"{kind}{clean(notice.subject)}"


def describe_all(notices: Sequence[Notice], zone: tzinfo) -> list[Line]:
    """Return the lines of one message for people: an alert that has ended meanwhile is told once."""
    opened = {notice.alert_id for notice in notices if notice.purpose != "closed"}
    shown = [notice for notice in notices if notice.purpose != "closed" or notice.alert_id not in opened]
    links = (notice.run.url if notice.run is not None else "" for notice in shown)
    return [
        Line(clean(describe(notice, zone), _LONGEST_LINE), link if len(link) <= _LONGEST_LINK else "")
        for notice, link in zip(shown, links, strict=True)
    ]


def title(lines: Sequence[Line], notices: Sequence[Notice]) -> str:
    """Return the subject of a message with these lines."""
    if len(lines) != 1:
        return f"{len(notices)} alerts"
    first, words = notices[0], notices[0].kind
    said = (first.ended or words.ended) if first.purpose == "closed" else words.happened
    return f"{'test: ' if first.purpose == 'test' else ''}{name_subject(first)} {said}"


def _time(instant: datetime, zone: tzinfo) -> str:
    return instant.astimezone(zone).isoformat(" ", "seconds")
