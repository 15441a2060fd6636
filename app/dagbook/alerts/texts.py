"""What is told, made when it is sent: one line for each alert for people, JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Literal

import msgspec

from dagbook.alerts.kinds import Kind
from dagbook.json_values import JsonObject

Purpose = Literal["opened", "reminder", "closed", "test"]
_LONGEST = 300  # characters of a text of others
_MOST_LINES = 100  # of one message
_TYPES = {"reminder": "alert.reminded", "closed": "alert.closed", "test": "alert.test"}


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of an alert, as it is when the message is made."""

    run_id: str
    attempt: int
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    failed_step: str = ""
    url: str = ""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An alert and why it is reported to a channel; ``is_told_once`` for what does not end.

    A test has the values of the alert that it stands for, and no ``alert_id``. ``ended`` is said of the subject at the
    end, if that is another one than the usual end.
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
    run: RunFacts | None = None


class MailText(msgspec.Struct, frozen=True):
    """A mail for people: its subject, and the body as text and as HTML."""

    subject: str
    text: str
    html: str


def clean(text: str, longest: int = _LONGEST) -> str:
    """Return a text as one line without control characters, shortened."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def first_line(text: str) -> str:
    """Return the first line of an error: the others are the end of what a step has printed."""
    return clean(text.strip().partition("\n")[0])


def describe(notice: Notice, zone: tzinfo) -> str:
    """Return the line about an alert; what has ended meanwhile says both times."""
    words, subject = notice.kind, clean(notice.subject)
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
            text = f"{subject} {words.happened} at {_time(notice.last_at, zone)}{reason}"
            text = f"test: {text}" if notice.purpose == "test" else text
    return f"{text}, and {ended} after {counted}" if ended else text


def describe_all(notices: Sequence[Notice], zone: tzinfo) -> list[str]:
    """Return the lines of one message for people: an alert that has ended meanwhile is told once."""
    opened = {notice.alert_id for notice in notices if notice.purpose != "closed"}
    shown = [notice for notice in notices if notice.purpose != "closed" or notice.alert_id not in opened]
    links = [f" {notice.run.url}" if notice.run is not None and notice.run.url else "" for notice in shown]
    lines = [f"{describe(notice, zone)}{link}" for notice, link in zip(shown[:_MOST_LINES], links, strict=False)]
    more = len(shown) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def title(lines: Sequence[str], notices: Sequence[Notice]) -> str:
    """Return the subject of a mail with these lines."""
    if len(lines) != 1:
        return f"{len(notices)} alerts"
    first, words = notices[0], notices[0].kind
    said = (first.ended or words.ended) if first.purpose == "closed" else words.happened
    return f"{'test: ' if first.purpose == 'test' else ''}{clean(first.subject)} {said}"


def _time(instant: datetime, zone: tzinfo) -> str:
    return instant.astimezone(zone).isoformat(" ", "seconds")


# -- bodies, by type of channel ----------------------------------------------------------------------------------------


def webhook(notice: Notice, now: datetime) -> bytes:
    """Return the body of a webhook, which is at most 20 KB: all its texts are short."""
    alert = {
        "id": notice.alert_id,
        "kind": str(notice.kind),
        "subject": clean(notice.subject),
        "count": notice.count,
        "openedAt": _instant(notice.opened_at),
        "closedAt": None if notice.is_told_once else _instant(notice.closed_at),
    }
    data = {
        "alert": alert,
        "dag": clean(notice.subject) if notice.subject_kind == "dag" else None,
        "run": None if notice.run is None else _run(notice.run, notice.error),
    }
    return msgspec.json.encode({"type": type_of(notice), "timestamp": _instant(now), "data": data})


def type_of(notice: Notice) -> str:
    """Return the type of a message."""
    return _TYPES.get(notice.purpose, "alert.told" if notice.is_told_once else "alert.opened")


def slack(notices: Sequence[Notice], zone: tzinfo) -> bytes:
    """Return the body for an incoming webhook of Slack; nothing in it is markup, a mention or a hidden link."""
    lines = [escape(line, quote=False) for line in describe_all(notices, zone)]
    return msgspec.json.encode({"text": "\n".join(lines), "mrkdwn": False, "unfurl_links": False})


def mail(notices: Sequence[Notice], zone: tzinfo) -> MailText:
    """Return a mail about alerts."""
    lines = describe_all(notices, zone)
    html = "".join(f"<p>{escape(line)}</p>\n" for line in lines)
    return MailText(title(lines, notices), "\n\n".join((*lines, "")), html)


def _run(run: RunFacts, error: str) -> JsonObject:
    return {
        "dagRunId": run.run_id,
        "attempt": run.attempt,
        "status": run.status,
        "startedAt": _instant(run.started_at),
        "finishedAt": _instant(run.finished_at),
        "error": first_line(error) or None,
        "failedStep": clean(run.failed_step) or None,
        "url": run.url or None,
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
