"""Use cases of channels: add, change and remove them, and rotate their secrets, which are stored encrypted."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import asdict, replace

from dagbook.alerts.requests import AlertMailServer, ChangeAlertChannel, NewAlertChannel
from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.alerts import channels, deliveries
from dagbook.db.repositories.alerts.channels import ChannelRow, NewChannel
from dagbook.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError
from dagbook.executors.mail.message import EmailError, parse_address
from dagbook.identifiers import shorten
from dagbook.runs.secrets.encryption import Encrypter

WEBHOOK, SLACK, MAIL = "webhook", "slack", "mail"
_FIELDS = {WEBHOOK: {"url"}, SLACK: {"secret"}, MAIL: {"to", "sender", "smtp", "secret"}}  # that the others do not have
_INTERVALS = {WEBHOOK: 0, SLACK: 60, MAIL: 60}  # seconds between two messages
_MOST_CHANNELS, _MOST_ADDRESSES, _LONGEST_URL = 100, 50, 2_000
_ROTATION = timedelta(hours=24)
_SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
T = TypeVar("T")


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a channel in clear: an address that is no secret, or the host of one that is."""

    url: str = ""
    host: str = ""
    to: tuple[str, ...] = ()
    sender: str = ""
    smtp: AlertMailServer | None = None


class Secrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a channel encrypted: the address of a chat, what signs webhooks, a password."""

    url: str = ""
    signing: str = ""
    password: str = ""


def read_settings(row: NewChannel) -> ChannelSettings:
    """Return the settings of a stored channel."""
    return msgspec.convert(row.settings, ChannelSettings)


class Channels:
    """The channels of a database."""

    def __init__(self, database: Database, encrypter: Encrypter, now: Clock) -> None:
        self._database = database
        self._encrypter = encrypter
        self._now = now

    async def find(self) -> Sequence[ChannelRow]:
        """Return all channels, by name."""
        return await self._database.read_inline(channels.find)

    async def require(self, name: str) -> ChannelRow:
        """Return a channel; raises NotFoundError."""
        row = await self._database.read_inline(channels.get, name) if is_channel_name(name) else None
        if row is None:
            raise NotFoundError(f"there is no channel named {shorten(name)}")
        return row

    async def add(self, new: NewAlertChannel, actor: Actor) -> tuple[ChannelRow, str]:
        """Store a channel, and return it with the secret that was made for it, if any, which is not shown again.

        Raises BadRequestError and AlreadyExistsError.
        """
        made = new_secret() if new.type == WEBHOOK else ""
        channel, known = _check(new.name, new.type, new, ChannelSettings(), Secrets(signing=made))
        channel = replace(channel, sealed=self._seal(new.name, known))
        entry = actor.entry(_action(Action.ALERT_CHANNEL_CREATE, new.name, after=_shown(channel)), self._now())

        def work(connection: WriteConnection) -> None:
            if len(channels.find(connection)) >= _MOST_CHANNELS:
                raise BadRequestError(f"name: there are {_MOST_CHANNELS} channels, the most that are possible")
            if not channels.add(connection, channel):
                raise AlreadyExistsError(f"a channel named {shorten(new.name)} exists already")
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(new.name), made

    async def change(self, name: str, change: ChangeAlertChannel, actor: Actor) -> ChannelRow:
        """Change a channel; a disabled one drops what waits for it. Raises AppError."""
        row = await self._require_own(name)
        channel, known = _check(name, row.type, change, read_settings(row), self.open(row), row)
        values = {**asdict(channel), "sealed": self._seal(name, known)}
        entry = actor.entry(_action(Action.ALERT_CHANNEL_UPDATE, name, _shown(row), _shown(channel)), self._now())

        def work(connection: WriteConnection) -> None:
            channels.change(connection, row.id, **values)
            if not channel.enabled:
                deliveries.drop_of_channel(connection, row.id, "channel disabled")
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(name)

    async def rotate(self, name: str, actor: Actor) -> tuple[ChannelRow, str]:
        """Make a new secret for a webhook; the old one signs beside it for a day. Raises AppError."""
        row = await self._require_own(name)
        if row.type != WEBHOOK:
            raise BadRequestError(f"name: {shorten(name)} is no webhook; give a new secret by changing the channel")
        made, now = new_secret(), self._now()
        values = {"sealed": self._seal(name, Secrets(signing=made)), "sealed_before": row.sealed}
        entry = actor.entry(_action(Action.ALERT_CHANNEL_UPDATE, name, after={"secret": "rotated"}), now)

        def work(connection: WriteConnection) -> None:
            channels.change(connection, row.id, **values, sealed_before_until=now + _ROTATION)
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(name), made

    async def remove(self, name: str, actor: Actor) -> None:
        """Delete a channel that no rule uses, and drop what waits for it. Raises AppError."""
        row = await self._require_own(name)
        entry = actor.entry(_action(Action.ALERT_CHANNEL_DELETE, name, before=_shown(row)), self._now())

        def work(connection: WriteConnection) -> None:
            if using := channels.find_users(connection, row.id):
                raise AlreadyExistsError(
                    f"the channel {shorten(name)} is used by the rules {', '.join(using)}; remove it from these first"
                )
            deliveries.drop_of_channel(connection, row.id, "channel removed")
            channels.remove(connection, row.id)
            audit.add(connection, entry)

        await self._database.write(work)

    async def _require_own(self, name: str) -> ChannelRow:
        row = await self.require(name)
        if row.configured:
            raise ForbiddenError(f"the channel {shorten(name)} is in the setting alert_channels; change it there")
        return row

    # -- secrets -----------------------------------------------------------------------------------------------------

    def open(self, row: ChannelRow) -> Secrets:
        """Return the secrets of a channel; raises EncryptionError."""
        return self._open(row.name, row.sealed)

    def open_before(self, row: ChannelRow) -> Secrets:
        """Return the secrets before a rotation that still counts."""
        counts = row.sealed_before_until is not None and row.sealed_before_until > self._now()
        return self._open(row.name, row.sealed_before if counts else None)

    def _open(self, name: str, sealed: bytes | None) -> Secrets:
        if sealed is None:
            return Secrets()
        return msgspec.json.decode(self._encrypter.decrypt(sealed, f"channel {name}"), type=Secrets)

    def _seal(self, name: str, known: Secrets) -> bytes | None:
        return None if known == Secrets() else self._encrypter.encrypt(msgspec.json.encode(known), f"channel {name}")


def new_secret() -> str:
    """Make what signs webhooks, as Standard Webhooks write it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def _check(
    name: str,
    kind: str,
    change: ChangeAlertChannel,
    settings: ChannelSettings,
    known: Secrets,
    row: ChannelRow | None = None,
) -> tuple[NewChannel, Secrets]:
    """Return a channel as it is stored, and its secrets; raises BadRequestError."""
    if not is_channel_name(name):
        raise BadRequestError(f"name: {shorten(name)} is no name; use 1 to 64 letters, digits, '-', '_' or '.'")
    if kind not in _FIELDS:
        raise BadRequestError(f"type: {shorten(kind)} is no type of channel; write one of {', '.join(_FIELDS)}")
    for field in sorted(set.union(*_FIELDS.values()) - _FIELDS[kind]):
        if getattr(change, field) is not None:
            raise BadRequestError(f"{field.replace('sender', 'from')}: a channel of type {kind} has none; leave it out")
    if kind == WEBHOOK:
        settings = ChannelSettings(url=_check_url(_chosen(change.url, settings.url), "url"))
    elif kind == SLACK:
        known = Secrets(url=_check_url(_chosen(change.secret, known.url), "secret"))
        settings = ChannelSettings(host=urlsplit(known.url).hostname or "")
    else:
        is_elsewhere = change.smtp is not None and change.smtp != settings.smtp
        if is_elsewhere and known.password and change.secret is None:
            raise BadRequestError("secret: is the password of another mail server; give that of this one, or ''")
        known = Secrets(password=_chosen(change.secret, known.password))
        settings = _check_mail(change, settings, known)
    channel = NewChannel(
        name=name,
        type=kind,
        settings=msgspec.to_builtins(settings),
        interval_seconds=_chosen(change.interval_seconds, row.interval_seconds if row else _INTERVALS[kind]),
        enabled=_chosen(change.enabled, row is None or row.enabled),
        shared=_chosen(change.shared, row is not None and row.shared),
    )
    return channel, known


