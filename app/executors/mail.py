"""Steps of type ``mail`` (DAG format 4.8): a message over the DAG's ``smtp``, from inside the server.

``message`` is HTML, whose line breaks become ``<br />``. Unlike Dagu, which reads ``attachments`` and leaves them
at home, the files are sent; they are named relative to the step's directory.
"""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from stat import S_ISREG

from app.executors import smtp
from app.executors.config import Config
from app.executors.contract import Job, SetupError, StepError, Streams
from app.executors.letter import Attachment, Letter
from app.spec.problem import quoted

MOST_ATTACHED_BYTES = 10 * 1024 * 1024


async def run(job: Job, streams: Streams) -> int:
    """Send the mail; raises StepError."""
    try:
        letter = await asyncio.to_thread(read_letter, job)
    except SetupError as error:
        raise StepError(str(error)) from error  # counts with exit code 1 here (DAG format 4.8)
    if job.site.smtp is None:
        raise StepError("mail: the DAG names no mail server; add smtp: {host: …, port: …}")
    streams.out(_summary(letter, Config(job.config, "mail").text("message")))
    try:
        await smtp.send(job.site.smtp, letter)
    except smtp.MailError as error:
        streams.err("the mail was not sent\n")
        raise StepError(f"mail: {error}") from error
    streams.out("the mail was sent\n")
    return 0


def read_letter(job: Job) -> Letter:
    """Make the letter of a step, files included; raises SetupError."""
    config = Config(job.config, "mail")
    if not isinstance(config.value("to"), str | list | tuple | None):
        raise config.error("to", "expected an address, or a list of them")
    to = tuple(filter(None, (text.strip() for text in config.texts("to"))))
    if not to:
        raise config.error("to", "is missing; write an address, or a list of them")
    return Letter(
        sender=config.required("from", "write the address that the mail comes from"),
        to=to,
        subject=config.text("subject"),
        html=config.text("message").strip("\n").replace("\n", "<br />\n"),
        attachments=_attachments(config, job.cwd),
    )


def _attachments(config: Config, directory: Path) -> tuple[Attachment, ...]:
    found: list[Attachment] = []
    for text in filter(str.strip, config.texts("attachments")):
        room = MOST_ATTACHED_BYTES - sum(len(attachment.data) for attachment in found)
        found.append(_attachment(config, text, directory / text, room))
    return tuple(found)


def _attachment(config: Config, text: str, path: Path, room: int) -> Attachment:
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise config.error("attachments", f"{quoted(text)} is no file")
        if status.st_size > room:
            raise config.error("attachments", f"hold more than {MOST_ATTACHED_BYTES} bytes; send a link instead")
        return Attachment(path.name, path.read_bytes(), _type_of(path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise config.error("attachments", f"{quoted(text)}: {reason} (seen from {path.parent})") from error


def _type_of(path: Path) -> str:
    kind, encoding = mimetypes.guess_type(path.name)
    return kind if kind and not encoding else "application/octet-stream"


def _summary(letter: Letter, message: str) -> str:
    lines = [
        f"from: {letter.sender}",
        f"to: {', '.join(letter.to)}",
        f"subject: {letter.subject}",
        *(f"attachment: {attachment.name} ({len(attachment.data)} bytes)" for attachment in letter.attachments),
        f"message: {message}",
    ]
    return "\n".join(("-----", *lines, "-----", ""))
