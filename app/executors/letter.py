"""A mail as bytes: headers, an HTML body and attachments, in base64 lines of 76 characters (runtime 27). Pure."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

import msgspec

from app.spec.problem import quoted

_WORD = r"[^\s<>()\[\]\\,;:@\"]+"
# The parser of the standard library reads something else into odd texts in each of its versions.
_ADDRESS = re.compile(rf"(?:([^<>]*)<)?({_WORD})(?:@({_WORD}))?(?(1)>)")


class LetterError(Exception):
    """A mail cannot be written: the field and the fix in words."""


class Attachment(msgspec.Struct, frozen=True):
    """A file that goes along; ``type`` is its media type."""

    name: str
    data: bytes
    type: str = "application/octet-stream"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to send; addresses may have names: ``Robot <robot@example.org>``."""

    sender: str
    to: tuple[str, ...]
    subject: str
    html: str
    attachments: tuple[Attachment, ...] = ()


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A letter ready for a server: bare addresses and the message; ``utf8`` when an address is not plain ASCII."""

    sender: str
    to: tuple[str, ...]
    data: bytes
    utf8: bool


def compose(letter: Letter, *, at: datetime, message_id: str) -> Envelope:
    """Write a letter; raises LetterError."""
    if not letter.sender.strip():
        raise LetterError("from: is missing; write the address that the mail comes from")
    if not letter.to:
        raise LetterError("to: is missing; write an address, or a list of them")
    sender = _address("from", letter.sender)
    recipients = tuple(_address("to", text) for text in letter.to)
    specs = tuple(dict.fromkeys(address.addr_spec for address in recipients))
    utf8 = not all(spec.isascii() for spec in (sender.addr_spec, *specs))
    message = EmailMessage(policy=SMTPUTF8 if utf8 else SMTP)
    message["From"], message["To"] = sender, recipients
    message["Subject"] = printable(letter.subject)
    message["Date"], message["Message-ID"] = at, message_id
    message["Auto-Submitted"] = "auto-generated"  # keeps absence notes from answering
    message.set_content(letter.html.encode("utf-8", "replace").decode(), subtype="html", cte="base64")
    message.make_mixed()
    for attachment in letter.attachments:
        _attach(message, attachment)
    return Envelope(sender=sender.addr_spec, to=specs, data=message.as_bytes(), utf8=utf8)


def printable(text: str) -> str:
    """Make one line of a text: line breaks in a header would begin another one."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _address(field: str, text: str) -> Address:
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise LetterError(f"{field}: {quoted(text)} is no mail address; write name@example.org, and several as a list")
    name, local, domain = (part or "" for part in found.groups())
    return Address(printable(name).strip('"').replace('\\"', '"'), local, domain)


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    main, _, sub = attachment.type.partition("/")
    params = {"charset": "utf-8"} if attachment.type == "text/plain" else None
    message.add_attachment(
        attachment.data, maintype=main, subtype=sub, filename=printable(attachment.name), params=params
    )
