"""Mails to real servers on loopback: with login, with TLS, that hang, that refuse."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dagbook.executors.mail.message import Attachment, Email
from dagbook.executors.mail.smtp import MailError, send
from dagbook.spec.model import Smtp
from tests.certificates import make_certificate
from tests.mailserver import HOST, PASSWORD, USER, MailServer, Silent, listening, mail_server

EMAIL = Email(sender="robot@example.test", to=("ops@example.test", "boss@example.test"), subject="Hi", html="<p>x</p>")


@pytest.fixture
async def sink() -> AsyncIterator[MailServer]:
    async with mail_server() as opened:
        yield opened


def _at(port: int | str, **fields: str) -> Smtp:
    return Smtp(host=HOST, port=str(port), **fields)


def _with_login(port: int, password: str = PASSWORD) -> Smtp:
    return _at(port, username=USER, password=password)


async def _fail(server: Smtp, email: Email = EMAIL, **options: Any) -> str:
    with pytest.raises(MailError) as caught:
        await send(server, email, **options)
    return str(caught.value)


async def test_a_mail_reaches_all_its_recipients_in_one_go(sink: MailServer) -> None:
    await send(_at(sink.port), EMAIL)
    (mail,) = sink.mails
    assert (mail.sender, mail.to) == ("robot@example.test", ["ops@example.test", "boss@example.test"])
    assert (mail.subject, mail.html, mail.login) == ("Hi", "<p>x</p>\n", "")


async def test_a_line_that_is_a_dot_does_not_end_the_mail(sink: MailServer) -> None:
    email = Email(sender="a@x.test", to=("b@x.test",), subject=".", html=".\n.\n", attachments=(Attachment("d", b"."),))
    await send(_at(sink.port), email)
    assert sink.mails[0].html == ".\n.\n"


# -- login -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("excluded", "used"), [([], "LOGIN"), (["LOGIN"], "PLAIN"), (["PLAIN"], "LOGIN")])
async def test_login_is_tried_before_plain(excluded: list[str], used: str) -> None:
    options = {"login": True, "auth_require_tls": False, "auth_exclude_mechanism": excluded}
    async with mail_server(**options) as sink:
        await send(_with_login(sink.port), EMAIL)
        assert ([mail.login for mail in sink.mails], sink.ways) == ([USER], [used])


async def test_plain_is_the_second_try_where_login_is_refused() -> None:
    async with mail_server(login=True, auth_require_tls=False) as sink:
        message = await _fail(_with_login(sink.port, "hunter2"))
        assert sink.ways == ["LOGIN", "PLAIN"]
        assert "refused smtp.username and smtp.password (code 535)" in message
        assert "hunter2" not in message
        assert not sink.mails


async def test_a_server_without_login_is_no_place_for_a_password(sink: MailServer) -> None:
    assert "offers no login" in await _fail(_with_login(sink.port))
    assert not sink.mails


# -- TLS -------------------------------------------------------------------------------------------------------------


async def test_the_password_goes_through_tls_where_it_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with mail_server(login=True, tls_context=context, require_starttls=True) as sink:
        await send(_with_login(sink.port), EMAIL)
        assert [(mail.encrypted, mail.login) for mail in sink.mails] == [(True, USER)]


async def test_no_password_is_sent_to_an_untrusted_server(tmp_path: Path) -> None:
    context, _ = make_certificate(tmp_path)
    async with mail_server(login=True, tls_context=context) as sink:
        message = await _fail(_with_login(sink.port))
        assert "certificate" in message
        assert "cannot be trusted" in message
        assert not sink.ways


async def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = make_certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with mail_server(login=True, tls_context=context) as sink:
        assert "cannot be trusted" in await _fail(_with_login(sink.port))


async def test_without_a_password_any_certificate_is_better_than_none(tmp_path: Path) -> None:
    context, _ = make_certificate(tmp_path)
    async with mail_server(tls_context=context) as sink:
        await send(_at(sink.port), EMAIL)
        assert [mail.encrypted for mail in sink.mails] == [True]


# -- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_silent_server_is_abandoned_after_the_limit() -> None:
    async with listening(Silent) as port:
        assert await _fail(_at(port), limit_seconds=0.05) == f"the mail server {HOST}:{port} took longer than 0.05 s"


async def test_a_stop_interrupts_a_mail_at_once() -> None:
    connected = asyncio.Event()

    class Noted(Silent):
        def connection_made(self, _transport: asyncio.BaseTransport) -> None:
            connected.set()

    async with listening(Noted) as port:
        sending = asyncio.create_task(send(_at(port), EMAIL))
        await connected.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_closed_port_is_reported() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        assert await _fail(_at(port)) == f"the mail server {HOST}:{port} cannot be reached: connection refused"


async def test_a_host_that_does_not_exist_is_named() -> None:
    message = await _fail(Smtp(host="mail.invalid", port="25"))
    assert message.startswith("the mail server mail.invalid:25 cannot be reached: the host is unknown")


async def test_a_server_that_closes_the_connection_is_reported() -> None:
    class Rude(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async with listening(Rude) as port:
        assert "closed the connection" in await _fail(_at(port))


async def test_the_reply_of_a_server_is_reported(sink: MailServer) -> None:
    sink.answers = ["552 too large"]
    assert await _fail(_at(sink.port)) == f"the mail server {HOST}:{sink.port} answered 552 too large"


async def test_a_mail_that_no_recipient_may_have_is_not_sent(sink: MailServer) -> None:
    sink.refuses = set(EMAIL.to)
    message = await _fail(_at(sink.port))
    assert "refused ops@example.test (550 no such mailbox), boss@example.test (550 no such mailbox)" in message
    assert not sink.mails


async def test_a_recipient_that_is_refused_is_named_and_the_others_get_the_mail(sink: MailServer) -> None:
    sink.refuses = {"boss@example.test"}
    message = await _fail(_at(sink.port))
    assert "refused boss@example.test (550 no such mailbox); the others were sent the mail" in message
    assert [mail.to for mail in sink.mails] == [["ops@example.test"]]


async def test_an_address_outside_ascii_needs_a_server_that_takes_it(sink: MailServer) -> None:
    email = Email(sender="a@x.test", to=("jörg@x.test",), subject="", html="")
    assert "addresses of ASCII characters" in await _fail(_at(sink.port), email)
    async with mail_server(enable_SMTPUTF8=True) as modern:
        await send(_at(modern.port), email)
        assert modern.mails[0].to == ["jörg@x.test"]


@pytest.mark.parametrize("port", ["many", "0", "65536", "-1", "²", "1" * 9999])
async def test_what_is_no_port_is_named(port: str) -> None:
    assert (await _fail(_at(port))).startswith("smtp.port: expected a number from 1 to 65535, found ")


async def test_a_server_needs_a_host() -> None:
    assert (await _fail(Smtp(port="25"))).startswith("smtp.host: is missing")


async def test_an_invalid_address_is_reported_before_the_connection() -> None:
    email = Email(sender="nobody at all", to=("b@x.test",), subject="", html="")
    assert (await _fail(Smtp(host="mail.invalid"), email)).startswith("from: ")
