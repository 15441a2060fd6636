"""What each type of channel is sent: escaped as its service shows texts, and no more than it accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

import pytest
from msgspec.structs import replace

from dagbook.alerts import formats
from dagbook.alerts.kinds import Kind
from dagbook.alerts.texts import Notice
from tests.pure.test_alert_texts import HOSTILE, LATER, NOW, RUN, notice

WIDE = "\N{GRINNING FACE}"  # two characters for UTF-16, four bytes
LINK = f"https://dagbook.example.org/{'p' * 400}"


def utf_16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def card_text(body: Any) -> str:
    """Return what a card shows: runs of text, which have no Markdown."""
    (attachment,) = body["attachments"]
    assert {block["type"] for block in attachment["content"]["body"]} == {"RichTextBlock"}
    blocks = [block["inlines"] for block in attachment["content"]["body"]]
    assert {run["type"] for block in blocks for run in block} == {"TextRun"}
    return "\n".join("".join(run["text"] for run in block) for block in blocks)


# By type: the message, its text in the body, the most that the service accepts and how it is measured.
CHATS: dict[str, tuple[Callable[[Sequence[Notice]], bytes], Callable[[Any], str], int, Callable[[str], int]]] = {
    "slack": (lambda all_: formats.slack(all_, UTC), lambda body: str(body["text"]), 40_000, utf_16),
    "discord": (lambda all_: formats.discord(all_, UTC), lambda body: str(body["content"]), 2_000, utf_16),
    "telegram": (lambda all_: formats.telegram(all_, UTC, "-7"), lambda body: str(body["text"]), 4_096, utf_16),
    "ntfy": (
        lambda all_: formats.ntfy(all_, UTC, "ops"),
        lambda body: str(body["message"]),
        4_096,
        lambda text: len(text.encode()),
    ),
    "teams": (lambda all_: formats.teams(all_, UTC), card_text, 28_672, lambda text: len(text.encode())),
}


@pytest.mark.parametrize("kind", CHATS)
def test_a_message_has_a_line_for_each_alert_with_the_page_of_its_run(kind: str) -> None:
    make, text_of, _, _ = CHATS[kind]
    lines = text_of(json.loads(make([notice(), notice(alert_id=8, subject="other", run=None)]))).split("\n")
    assert [line.split()[0] for line in lines] == ["nightly", "other"]
    assert (lines[0].endswith(f" {RUN.url}"), lines[1].endswith("(exit status 1)")) == (True, True)


@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("sign", ["x", "<", "*", "&", '"', WIDE])
def test_a_message_that_would_be_too_long_has_fewer_lines_and_counts_the_others(kind: str, sign: str) -> None:
    make, text_of, most, size = CHATS[kind]
    run = replace(RUN, url=LINK, failed_step=sign * 400)
    body = make([notice(alert_id=number, subject=sign * 400, error=sign * 400, run=run) for number in range(150)])
    text = text_of(json.loads(body))
    assert size(text) <= most
    assert kind != "teams" or len(body) <= most
    *shown, last = text.split("\n")
    assert 0 < len(shown) <= 100
    assert last == f"and {150 - len(shown)} more"
    assert all(line.endswith(LINK) for line in shown)


def test_a_message_names_a_hundred_alerts_at_most() -> None:
    mail = formats.mail([notice(alert_id=number, run=None) for number in range(130)], UTC)
    assert (mail.html.count("<p>"), mail.text.endswith("\n\nand 30 more\n\n")) == (101, True)


@pytest.mark.parametrize("kind", CHATS)
def test_texts_of_others_break_no_line(kind: str) -> None:
    make, text_of, _, _ = CHATS[kind]
    text = text_of(json.loads(make([notice(error=HOSTILE, subject=HOSTILE, run=None)])))
    assert text.replace("\N{WORD JOINER}", "").isprintable()


def test_nothing_in_a_message_to_slack_is_markup() -> None:
    body = json.loads(formats.slack([notice(error=HOSTILE)], UTC))
    assert "<" not in body["text"]
    assert "&lt;!channel&gt;" in body["text"]
    assert (body["mrkdwn"], body["unfurl_links"]) == (False, False)


def test_nothing_in_a_message_to_discord_is_markup_or_a_mention() -> None:
    body = json.loads(
        formats.discord([notice(error="[ok](https://evil.example) <@1> `a` **b** __c__ ~~d~~ ||e||")], UTC)
    )
    assert r"\[ok](https://evil.example) \<@1\> \`a\` \*\*b\*\* \_\_c\_\_ \~\~d\~\~ \|\|e\|\|" in body["content"]
    assert (body["allowed_mentions"], body["flags"]) == ({"parse": []}, 4)


def test_a_message_to_telegram_is_plain_and_mentions_nobody() -> None:
    body = json.loads(formats.telegram([notice(error="@ann, see bob@example.org")], UTC, "@ops"))
    assert body["chat_id"] == "@ops"
    assert "@\N{WORD JOINER}ann, see bob@example.org" in body["text"]
    assert set(body) == {"chat_id", "text", "link_preview_options"}


def test_a_card_opens_the_page_of_the_run() -> None:
    body = json.loads(formats.teams([notice(error=HOSTILE)], UTC))
    (block,) = body["attachments"][0]["content"]["body"]
    assert "<!channel> @everyone *bold*" in block["inlines"][0]["text"]  # shown as it is
    assert block["inlines"][-1]["selectAction"] == {"type": "Action.OpenUrl", "url": RUN.url}
    assert (body["type"], body["attachments"][0]["contentType"]) == (
        "message",
        "application/vnd.microsoft.card.adaptive",
    )


def test_a_message_of_ntfy_has_a_title_and_leads_to_the_run() -> None:
    body = json.loads(formats.ntfy([notice()], UTC, "ops"))
    assert (body["topic"], body["title"], body["click"]) == ("ops", "nightly failed", RUN.url)
    assert "click" not in json.loads(formats.ntfy([notice(run=None)], UTC, "ops"))


def test_a_mail_escapes_what_it_shows() -> None:
    mail = formats.mail([notice(error="<b>x</b> & more")], UTC)
    assert mail.subject == "nightly failed"
    assert "<b>" not in mail.html
    assert "&lt;b&gt;x&lt;/b&gt; &amp; more" in mail.html
    assert "<b>x</b> & more" in mail.text


# -- programs ----------------------------------------------------------------------------------------------------------


def event(given: Notice) -> Any:
    return json.loads(formats.pagerduty(given, UTC, "the-key"))


def test_the_end_of_an_alert_resolves_the_incident_of_its_beginning() -> None:
    opened, closed = event(notice()), event(notice("closed", closed_at=LATER, count=3, last_at=LATER))
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"] == "dagbook-7-20260301T021003Z"
    assert opened["routing_key"] == "the-key"
    assert (opened["client"], opened["client_url"]) == ("Dagbook", RUN.url)


def test_a_reminder_goes_to_the_same_incident_and_another_alert_to_another() -> None:
    keys = [
        event(each)["dedup_key"] for each in (notice(), notice("reminder"), notice(alert_id=8), notice(opened_at=LATER))
    ]
    assert (keys[0] == keys[1], len(set(keys))) == (True, 3)


def test_an_event_has_what_pagerduty_requires_within_its_limits() -> None:
    payload = event(notice(error=HOSTILE * 99, subject=WIDE * 999))["payload"]
    assert len(payload["summary"]) <= 1_024
    assert payload["summary"].isprintable()
    assert payload["source"]
    assert payload["custom_details"]["alert"]["kind"] == "failed"
    severities = [
        event(each)["payload"]["severity"]
        for each in (notice(), notice("test", alert_id=None), notice(kind=Kind.ABORTED, is_told_once=True))
    ]
    assert severities == ["error", "info", "info"]


def test_each_test_is_an_incident_of_its_own() -> None:
    tests = [event(notice("test", alert_id=None, delivery_id=name)) for name in ("d1", "d2")]
    assert [each["dedup_key"] for each in tests] == ["dagbook-d1", "dagbook-d2"]


def test_the_body_of_a_webhook() -> None:
    body = json.loads(formats.webhook(notice(count=2), LATER))
    assert body == {
        "type": "alert.opened",
        "timestamp": "2026-03-01T02:40:03.000Z",
        "data": {
            "alert": {
                "id": 7,
                "kind": "failed",
                "subject": "nightly",
                "count": 2,
                "openedAt": "2026-03-01T02:10:03.000Z",
                "closedAt": None,
                "reason": None,
                "dueAt": None,
            },
            "dag": "nightly",
            "run": {
                "dagRunId": "r1",
                "attempt": 1,
                "status": "failed",
                "startedAt": "2026-03-01T02:10:03.000Z",
                "finishedAt": "2026-03-01T02:40:03.000Z",
                "error": "exit status 1",
                "failedStep": "load",
                "url": RUN.url,
            },
        },
    }


def test_the_types_of_messages_and_their_size() -> None:
    types = [formats.type_of(notice(purpose)) for purpose in ("opened", "reminder", "closed", "test")]
    assert types == ["alert.opened", "alert.reminded", "alert.closed", "alert.test"]
    assert formats.type_of(notice(is_told_once=True)) == "alert.told"
    huge = notice(subject="\u20ac" * 5_000, error="\u20ac" * 50_000)
    assert len(formats.webhook(huge, NOW)) < 20_000


def test_a_ping_reports_what_is_wrong_and_nothing_of_a_success() -> None:
    assert formats.ping(notice(), UTC).startswith("nightly failed at 2026-03-01 02:10:03+00:00")
    good = [notice("closed", closed_at=LATER), notice("test"), notice(kind=Kind.SUCCEEDED, is_told_once=True)]
    assert [formats.ping(each, UTC) for each in good] == ["", "", ""]
