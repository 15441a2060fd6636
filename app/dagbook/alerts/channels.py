"""Use cases of channels: add, change and remove them, and rotate their secrets, which are stored encrypted."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import asdict, replace

from dagbook.alerts.kinds import PING
from dagbook.alerts.requests import AlertMailServer, ChangeAlertChannel, ChannelType, NewAlertChannel
from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes
from dagbook.db.repositories.alerts import channels, deliveries
from dagbook.db.repositories.alerts.channels import ChannelRow, NewChannel
from dagbook.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError
from dagbook.executors.mail.message import EmailError, parse_address
from dagbook.identifiers import shorten
from dagbook.runs.secrets.encryption import Encrypter

_MOST_CHANNELS, _MOST_ADDRESSES, _LONGEST_URL = 100, 50, 2_000
_ROTATION = timedelta(hours=24)
_SECRET_BYTES, _SIGNING_BYTES = 32, range(24, 65)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOKEN = re.compile(r"[!-~]{1,500}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64}")
WEBHOOK, MAIL = "webhook", "mail"
_CHAT_BY_ADDRESS = ChannelType(needs=("secret",))
TYPES = {
    WEBHOOK: ChannelType(needs=("url",), may=("secret",), kept_as="signing", interval_seconds=0, one_by_one=True),
    "slack": _CHAT_BY_ADDRESS,
    "discord": _CHAT_BY_ADDRESS,
    "teams": _CHAT_BY_ADDRESS,
    "telegram": ChannelType(needs=("secret", "to"), may=("url",), kept_as="token", server="https://api.telegram.org"),
    "ntfy": ChannelType(needs=("url",), may=("secret",), kept_as="token"),
    "pagerduty": ChannelType(
        needs=("secret",),
        may=("url",),
        kept_as="token",
        server="https://events.pagerduty.com",
        interval_seconds=0,
        one_by_one=True,
    ),
    PING: ChannelType(
        needs=(), may=("url", "secret", "every_seconds", "fail"), kept_as="url", interval_seconds=0, one_by_one=True
    ),
    MAIL: ChannelType(needs=("to",), may=("sender", "smtp", "secret"), kept_as="password"),
}
_OWN_FIELDS = sorted({field for kind in TYPES.values() for field in (*kind.needs, *kind.may)})
T = TypeVar("T")


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a channel in clear: an address that is no secret, or the host of one that is."""

    url: str = ""
    host: str = ""
    to: tuple[str, ...] = ()
    sender: str = ""
    smtp: AlertMailServer | None = None
    fail: bool = True


class Secrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a channel encrypted: the address of a chat, what signs webhooks, a password, a token."""

    url: str = ""
    signing: str = ""
    password: str = ""
    token: str = ""


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

    async def find_failing(self, *, shared_only: bool) -> Sequence[str]:
        """Return the names of the channels that fail, of all or of the shared ones."""
        return await self._database.read_inline(channels.find_failing, shared_only=shared_only)

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
        made = new_secret() if new.type == WEBHOOK and new.secret is None else ""
        channel, known = check_channel(new.name, new.type, new, ChannelSettings(), Secrets(signing=made))
        channel = replace(channel, sealed=self.seal(new.name, known))
        entry = actor.entry(channel_action(Action.ALERT_CHANNEL_CREATE, new.name, None, channel), self._now())

        def work(connection: WriteConnection) -> None:
            if not add_channel(connection, channel):
                raise AlreadyExistsError(f"a channel named {shorten(new.name)} exists already")
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(new.name), made

    async def change(self, name: str, change: ChangeAlertChannel, actor: Actor) -> ChannelRow:
        """Change a channel; a disabled one drops what waits for it. Raises AppError."""
        key, now = (await self._require_own(name)).id, self._now()

        def work(connection: WriteConnection) -> None:
            row = _lock(connection, key, name)
            channel, known = check_channel(name, row.type, change, read_settings(row), self.open(row), row)
            changed = replace(channel, sealed=self.seal(name, known))
            change_channel(connection, row, changed)
            audit.add(connection, actor.entry(channel_action(Action.ALERT_CHANNEL_UPDATE, name, row, changed), now))

        await self._database.write(work)
        return await self.require(name)

    async def rotate(self, name: str, actor: Actor) -> tuple[ChannelRow, str]:
        """Make a new secret for what a channel signs; the old one signs beside it for a day. Raises AppError."""
        row = await self._require_own(name)
        if row.type != WEBHOOK and not (row.type == PING and read_settings(row).url):
            raise BadRequestError(f"name: {shorten(name)} signs nothing; give a new secret by changing the channel")
        key, made, now = row.id, new_secret(), self._now()
        action = channel_action(Action.ALERT_CHANNEL_UPDATE, name, None, None)
        entry = actor.entry(replace(action, after={"secret": "rotated"}), now)

        def work(connection: WriteConnection) -> None:
            before = _lock(connection, key, name).sealed
            until = now + _ROTATION if before is not None else None
            values = {"sealed_before": before, "sealed_before_until": until}
            channels.change(connection, key, sealed=self.seal(name, Secrets(signing=made)), **values)
            audit.add(connection, entry)

        await self._database.write(work)
        return await self.require(name), made

    async def remove(self, name: str, actor: Actor) -> None:
        """Delete a channel that no rule uses, and drop what waits for it. Raises AppError."""
        row = await self._require_own(name)
        entry = actor.entry(channel_action(Action.ALERT_CHANNEL_DELETE, name, row, None), self._now())

        def work(connection: WriteConnection) -> None:
            if using := channels.find_users(connection, row.id):
                raise AlreadyExistsError(
                    f"the channel {shorten(name)} is used by the rules {', '.join(using)}; remove it from these first"
                )
            remove_channel(connection, row)
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

    def seal(self, name: str, known: Secrets) -> bytes | None:
        """Encrypt the secrets of a channel; None if it has none."""
        return None if known == Secrets() else self._encrypter.encrypt(msgspec.json.encode(known), f"channel {name}")


def _lock(connection: WriteConnection, key: int, name: str) -> ChannelRow:
    """Return a channel as no other transaction changes it meanwhile; raises NotFoundError."""
    row = channels.lock(connection, key, waits=True)
    if row is None:
        raise NotFoundError(f"there is no channel named {shorten(name)}")
    return row


def _publish(connection: WriteConnection, row: ChannelRow) -> None:
    """Let pages look again whether a channel fails, when one that does has changed."""
    if row.failing_since is not None:
        changes.add_channel_change(connection)


def add_channel(connection: WriteConnection, channel: NewChannel) -> bool:
    """Store a channel; False when its name is taken. Raises BadRequestError."""
    if len(channels.find(connection)) >= _MOST_CHANNELS:
        raise BadRequestError(f"name: there are {_MOST_CHANNELS} channels, the most that are possible")
    return channels.add(connection, channel)


def change_channel(connection: WriteConnection, row: ChannelRow, channel: NewChannel) -> None:
    """Make a stored channel another one; a disabled one drops what waits for it."""
    channels.change(connection, row.id, **asdict(channel))
    if not channel.enabled:
        deliveries.drop_of_channel(connection, row.id, "channel disabled")
    _publish(connection, row)


def remove_channel(connection: WriteConnection, row: ChannelRow) -> None:
    """Delete a channel that no rule uses, and drop what waits for it."""
    deliveries.drop_of_channel(connection, row.id, "channel removed")
    channels.remove(connection, row.id)
    _publish(connection, row)


def new_secret() -> str:
    """Make what signs webhooks, as Standard Webhooks write it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def check_channel(
    name: str,
    type_name: str,
    change: ChangeAlertChannel,
    settings: ChannelSettings,
    known: Secrets,
    row: ChannelRow | None = None,
) -> tuple[NewChannel, Secrets]:
    """Return a channel as it is stored, and its secrets; raises BadRequestError."""
    if not is_channel_name(name):
        raise BadRequestError(f"name: {shorten(name)} is no name; use 1 to 64 letters, digits, '-', '_' or '.'")
    if type_name not in TYPES:
        raise BadRequestError(f"type: {shorten(type_name)} is no type of channel; write one of {', '.join(TYPES)}")
    kind = TYPES[type_name]
    if type_name == PING and _chosen(change.url, settings.url):
        kind = replace(kind, kept_as="signing")
    for field in _OWN_FIELDS:
        if getattr(change, field) is not None and field not in (*kind.needs, *kind.may):
            shown = field.replace("sender", "from").replace("every_seconds", "everySeconds")
            raise BadRequestError(f"{shown}: a channel of type {type_name} has none; leave it out")
    secret = _check_secret(kind, _chosen(change.secret, getattr(known, kind.kept_as)))
    given = ChannelSettings(
        url=_chosen(change.url, settings.url).strip().rstrip("/" if kind.kept_as == "token" else ""),
        to=_chosen(None if change.to is None else tuple(change.to), settings.to),
        sender=_chosen(change.sender, settings.sender).strip(),
        smtp=_chosen(change.smtp, settings.smtp),
        fail=_chosen(change.fail, settings.fail),
    )
    stored = _check_settings(type_name, kind, given, secret)
    is_sent = kind.kept_as in ("token", "password") and getattr(known, kind.kept_as) != ""
    if is_sent and change.secret is None and _server_of(given) != _server_of(settings):
        raise BadRequestError("secret: is that of another server; give that of this one, too, or ''")
    channel = NewChannel(
        name=name,
        type=type_name,
        settings=msgspec.to_builtins(stored),
        interval_seconds=_chosen(change.interval_seconds, row.interval_seconds if row else kind.interval_seconds),
        every_seconds=_chosen(change.every_seconds, row.every_seconds if row else None),
        enabled=_chosen(change.enabled, row is None or row.enabled),
        shared=_chosen(change.shared, row is not None and row.shared),
    )
    return channel, Secrets(**{kind.kept_as: secret})


