"""A real mail server on loopback, inside the test's own loop: it keeps what it is sent, or refuses it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.waiting import wait_until

HOST = "127.0.0.1"
USER, PASSWORD = "robot", "open-sesame"


class Received(msgspec.Struct, frozen=True):
    """A mail as it came in; ``raw`` is what went over the wire."""

    sender: str
    to: list[str]
    raw: bytes
    encrypted: bool
    login: str

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def html(self) -> str:
        body = self.message.get_body(("html",))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")

    @property
    def attachments(self) -> dict[str, bytes]:
        parts = self.message.iter_attachments()
        return {str(part.get_filename()): bytes(part.get_payload(decode=True) or b"") for part in parts}


class MailServer:
    """What a server has heard; ``refuses`` names recipients that it does not know."""

    def __init__(self) -> None:
        self.mails: list[Received] = []
        self.refuses: set[str] = set()
        self.answers: list[str] = []  # to the next mails; after them all is well
        self.ways: list[str] = []
        self.holding, self.hold = asyncio.Event(), asyncio.Event()  # it has a mail; it may say that it has
        self.hold.set()
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        self.holding.set()
        await self.hold.wait()
        login = session.auth_data.login.decode() if isinstance(session.auth_data, LoginPassword) else ""
        answer = self.answers.pop(0) if self.answers else "250 kept"
        if answer.startswith("250"):
            mail = Received(
                str(envelope.mail_from), envelope.rcpt_tos, envelope.content, session.ssl is not None, login
            )
            self.mails.append(mail)
        return answer

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, way: str, data: LoginPassword
    ) -> AuthResult:
        self.ways.append(way)
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, auth_data=data, handled=False)

    async def received(self, count: int = 1) -> list[Received]:
        """Wait until so many mails have come in."""

        async def look() -> list[Received] | None:
            return self.mails if len(self.mails) >= count else None

        return await wait_until(look)


@asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[MailServer]:
    """Serve on a free port; options are those of aiosmtpd."""
    kept = MailServer()
    loop = asyncio.get_running_loop()
    made = {"hostname": "sink", "loop": loop, **options}
    if made.pop("login", False):
        made |= {"authenticator": kept.authenticate, "auth_required": True}

    def protocol() -> SMTP:
        with warnings.catch_warnings(
            action="ignore", category=UserWarning
        ):  # of logins without TLS: some tests want them
            return SMTP(kept, **made)

    async with listening(protocol) as kept.port:
        yield kept


@asynccontextmanager
async def listening(protocol: Callable[[], asyncio.BaseProtocol]) -> AsyncIterator[int]:
    """Listen on a free port of loopback and give it."""
    server = await asyncio.get_running_loop().create_server(protocol, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Silent(asyncio.Protocol):
    """A server that takes a connection and never says a word."""
