"""Sending of one message to one channel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from urllib.parse import quote, unquote, urlsplit

import msgspec
from standardwebhooks import Webhook

from dagbook.alerts import formats
from dagbook.alerts.channels import MAIL, TYPES, WEBHOOK, Channels, ChannelSettings, Secrets, read_settings
from dagbook.alerts.kinds import PING
from dagbook.alerts.texts import Notice, clean
from dagbook.db.repositories.alerts.channels import ChannelRow
from dagbook.egress.rules import Egress
from dagbook.errors import AppError
from dagbook.executors.http.posting import SHOWN, Poster, Request
from dagbook.executors.mail import smtp
from dagbook.executors.mail.message import Email
from dagbook.runs.secrets.masking import Masker
from dagbook.spec.expansion.shell_expansion import expand_plain
from dagbook.spec.model import Smtp
from dagbook.spec.reading.load import load
from dagbook.tries import Answer

LIMIT_SECONDS = 15.0
_SHORTEST_PART = 8  # characters

ReadMailServer = Callable[[], tuple[Smtp, str]]  # of the base configuration, with the sender of its mails


class Sender:
    """Sends messages; one for a process, since it keeps its connections."""

    def __init__(self, channels: Channels, egress: Egress, read_mail_server: ReadMailServer, zone: tzinfo) -> None:
        self._channels = channels
        self._poster = Poster(egress)
        self._read_mail_server = read_mail_server
        self._zone = zone

    async def close(self) -> None:
        """Close the connections; harmless without any."""
        await self._poster.close()

    async def send(self, channel: ChannelRow, notices: Sequence[Notice], now: datetime) -> Answer:
        """Send one message about alerts; a channel of programs gets one notice at a time."""
        if channel.type == PING:
            return await self.ping(channel, formats.ping(notices[0], self._zone), notices[0].delivery_id, now)
        settings = read_settings(channel)
        try:
            secrets = self._channels.open(channel)
            before = self._channels.open_before(channel)
        except AppError as error:  # the key of this server opens no secret of the channel
            return Answer(text=clean(error.message, SHOWN))
        if channel.type == MAIL:
            return await self._mail(settings, secrets, notices)
        if channel.type == WEBHOOK:
            signing, body = [each.signing for each in (secrets, before)], formats.webhook(notices[0], now)
            request = _signed(settings.url, body, notices[0].delivery_id, now, signing)
        else:
            request = _message(channel.type, settings, secrets, notices, self._zone)
        return await self._post(request, secrets)

    async def ping(self, channel: ChannelRow, failure: str, message_id: str, now: datetime) -> Answer:
        """Send a heartbeat, or a failure to the address of those."""
        settings = read_settings(channel)
        if failure and not settings.fail:
            return Answer(text="nothing was sent: this channel reports no failures", is_sent=True)
        try:
            secrets, before = self._channels.open(channel), self._channels.open_before(channel)
        except AppError as error:
            return Answer(text=clean(error.message, SHOWN))
        signing = [each.signing for each in (secrets, before) if each.signing]
        request = _ping(settings.url or secrets.url, failure, message_id, now, signing)
        return await self._post(request, secrets)

    async def _post(self, request: Request, secrets: Secrets) -> Answer:
        return await self._poster.post(request, Masker(_hidden(secrets)).mask, LIMIT_SECONDS)

    async def _mail(self, settings: ChannelSettings, secrets: Secrets, notices: Sequence[Notice]) -> Answer:
        server, sender = await asyncio.to_thread(self._read_mail_server)
        if (own := settings.smtp) is not None:
            server = Smtp(host=own.host, port=own.port, username=own.username, password=secrets.password)
        text = formats.mail(notices, self._zone)
        email = Email(
            sender=settings.sender or sender, to=settings.to, subject=text.subject, html=text.html, text=text.text
        )
        message_id = f"<{notices[0].delivery_id}@dagbook>"
        answer = await smtp.try_to_send(server, email, limit_seconds=LIMIT_SECONDS, message_id=message_id)
        return msgspec.structs.replace(answer, text=clean(answer.text, SHOWN))


def _signed(url: str, body: bytes, message_id: str, now: datetime, signing: Iterable[str]) -> Request:
    """Make a request in the form of Standard Webhooks, signed with each secret that there is."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp()))}
    if made := [Webhook(secret).sign(message_id, now, body.decode()) for secret in signing if secret]:
        headers["webhook-signature"] = " ".join(made)
    return Request(url, body, headers)


def _ping(url: str, failure: str, message_id: str, now: datetime, signing: Sequence[str]) -> Request:
    """Make the request of a heartbeat: GET, or POST with a reason, or with JSON that is signed."""
    if failure:
        parts = urlsplit(url)
        url = parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl()
    if signing:
        return _signed(url, formats.heartbeat(failure, now), message_id, now, signing)
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Request(url, failure.encode(), headers, "POST" if failure else "GET")


def _message(
    kind: str, settings: ChannelSettings, secrets: Secrets, notices: Sequence[Notice], zone: tzinfo
) -> Request:
    """Make the request for a service."""
    server = settings.url or TYPES[kind].server
    match kind:
        case "discord":
            return Request(secrets.url, formats.discord(notices, zone))
        case "teams":
            return Request(secrets.url, formats.teams(notices, zone))
        case "telegram":
            token = quote(secrets.token, safe=":")
            return Request(f"{server}/bot{token}/sendMessage", formats.telegram(notices, zone, settings.to[0]))
        case "ntfy":
            address, _, topic = server.rpartition("/")
            headers = {"Authorization": f"Bearer {secrets.token}"} if secrets.token else {}
            return Request(f"{address}/", formats.ntfy(notices, zone, topic), headers)
        case "pagerduty":
            return Request(f"{server}/v2/enqueue", formats.pagerduty(notices[0], zone, secrets.token))
        case _:
            return Request(secrets.url, formats.slack(notices, zone))


def _hidden(secrets: Secrets) -> list[str]:
    """Return the secrets that a receiver is sent, with parts of an address: an answer may repeat them."""
    parts, token = urlsplit(secrets.url), secrets.token
    pieces = re.split("[/?&=]", f"{parts.path}?{parts.query}")
    found = (secrets.url, parts.path, parts.query, parts.password or "", *pieces, token, *token.split(":"))
    return [part for each in found for part in {each, unquote(each)} if len(part) >= _SHORTEST_PART]


def read_mail_server(read_base: Callable[[], str], environ: Mapping[str, str]) -> tuple[Smtp, str]:
    """Return the mail server of the base configuration, and the sender of its mails about failures."""
    dag = load("steps: []", name="alerts", base=read_base()).definition.dag
    texts = {name: expand_plain(text, environ) for name, text in msgspec.structs.asdict(dag.smtp or Smtp()).items()}
    server, sender = Smtp(**texts), dag.error_mail.sender if dag.error_mail else ""
    return server, expand_plain(sender, environ) or server.username