def _server_of(settings: ChannelSettings) -> tuple[object, ...]:
    return (*urlsplit(settings.url)[:2], settings.smtp)


def _check_secret(kind: ChannelType, text: str) -> str:
    """Return a secret of a type of channel; raises BadRequestError, whose message does not contain it."""
    secret = text if kind.kept_as == "password" else text.strip()
    if kind.kept_as == "url":
        return _check_url(secret, "secret")
    if not secret and "secret" in kind.needs:
        raise BadRequestError("secret: is missing; give the token or the key that the service has made")
    if secret and kind.kept_as == "token" and not _TOKEN.fullmatch(secret):
        raise BadRequestError("secret: is no token; use 1 to 500 characters of ASCII without blanks")
    if secret and kind.kept_as == "signing" and not _is_signing(secret):
        raise BadRequestError(
            "secret: does not sign webhooks; write whsec_ and 24 to 64 random bytes in base64, as of "
            "`openssl rand -base64 32`, or leave it out"
        )
    return secret


def _is_signing(secret: str) -> bool:
    """Whether a text is a secret of Standard Webhooks."""
    prefix, _, text = secret.partition("_")
    try:
        return prefix == "whsec" and len(base64.b64decode(text, validate=True)) in _SIGNING_BYTES
    except ValueError:
        return False


def _check_settings(type_name: str, kind: ChannelType, given: ChannelSettings, secret: str) -> ChannelSettings:
    """Return what is stored in clear of a channel of a type; raises BadRequestError."""
    if type_name == MAIL:
        return _check_mail(given, has_password=bool(secret))
    if given.url or "url" in kind.needs:
        _check_url(given.url, "url")
    if type_name == "ntfy" and (parts := urlsplit(given.url)) and (not parts.path.strip("/") or parts.query):
        raise BadRequestError("url: names no topic; write one such as https://ntfy.sh/TOPIC")
    if type_name == "telegram" and (len(given.to) != 1 or not _CHAT.fullmatch(given.to[0])):
        raise BadRequestError("to: is not one chat; write its number, as -1001234567890, or @NAME of a channel")
    address = secret if kind.kept_as == "url" else "" if given.url else kind.server
    return replace(given, host=urlsplit(address).hostname or "")


def _chosen(given: T | None, before: T) -> T:
    return before if given is None else given


def _check_mail(settings: ChannelSettings, *, has_password: bool) -> ChannelSettings:
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
    if has_password and settings.smtp is None:
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


def channel_action(action: Action, name: str, before: NewChannel | None, after: NewChannel | None) -> AuditAction:
    """Return what is recorded of a change: no secret."""

    def shown(channel: NewChannel | None) -> Values:
        names = ("type", "enabled", "shared", "interval_seconds", "every_seconds")
        return None if channel is None else {**channel.settings, **{name: getattr(channel, name) for name in names}}

    return AuditAction(action=action, kind="alert channel", name=name, before=shown(before), after=shown(after))
