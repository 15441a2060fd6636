"""A mail as bytes, from data alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from dagbook.executors.mail.message import Attachment, Email, EmailError, SmtpEnvelope, compose

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def _compose(
    *,
    sender: str = "robot@example.test",
    to: tuple[str, ...] = ("ops@example.test",),
    subject: str = "Hello",
    html: str = "All is well.",
    attachments: tuple[Attachment, ...] = (),
) -> SmtpEnvelope:
    email = Email(sender=sender, to=to, subject=subject, html=html, attachments=attachments)
    return compose(email, at=AT, message_id="<1@here>")


def _read(envelope: SmtpEnvelope) -> EmailMessage:
    message = message_from_bytes(envelope.data, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_names_stay_in_the_headers_and_leave_the_envelope() -> None:
    envelope = _compose(sender='"Robot, Inc." <robot@example.test>', to=("Öps <ops@example.test>", "boss"))
    assert (envelope.sender, envelope.to) == ("robot@example.test", ("ops@example.test", "boss"))
    message = _read(envelope)
    assert message["From"] == '"Robot, Inc." <robot@example.test>'
    assert message["To"] == "Öps <ops@example.test>, boss"


def test_a_recipient_that_is_named_twice_is_asked_for_once() -> None:
    assert _compose(to=("a@example.test", "A <a@example.test>")).to == ("a@example.test",)


def test_the_headers_say_when_and_that_no_person_wrote() -> None:
    message = _read(_compose())
    assert message["Date"].datetime == AT
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<1@here>", "auto-generated")


def test_any_subject_fits_into_its_header() -> None:
    subject = "grün ✓ " * 40
    assert _read(_compose(subject=subject))["Subject"] == subject.strip()


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\v", "\x85", "\u2028", "\0"])
def test_no_text_starts_another_header(mark: str) -> None:
    envelope = _compose(
        subject=f"a{mark}Bcc: x@example.test", sender=f'"a{mark}Bcc: x@example.test" <robot@example.test>'
    )
    message = _read(envelope)
    assert "Bcc" not in message
    assert message["Subject"].startswith("a")
    assert envelope.sender == "robot@example.test"


def test_the_body_is_html_in_lines_of_76_characters() -> None:
    html = "<p>größer</p>" * 100
    envelope = _compose(html=html)
    message = _read(envelope)
    body = message.get_body(("html",))
    assert message.get_content_type() == "multipart/mixed"
    assert body is not None
    assert body.get_content().strip() == html
    lines = re.findall(rb"^[A-Za-z0-9+/=]{40,}\r$", envelope.data, re.MULTILINE)
    assert len(lines) > 10
    assert max(map(len, lines)) == 76 + len(b"\r")


def test_every_line_of_a_mail_ends_as_the_protocol_wants() -> None:
    data = _compose(html="a\nb", attachments=(Attachment("a.txt", b"x\ny\n"),)).data
    assert data.count(b"\n") == data.count(b"\r\n")


def test_attachments_arrive_byte_for_byte_under_their_name() -> None:
    data = bytes(range(256)) * 50
    files = (Attachment("größe.bin", data), Attachment("a.out", b"x\n", "text/plain"))
    parts = list(_read(_compose(attachments=files)).iter_attachments())
    assert [(part.get_filename(), part.get_payload(decode=True)) for part in parts] == [
        ("größe.bin", data),
        ("a.out", b"x\n"),
    ]
    assert [part.get_content_type() for part in parts] == ["application/octet-stream", "text/plain"]


def test_an_address_outside_ascii_is_marked_for_the_server() -> None:
    envelope = _compose(to=("jörg@example.test",))
    assert envelope.utf8
    assert "jörg@example.test".encode() in envelope.data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a@x.test, b@x.test",
        "a b@x.test",
        "<>",
        "a@",
        "@x.test",
        "a@x.test\r\nBcc: b@x.test",
        "a@x@y",
        "a@[x",
        "a<b>c",
    ],
)
def test_what_is_no_address_is_named_with_its_field(text: str) -> None:
    with pytest.raises(EmailError, match=r"^to: "):
        _compose(to=(text,))


def test_a_mail_needs_a_sender_and_a_recipient() -> None:
    with pytest.raises(EmailError, match=r"^from: is missing"):
        _compose(sender=" ")
    with pytest.raises(EmailError, match=r"^to: is missing"):
        _compose(to=())
