"""The sending of mails over SMTP, with STARTTLS where it is offered (runtime 27).

Unlike Dagu, it uses implicit TLS on port 465.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import UTC, datetime
from email.utils import make_msgid

import aiosmtplib

from dagbook.executors.mail.message import Email, EmailError, SmtpEnvelope, compose
from dagbook.spec.model import Smtp
from dagbook.tries import Answer

LIMIT_SECONDS = 30.0
_QUIT_SECONDS = 2.0
_DEFAULT_PORT, _TLS_PORT, _LAST_PORT = 25, 465, 65535
_LONGEST_ANSWER = 300
_ACCEPTED, _PERMANENT = 250, range(500, 600)
_LOCAL_HOSTNAME = "localhost"  # a fully qualified name would need a DNS query, and servers ignore it


class MailError(Exception):
    """A mail was not accepted for all recipients; the message does not contain the password.

    ``code`` is the server's answer, 0 without one; ``is_final`` says that it answers a repetition in the same way, and
    ``is_partly_sent`` that other recipients were sent the mail.
    """

    def __init__(self, message: str, code: int = 0, *, is_final: bool = False, is_partly_sent: bool = False) -> None:
        self.code, self.is_final, self.is_partly_sent = code, is_final, is_partly_sent
        super().__init__(message)


async def send(server: Smtp, email: Email, *, limit_seconds: float = LIMIT_SECONDS, message_id: str = "") -> None:
    """Send an email. Raises MailError, also when only some of the recipients were refused.

    A mail that is sent again with the same ``message_id`` is the same mail for its readers.
    """
    host, port = server.host.strip(), _port(server)
    if not host:
        raise MailError("smtp.host: is missing; write the name or address of the mail server")
    client = aiosmtplib.SMTP(
        hostname=host,
        port=port,
        timeout=None,  # one limit for everything, below
        local_hostname=_LOCAL_HOSTNAME,
        use_tls=port == _TLS_PORT,
        # Without a password a check protects nothing: an attacker in between can read the mail anyway by hiding that
        # TLS is offered. So encryption is opportunistic, as between mail servers.
        validate_certs=_has_login(server),
    )
    try:
        # A large message takes a while to write.
        envelope = await asyncio.to_thread(
            compose, email, at=datetime.now(UTC), message_id=message_id or make_msgid(domain="dagbook")
        )
        async with asyncio.timeout(limit_seconds):
            await _deliver(client, server, envelope)
    except (aiosmtplib.SMTPException, OSError, EmailError, ValueError) as error:
        message, code = _explain(error, f"the mail server {host}:{port}", limit_seconds), _code_of(error)
        is_final = code in _PERMANENT and not isinstance(error, aiosmtplib.SMTPAuthenticationError)
        raise MailError(message, code, is_final=is_final or isinstance(error, EmailError)) from error
    finally:
        client.close()


async def try_to_send(
    server: Smtp, email: Email, *, limit_seconds: float = LIMIT_SECONDS, message_id: str = ""
) -> Answer:
    """Send an email, and return what came of it; one that only some recipients refuse is sent."""
    try:
        await send(server, email, limit_seconds=limit_seconds, message_id=message_id)
    except MailError as error:
        if error.is_partly_sent:
            return Answer(code=_ACCEPTED, text=str(error), is_sent=True)
        return Answer(code=error.code, text=str(error), is_refused=error.is_final)
    return Answer(code=_ACCEPTED, is_sent=True)


async def _deliver(client: aiosmtplib.SMTP, server: Smtp, envelope: SmtpEnvelope) -> None:
    await client.connect()
    if _has_login(server):
        await _log_in(client, server)
    options = ["SMTPUTF8", "BODY=8BITMIME"] if envelope.utf8 else []
    refused, _ = await client.sendmail(envelope.sender, envelope.to, envelope.data, mail_options=options)
    # The server has accepted the mail: an error of QUIT changes nothing.
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(_QUIT_SECONDS):
            await client.quit()
    if refused:
        answers = (_recipient_error(address, code, text) for address, (code, text) in refused.items())
        message = f"the mail server refused {', '.join(answers)}; the others were sent the mail"
        raise MailError(message, is_partly_sent=True)


async def _log_in(client: aiosmtplib.SMTP, server: Smtp) -> None:
    if client.is_ehlo_or_helo_needed:
        await client.ehlo()
    methods = {"login": client.auth_login, "plain": client.auth_plain}
    offered = [method for name, method in methods.items() if name in client.server_auth_methods]
    if not offered:
        raise MailError(
            "the mail server offers no login with LOGIN or PLAIN; leave out smtp.username and smtp.password, "
            "or name a port that offers it (often 587)"
        )
    refusal: aiosmtplib.SMTPAuthenticationError | None = None
    for method in offered:
        try:
            await method(server.username, server.password)
        except aiosmtplib.SMTPAuthenticationError as error:
            refusal = error
        except aiosmtplib.SMTPServerDisconnected as error:
            raise refusal or error from error
        else:
            return
    if refusal is not None:
        raise refusal


def _has_login(server: Smtp) -> bool:
    return bool(server.username or server.password)


def _port(server: Smtp) -> int:
    text = server.port.strip()
    if not text:
        return _DEFAULT_PORT
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= _LAST_PORT):
        raise MailError(f"smtp.port: expected a number from 1 to {_LAST_PORT}, found {text[:20]!r}")
    return int(text)


def _code_of(error: Exception) -> int:
    match error:
        case aiosmtplib.SMTPResponseException():
            return error.code
        case aiosmtplib.SMTPRecipientsRefused():
            return max((refused.code for refused in error.recipients), default=0)
    return 0


def _explain(error: Exception, server: str, limit_seconds: float) -> str:
    """Say in one sentence what went wrong."""
    match error:
        case EmailError():
            return str(error)
        case aiosmtplib.SMTPResponseException() | aiosmtplib.SMTPRecipientsRefused() | aiosmtplib.SMTPNotSupported():
            return _explain_reply(error, server)
        case aiosmtplib.SMTPConnectError() if isinstance(error.__cause__, OSError):
            return _explain_connection(error.__cause__, server, limit_seconds)
    return _explain_connection(error, server, limit_seconds)


def _explain_reply(error: aiosmtplib.SMTPException, server: str) -> str:
    match error:
        case aiosmtplib.SMTPAuthenticationError():  # its answer is left out: it may repeat the password
            return f"{server} refused smtp.username and smtp.password (code {error.code})"
        case aiosmtplib.SMTPRecipientsRefused():
            refusals = [_recipient_error(one.recipient, one.code, one.message) for one in error.recipients]
            return f"{server} refused {', '.join(refusals)}"
        case aiosmtplib.SMTPSenderRefused():
            return f"{server} refused the sender {_recipient_error(error.sender, error.code, error.message)}"
        case aiosmtplib.SMTPResponseException():
            return f"{server} answered {error.code} {_one_line(error.message)}"
    return f"{server} takes only addresses of ASCII characters"


def _explain_connection(error: Exception, server: str, limit_seconds: float) -> str:
    match error:
        case TimeoutError():
            return f"{server} took longer than {limit_seconds:g} s"
        case ssl.SSLCertVerificationError():
            return f"the certificate of {server} cannot be trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"no encrypted connection to {server}: {error.reason or error}"
        case aiosmtplib.SMTPServerDisconnected() | ConnectionResetError() | BrokenPipeError():
            return f"{server} closed the connection"
        case OSError() if not isinstance(error, aiosmtplib.SMTPException):
            if isinstance(error, socket.gaierror):
                reason = f"the host is unknown ({error.strerror})"
            else:
                reason = os.strerror(error.errno).lower() if error.errno else str(error)
            return f"{server} cannot be reached: {reason}"
    return f"{server}: {_one_line(str(error))}"


def _recipient_error(address: str, code: int, text: str) -> str:
    return f"{address} ({code} {_one_line(text)})"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_ANSWER]
