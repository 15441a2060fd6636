"""Mails as MIME messages."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

import msgspec

from dagbook.spec.problem import quoted

_WORD = r"[^\s<>()\[\]\\,;:@\"]+"
# The parser of the standard library reads unusual texts differently in each of its versions.
_ADDRESS = re.compile(rf"(?:([^<>]*)<)?({_WORD})(?:@({_WORD}))?(?(1)>)")


class EmailError(Exception):
    """An email is not valid; the message names the field and the fix."""


class Attachment(msgspec.Struct, frozen=True):
    """An attached file; ``type`` is its media type."""

    name: str
    data: bytes
    type: str = "application/octet-stream"


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """An email to send; addresses may have names: ``Robot <robot@example.org>``.

    ``text`` is the body for readers without HTML; without it the mail has the HTML alone.
    """

    sender: str
    to: tuple[str, ...]
    subject: str
    html: str
    text: str = ""
    attachments: tuple[Attachment, ...] = ()


class SmtpEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a mail server, with addresses without names; ``utf8`` when an address is not ASCII."""

    sender: str
    to: tuple[str, ...]
    data: bytes
    utf8: bool


def compose(email: Email, *, at: datetime, message_id: str) -> SmtpEnvelope:
    """Encode an email. Raises EmailError."""
    if not email.sender.strip():
        raise EmailError("from: is missing; write the address that the mail comes from")
    if not email.to:
        raise EmailError("to: is missing; write an address, or a list of them")
    sender = parse_address("from", email.sender)
    recipients = tuple(parse_address("to", text) for text in email.to)
    specs = tuple(dict.fromkeys(address.addr_spec for address in recipients))
    utf8 = not all(spec.isascii() for spec in (sender.addr_spec, *specs))
    message = EmailMessage(policy=SMTPUTF8 if utf8 else SMTP)
    message["From"], message["To"] = sender, recipients
    message["Subject"] = printable(email.subject)
    message["Date"], message["Message-ID"] = at, message_id
    message["Auto-Submitted"] = "auto-generated"  # prevents automatic replies
    if email.text:
        message.set_content(_encodable(email.text), cte="quoted-printable")
        message.add_alternative(_encodable(email.html), subtype="html", cte="base64")
    else:
        message.set_content(_encodable(email.html), subtype="html", cte="base64")
    message.make_mixed()
    for attachment in email.attachments:
        _attach(message, attachment)
    return SmtpEnvelope(sender=sender.addr_spec, to=specs, data=message.as_bytes(), utf8=utf8)


def _encodable(text: str) -> str:
    """Replace what UTF-8 has no bytes for, such as half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def printable(text: str) -> str:
    """Turn a text into one line: a line break would start another header."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def parse_address(field: str, text: str) -> Address:
    """Read one address, which may have a name. Raises EmailError."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise EmailError(
            f"{field}: {quoted(text)} is not a mail address; write name@example.org, and several as a list"
        )
    name, local, domain = (part or "" for part in found.groups())
    return Address(printable(name).strip('"').replace('\\"', '"'), local, domain)


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    main, _, sub = attachment.type.partition("/")
    params = {"charset": "utf-8"} if attachment.type == "text/plain" else None
    message.add_attachment(
        attachment.data, maintype=main, subtype=sub, filename=printable(attachment.name), params=params
    )
