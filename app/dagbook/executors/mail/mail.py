"""The mail executor: sends a message over the DAG's ``smtp`` server (DAG format 4.8).

``message`` is HTML, whose line breaks become ``<br />``. Unlike Dagu, which ignores ``attachments``, it sends the
files; their paths are relative to the step's directory.
"""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from stat import S_ISREG

from dagbook.executors.config import Config
from dagbook.executors.contract import Job, SetupError, StepError, Streams, step_files
from dagbook.executors.mail import smtp
from dagbook.executors.mail.message import Attachment, Email
from dagbook.spec.problem import quoted

MOST_ATTACHED_BYTES = 10 * 1024 * 1024


async def run(job: Job, streams: Streams) -> int:
    """Send the mail. Raises StepError."""
    try:
        email = await asyncio.to_thread(read_email, job)
    except SetupError as error:
        raise StepError(str(error)) from error  # has exit code 1 here (DAG format 4.8)
    if job.shared.smtp is None:
        raise StepError("mail: the DAG names no mail server; add smtp: {host: …, port: …}")
    streams.out(_summary(email, Config(job.config, "mail").text("message")))
    try:
        await smtp.send(job.shared.smtp, email)
    except smtp.MailError as error:
        streams.err("the mail was not sent\n")
        raise StepError(f"mail: {error}") from error
    streams.out("the mail was sent\n")
    return 0


def read_email(job: Job) -> Email:
    """Make the email of a step, attachments included. Raises SetupError."""
    config = Config(job.config, "mail")
    if not isinstance(config.value("to"), str | list | tuple | None):
        raise config.error("to", "expected an address, or a list of them")
    to = tuple(filter(None, (text.strip() for text in config.texts("to"))))
    if not to:
        raise config.error("to", "is missing; write an address, or a list of them")
    return Email(
        sender=config.required("from", "write the address that the mail comes from"),
        to=to,
        subject=config.text("subject"),
        html=config.text("message").strip("\n").replace("\n", "<br />\n"),
        attachments=_attachments(config, job),
    )


def _attachments(config: Config, job: Job) -> tuple[Attachment, ...]:
    found: list[Attachment] = []
    for text in filter(str.strip, config.texts("attachments")):
        left = MOST_ATTACHED_BYTES - sum(len(attachment.data) for attachment in found)
        with step_files(job.account):
            found.append(_attachment(config, text, job.cwd / text, left))
    return tuple(found)


def _attachment(config: Config, text: str, path: Path, left: int) -> Attachment:
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise config.error("attachments", f"{quoted(text)} is not a file")
        if status.st_size > left:
            raise config.error("attachments", f"hold more than {MOST_ATTACHED_BYTES} bytes; send a link instead")
        kind, encoding = mimetypes.guess_type(path.name)
        media_type = kind if kind and not encoding else "application/octet-stream"
        return Attachment(path.name, path.read_bytes(), media_type)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise config.error("attachments", f"{quoted(text)}: {reason} (in {path.parent})") from error


def _summary(email: Email, message: str) -> str:
    lines = [
        f"from: {email.sender}",
        f"to: {', '.join(email.to)}",
        f"subject: {email.subject}",
        *(f"attachment: {attachment.name} ({len(attachment.data)} bytes)" for attachment in email.attachments),
        f"message: {message}",
    ]
    return "\n".join(("-----", *lines, "-----", ""))
