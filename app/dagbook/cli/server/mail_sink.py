"""``dagbook mail-sink``: a mail server of this machine that prints what it gets, for trying mails."""

from __future__ import annotations

import asyncio
import signal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import click
import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from dagbook.cli.commands import LocalOptions
from dagbook.cli.output import echo, format_bytes, print_json, wants_json
from dagbook.cli.server.listener import LOOPBACK
from dagbook.cli.settings import json_option

_MAX_BYTES = 16 * 1024 * 1024
_MAX_CONNECTIONS = 8
_MAX_SHOWN = 100_000  # characters of a text
_LINE = "-" * 72


class Attached(msgspec.Struct, frozen=True):
    """A file attached to a mail, and its size in bytes."""

    name: str
    size: int


class Mail(msgspec.Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """What is printed of a mail."""

    sender: str
    to: str
    subject: str
    text: str
    attachments: list[Attached] = []


@click.command("mail-sink", cls=LocalOptions, example="dagbook mail-sink --port 2525")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=2525, show_default=True, help="TCP port.")
@click.option("--raw", is_flag=True, help="Print each mail as it came, with all headers and encoded parts.")
@json_option
def mail_sink(*, port: int, raw: bool) -> None:
    """Accept mails on 127.0.0.1, print them, and deliver none, until it is interrupted: for trying mails.

    It has neither login nor TLS, and takes mails of up to 16 MiB.
    """
    asyncio.run(_serve(port, is_raw=raw))


async def _serve(port: int, *, is_raw: bool) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    sink = _Sink(is_raw=is_raw)
    try:
        server = await loop.create_server(lambda: _Connection(sink), LOOPBACK, port)
    except OSError as error:
        raise click.ClickException(
            f"port {port} of {LOOPBACK} cannot be used: {error.strerror}; choose another with --port"
        ) from error
    address = f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    echo(f"Mails to {address} are printed here and not delivered; Ctrl+C ends it", err=True)
    await ended.wait()
    server.close()


def describe(content: bytes) -> Mail:
    """Return the headers, the text and the attached files of a mail; all of it as text if it cannot be parsed."""
    try:
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)  # noqa: S101 - of this policy
        body = message.get_body(("plain", "html"))
        return Mail(
            sender=str(message["From"] or ""),
            to=str(message["To"] or ""),
            subject=str(message["Subject"] or ""),
            text="" if body is None else str(body.get_content()).replace("\r\n", "\n"),
            attachments=[
                Attached(str(part.get_filename("without a name")), len(bytes(part.get_payload(decode=True) or b"")))
                for part in message.iter_attachments()
            ],
        )
    except Exception:  # noqa: BLE001 - any program can send it, and the parser raises errors of all kinds
        return Mail(sender="", to="", subject="", text=content.decode("utf-8", "replace"))


class _Sink:
    """Prints mails; ``connections`` is the number of open ones."""

    def __init__(self, *, is_raw: bool) -> None:
        self.connections = 0
        self._is_raw = is_raw

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.original_content or b""
        mail = describe(content)
        if wants_json():
            print_json(mail)
            return "250 printed"
        if self._is_raw:
            echo(content.decode("utf-8", "replace").replace("\r\n", "\n")[:_MAX_SHOWN])
        else:
            for name, value in (("From", mail.sender), ("To", mail.to), ("Subject", mail.subject)):
                echo(f"{name}: {' '.join(value.split())}")
            echo(f"\n{mail.text[:_MAX_SHOWN].rstrip()}\n")
            for file in mail.attachments:
                echo(f"[{' '.join(file.name.split())}, {format_bytes(file.size)}]")
        echo(_LINE)
        return "250 printed"


class _Connection(SMTP):
    """A connection; those beyond the limit are closed at once."""

    def __init__(self, sink: _Sink) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(sink, data_size_limit=_MAX_BYTES, enable_SMTPUTF8=True, hostname="mail-sink", loop=loop)
        self._sink = sink

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sink.connections += 1
        super().connection_made(transport)
        if self._sink.connections > _MAX_CONNECTIONS:
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._sink.connections -= 1
        super().connection_lost(error)
