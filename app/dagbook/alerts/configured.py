"""Channels and rules of the settings: checked before anything is opened, then made those of the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from dagbook.alerts.channels import (
    TYPES,
    Channels,
    ChannelSettings,
    Secrets,
    add_channel,
    change_channel,
    channel_action,
    check_channel,
    read_settings,
    remove_channel,
)
from dagbook.alerts.requests import NewAlertChannel, NewAlertRule
from dagbook.alerts.rules import add_rule, as_written, check_rule, resolve, rule_action
from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.alerts import channels, events, rules
from dagbook.db.repositories.alerts.channels import ChannelRow, NewChannel
from dagbook.db.repositories.alerts.rules import NewRule, NewTarget, RuleRow
from dagbook.errors import AppError, BadRequestError
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.settings.alerts import AlertEntry, Value
from dagbook.spec.time.duration import duration_seconds

_log = logging.getLogger(__name__)
_SECONDS = {"interval": "intervalSeconds", "every": "everySeconds", "remind": "remindSeconds"}  # in requests
_LONGEST_NUMBER = 9  # digits
_PLAIN_FIELDS = sorted({*NewChannel.__struct_fields__} - {"settings", "sealed"})
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Row(Protocol):
    """What is stored of a channel or a rule."""

    @property
    def name(self) -> str: ...
    @property
    def configured(self) -> bool: ...


R = TypeVar("R", bound=Row)


class ConfiguredChannel(msgspec.Struct, frozen=True):
    """A channel of the settings as it is stored, and its secrets."""

    row: NewChannel
    secrets: Secrets


class ConfiguredRule(msgspec.Struct, frozen=True):
    """A rule of the settings as it is stored, and as it is written."""

    row: NewRule
    written: NewAlertRule


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """The channels and the rules of the settings, by name; None leaves those of the database as they are."""

    channels: Mapping[str, ConfiguredChannel] | None
    rules: Mapping[str, ConfiguredRule] | None


def read_channels(entries: Iterable[AlertEntry]) -> dict[str, ConfiguredChannel]:
    """Return valid channels; raises BadRequestError naming the channel and the field."""
    return {entry.name: _named(entry.name, partial(_read_channel, entry)) for entry in entries}


def read_rules(entries: Iterable[AlertEntry]) -> dict[str, ConfiguredRule]:
    """Return valid rules, whose channels may not exist; raises BadRequestError naming the rule and the field."""

    def read(entry: AlertEntry) -> ConfiguredRule:
        written = _convert(entry.name, entry.values, NewAlertRule)
        return ConfiguredRule(replace(check_rule(entry.name, written), configured=True), written)

    return {entry.name: _named(entry.name, partial(read, entry)) for entry in entries}


def _named(name: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except AppError as error:
        raise BadRequestError(f"{name}: {error.message}") from error


def _read_channel(entry: AlertEntry) -> ConfiguredChannel:
    values = dict(entry.values)
    kind = TYPES.get(str(values.get("type")))
    is_address = kind is not None and kind.kept_as == "url" and "secret" not in values and "url" in values
    if is_address:
        values["secret"] = values.pop("url")  # of a chat, whose address is its secret
    new = _convert(entry.name, values, NewAlertChannel)
    try:
        row, secrets = check_channel(new.name, new.type, new, ChannelSettings(), Secrets())
    except BadRequestError as error:
        field, _, problem = error.message.partition(":")
        raise BadRequestError(f"{'url' if is_address and field == 'secret' else field}:{problem}") from error
    return ConfiguredChannel(replace(row, configured=True), secrets)


def _convert(name: str, values: Mapping[str, Value], kind: type[S]) -> S:
    """Return what a request with these values gives; raises BadRequestError."""
    given: dict[str, object] = {"name": name}
    for key, value in values.items():
        field = _SECONDS.get(key, key)
        if field not in kind.__struct_encode_fields__:
            raise BadRequestError(f"{key}: is not known here; leave it out")
        given[field] = _seconds(key, str(value)) if key in _SECONDS else value
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        field = path.strip("`").partition("[")[0]
        raise BadRequestError(f"{field.removesuffix('Seconds')}: {problem}") from error


def _seconds(key: str, text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    seconds = float(text) if is_number else duration_seconds(text)
    if seconds is None:
        raise BadRequestError(f"{key}: {text!r} is no duration; write one such as 60s, 15m or 24h")
    return int(seconds)


# -- the database ------------------------------------------------------------------------------------------------------


class Configuration:
    """Makes the channels and rules of a database those of the settings."""

    def __init__(self, database: Database, store: Channels, actor: Actor, now: Clock) -> None:
        self._database, self._store = database, store
        self._actor, self._now = actor, now

    async def apply(self, configured: Configured) -> None:
        """Make them so in one transaction; nothing is written if they are so already.

        What was in the settings before is removed. A channel that a rule of others uses stays, disabled, and can be
        changed by requests. What has the name of an entry becomes that entry. Raises AppError, for instance for a
        channel of a rule that does not exist.
        """
        if await self._database.read_inline(self._differs, configured):
            for warning in await self._database.write(self._make, configured):
                _log.warning("%s", warning)

    def _differs(self, connection: ReadConnection, configured: Configured) -> bool:
        known = {row.name: row for row in channels.find(connection)}
        rows = {row.name: row for row in rules.find(connection)}
        if _find_left(known.values(), configured.channels):
            return True
        if _find_left(rows.values(), configured.rules):
            return True
        if any(not self._is_channel(known.get(name), new) for name, new in (configured.channels or {}).items()):
            return True
        wanted = (configured.rules or {}).items()
        return any(not _is_rule(rows.get(name), *_resolve(connection, new, known)) for name, new in wanted)

    def _make(self, connection: WriteConnection, configured: Configured) -> list[str]:
        """Return what is to be logged. Servers that start at once take turns, and nothing is routed meanwhile."""
        events.lock_outbox(connection)
        for rule in _find_left(rules.find(connection), configured.rules):
            rules.remove(connection, rule.id)
            self._record(connection, rule_action(Action.ALERT_RULE_DELETE, rule.name, as_written(rule), None))
        for channel in (configured.channels or {}).values():
            self._put_channel(connection, channel)
        known = {row.name: row for row in channels.find(connection)}
        rows = {row.name: row for row in rules.find(connection)}
        for name, new in (configured.rules or {}).items():
            self._put_rule(connection, new, rows.get(name), known)
        left = _find_left(known.values(), configured.channels)
        return [warning for row in left if (warning := self._remove_channel(connection, row, configured.rules or {}))]

    def _record(self, connection: WriteConnection, action: AuditAction) -> None:
        audit.add(connection, self._actor.entry(action, self._now()))

    def _is_channel(self, row: ChannelRow | None, new: ConfiguredChannel) -> bool:
        """Whether a channel is stored as the settings say; one whose secrets this server cannot read is not."""
        if row is None or any(getattr(row, name) != getattr(new.row, name) for name in _PLAIN_FIELDS):
            return False
        try:
            return read_settings(row) == read_settings(new.row) and self._store.open(row) == new.secrets
        except EncryptionError:
            return False

    def _put_channel(self, connection: WriteConnection, new: ConfiguredChannel) -> None:
        name = new.row.name
        known = channels.get(connection, name)
        if self._is_channel(known, new):
            return
        row = replace(new.row, sealed=self._store.seal(name, new.secrets))
        if known is not None:
            change_channel(connection, known, row)
            self._record(connection, channel_action(Action.ALERT_CHANNEL_UPDATE, name, known, row))
        elif add_channel(connection, row):  # else a request was first
            self._record(connection, channel_action(Action.ALERT_CHANNEL_CREATE, name, None, row))

    def _put_rule(
        self,
        connection: WriteConnection,
        new: ConfiguredRule,
        row: RuleRow | None,
        known: Mapping[str, ChannelRow],
    ) -> None:
        name = new.row.name
        rule, targets = _resolve(connection, new, known)
        if _is_rule(row, rule, targets):
            return
        at = events.read_time(connection, self._now())
        if row is not None:
            rules.replace(connection, row.id, rule, targets, at)
            self._record(connection, rule_action(Action.ALERT_RULE_UPDATE, name, as_written(row), new.written))
        elif add_rule(connection, rule, targets, at):  # else a request was first
            self._record(connection, rule_action(Action.ALERT_RULE_CREATE, name, None, new.written))

    def _remove_channel(self, connection: WriteConnection, row: ChannelRow, configured: Container[str]) -> str:
        """Remove a channel, or disable it if a rule of others uses it; returns what is to be logged."""
        if not (using := channels.find_users(connection, row.id)):
            remove_channel(connection, row)
            self._record(connection, channel_action(Action.ALERT_CHANNEL_DELETE, row.name, row, None))
            return ""
        if own := next((name for name in using if name in configured), ""):
            raise BadRequestError(
                f"{own}: to: {row.name} is not in the setting alert_channels any more; take it out here"
            )
        left = msgspec.convert(row, NewChannel, from_attributes=True)
        left = replace(left, enabled=False, configured=False)
        change_channel(connection, row, left)
        self._record(connection, channel_action(Action.ALERT_CHANNEL_UPDATE, row.name, row, left))
        return (
            f"the channel {row.name} is not in the setting alert_channels any more, and the rules {', '.join(using)} "
            "use it: it stays, disabled; enable or remove it with `dagbook alerts channel`"
        )


def _find_left(rows: Iterable[R], wanted: Mapping[str, object] | None) -> list[R]:
    """Return what was in a setting and is there no more."""
    return [row for row in rows if row.configured and wanted is not None and row.name not in wanted]


def _resolve(
    connection: ReadConnection, new: ConfiguredRule, known: Mapping[str, ChannelRow]
) -> tuple[NewRule, list[NewTarget]]:
    return _named(new.row.name, partial(resolve, connection, new.row, new.written, known))


def _is_rule(row: RuleRow | None, rule: NewRule, targets: Iterable[NewTarget]) -> bool:
    """Whether a rule is stored as the settings say."""
    if row is None or any(getattr(row, name) != getattr(rule, name) for name in NewRule.__struct_fields__):
        return False
    return {(each.channel_id, each.delay_seconds) for each in row.targets} == {
        (each.channel_id, each.delay_seconds) for each in targets
    }
