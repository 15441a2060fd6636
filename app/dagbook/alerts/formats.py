"""What channels of each type are sent: lines for people, escaped as their service shows them, or JSON. Pure.

A message has at most a hundred lines, or as many as the service accepts; the others are counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import TypeVar

import msgspec

from dagbook.alerts.kinds import Kind
from dagbook.alerts.texts import Line, Notice, RunFacts, clean, describe_all, first_line, title
from dagbook.json_values import Json, JsonObject

_MOST_LINES = 100
# What the services accept: characters, counted as UTF-16 does, which is never less; bytes of ntfy and Teams. PagerDuty
# accepts 1,024 characters, which a line never has.
_DISCORD, _TELEGRAM, _SLACK, _NTFY, _TEAMS = 2_000, 4_096, 40_000, 4_096, 28 * 1_024
_NO_EMBEDS = 4  # a flag of Discord: no previews of links
_MARKDOWN = re.compile(r"[\\`*_~|<>\[#]")  # of Discord
_USER = re.compile(r"(?<!\w)@(?=\w)")  # of Telegram, which makes mentions of plain text
_CARD = "application/vnd.microsoft.card.adaptive"
_TYPES = {"reminder": "alert.reminded", "closed": "alert.closed", "test": "alert.test"}
T = TypeVar("T")


class MailText(msgspec.Struct, frozen=True):
    """A mail for people: its subject, and the body as text and as HTML."""

    subject: str
    text: str
    html: str


def _fit(lines: Sequence[Line], most: int, size: Callable[[T], int], make: Callable[[Sequence[Line]], T]) -> T:
    """Make a message of as many lines as fit; one always does."""
    shown = min(len(lines), _MOST_LINES)
    while True:
        more = len(lines) - shown
        made = make([*lines[:shown], Line(f"and {more} more")] if more else lines)
        if shown <= 1 or size(made) <= most:
            return made
        shown -= 1


def _join(lines: Sequence[Line]) -> str:
    return "\n".join(f"{line.text} {line.url}".rstrip() for line in lines)


def _characters(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


# -- for people --------------------------------------------------------------------------------------------------------


def slack(notices: Sequence[Notice], zone: tzinfo) -> bytes:
    """Return the body for an incoming webhook of Slack; nothing in it is markup, a mention or a hidden link."""
    lines = describe_all(notices, zone)
    text = _fit(lines, _SLACK, _characters, lambda shown: escape(_join(shown), quote=False))
    return msgspec.json.encode({"text": text, "mrkdwn": False, "unfurl_links": False})


def discord(notices: Sequence[Notice], zone: tzinfo) -> bytes:
    """Return the body for a webhook of Discord; nothing in it is markup, a mention or a hidden link."""
    lines = [line._replace(text=_MARKDOWN.sub(r"\\\g<0>", line.text)) for line in describe_all(notices, zone)]
    text = _fit(lines, _DISCORD, _characters, _join)
    return msgspec.json.encode({"content": text, "allowed_mentions": {"parse": []}, "flags": _NO_EMBEDS})


def teams(notices: Sequence[Notice], zone: tzinfo) -> bytes:
    """Return the body for a webhook of Workflows: a card of text runs, which show no Markdown."""
    return _fit(describe_all(notices, zone), _TEAMS, len, _card)


def _card(lines: Sequence[Line]) -> bytes:
    body: list[Json] = []
    for line in lines:
        inlines: list[Json] = [{"type": "TextRun", "text": line.text}]
        if line.url:
            opens: Json = {"type": "Action.OpenUrl", "url": line.url}
            inlines += [{"type": "TextRun", "text": " "}, {"type": "TextRun", "text": line.url, "selectAction": opens}]
        body.append({"type": "RichTextBlock", "inlines": inlines})
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    content = {"$schema": schema, "type": "AdaptiveCard", "version": "1.2", "body": body}
    card = {"contentType": _CARD, "contentUrl": None, "content": content}
    return msgspec.json.encode({"type": "message", "attachments": [card]})


def telegram(notices: Sequence[Notice], zone: tzinfo, chat: str) -> bytes:
    """Return the body of ``sendMessage``; without ``parse_mode`` nothing in its text is markup, or a mention."""
    lines = [line._replace(text=_USER.sub("@\N{WORD JOINER}", line.text)) for line in describe_all(notices, zone)]
    text = _fit(lines, _TELEGRAM, _characters, _join)
    return msgspec.json.encode({"chat_id": chat, "text": text, "link_preview_options": {"is_disabled": True}})


def ntfy(notices: Sequence[Notice], zone: tzinfo, topic: str) -> bytes:
    """Return the body that ntfy takes at the address of the server; a click leads to the run of the first line."""
    lines = describe_all(notices, zone)
    message = _fit(lines, _NTFY, lambda text: len(text.encode()), _join)
    body = {"topic": topic, "title": title(lines, notices), "message": message}
    return msgspec.json.encode(body | ({"click": lines[0].url} if lines[0].url else {}))


def mail(notices: Sequence[Notice], zone: tzinfo) -> MailText:
    """Return a mail about alerts."""
    lines = describe_all(notices, zone)
    shown = [_join([line]) for line in _fit(lines, _MOST_LINES + 1, len, list)]
    html = "".join(f"<p>{escape(line)}</p>\n" for line in shown)
    return MailText(title(lines, notices), "\n\n".join((*shown, "")), html)


# -- for programs ------------------------------------------------------------------------------------------------------


def webhook(notice: Notice, now: datetime) -> bytes:
    """Return the body of a webhook, which is at most 20 KB: all its texts are short."""
    return msgspec.json.encode({"type": type_of(notice), "timestamp": _instant(now), "data": _facts(notice)})


def pagerduty(notice: Notice, zone: tzinfo, routing_key: str) -> bytes:
    """Return an event for PagerDuty: the end of an alert resolves the incident that its beginning has opened."""
    (line,) = describe_all([notice], zone)
    # With the time: two servers may have the same service, and both an alert 7.
    alert = f"{notice.alert_id}-{notice.opened_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    payload = {
        "summary": line.text,
        "source": clean(notice.subject),
        "severity": "info" if notice.purpose == "test" or notice.is_told_once else "error",
        "timestamp": _instant(notice.last_at),
        "class": str(notice.kind),
        "custom_details": _facts(notice),
    }
    event = {
        "routing_key": routing_key,
        "event_action": "resolve" if notice.purpose == "closed" else "trigger",
        "dedup_key": f"dagbook-{alert if notice.alert_id else notice.delivery_id}",
        "client": "Dagbook",
        "payload": payload,
    }
    return msgspec.json.encode(event | ({"client_url": line.url} if line.url else {}))


def type_of(notice: Notice) -> str:
    """Return the type of a message."""
    return _TYPES.get(notice.purpose, "alert.told" if notice.is_told_once else "alert.opened")


def ping(notice: Notice, zone: tzinfo) -> str:
    """Return the failure that a ping reports; empty for a success."""
    is_failure = notice.purpose in ("opened", "reminder") and notice.kind is not Kind.SUCCEEDED
    return _join(describe_all([notice], zone)) if is_failure else ""


def heartbeat(failure: str, now: datetime) -> bytes:
    """Return the body of a ping that is signed."""
    return msgspec.json.encode({"type": "ping", "timestamp": _instant(now), "data": {"failure": failure or None}})


def _facts(notice: Notice) -> JsonObject:
    alert: Json = {
        "id": notice.alert_id,
        "kind": str(notice.kind),
        "subject": clean(notice.subject),
        "count": notice.count,
        "openedAt": _instant(notice.opened_at),
        "closedAt": None if notice.is_told_once else _instant(notice.closed_at),
        "reason": clean(notice.reason) or None,
        "dueAt": _instant(notice.due_at),
    }
    dag = notice.subject if notice.subject_kind == "dag" else notice.run.dag_name if notice.run else ""
    return {
        "alert": alert,
        "dag": clean(dag) or None,
        "run": None if notice.run is None else _run(notice.run, notice.error),
    }


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