def _chosen(given: T | None, before: T) -> T:
    return before if given is None else given


def _check_mail(change: ChangeAlertChannel, before: ChannelSettings, known: Secrets) -> ChannelSettings:
    settings = ChannelSettings(
        to=_chosen(None if change.to is None else tuple(change.to), before.to),
        sender=_chosen(change.sender, before.sender).strip(),
        smtp=_chosen(change.smtp, before.smtp),
    )
    if not 1 <= len(settings.to) <= _MOST_ADDRESSES:
        raise BadRequestError(f"to: has {len(settings.to)} addresses; give 1 to {_MOST_ADDRESSES}")
    try:
        for address in settings.to:
            parse_address("to", address)
        if settings.sender:
            parse_address("from", settings.sender)
    except EmailError as error:
        raise BadRequestError(str(error)) from error
    if settings.smtp is not None and not settings.smtp.host.strip():
        raise BadRequestError("smtp.host: is missing; write the name of the mail server, or leave smtp out")
    if known.password and settings.smtp is None:
        raise BadRequestError("secret: is the password of smtp; give that, too")
    return settings


def _check_url(text: str, field: str) -> str:
    """Return the address of a receiver; raises BadRequestError, whose message does not contain it."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise BadRequestError(f"{field}: is not the address of a receiver; write one such as https://host/path")
    return url


def is_channel_name(text: str) -> bool:
    """Whether a text can name a channel or a rule: as a DAG, with up to 64 characters."""
    return bool(_NAME.fullmatch(text)) and text.strip(".") != ""


def _shown(channel: NewChannel) -> Mapping[str, object]:
    """Return what the audit has of a channel: no secret."""
    names = ("type", "enabled", "shared", "interval_seconds")
    return {**channel.settings, **{name: getattr(channel, name) for name in names}}


def _action(action: Action, name: str, before: Values = None, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="alert channel", name=name, before=before, after=after)
