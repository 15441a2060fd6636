"""What channels and rules are given, by a request or by the settings, and what types of channels have."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dagbook.alerts.due import LONGEST_SECONDS

_MOST_TARGETS, _MOST_WORDS, _MOST_KINDS = 20, 50, 20


class ChannelType(msgspec.Struct, frozen=True, kw_only=True):
    """What channels of a type have, and how they are sent to.

    ``needs`` and ``may`` are the fields of a request that other types do not have; ``secret`` is kept in the field
    ``kept_as`` of ``Secrets``. ``server`` is the address of a service without ``url``. What is due goes in one
    message each ``interval_seconds``, or ``one_by_one``.
    """

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    kept_as: Literal["url", "token", "password", "signing"] = "url"
    server: str = ""
    interval_seconds: int = 60
    one_by_one: bool = False


class AlertMailServer(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server; its password is the secret of the channel."""

    host: str
    port: str = ""
    username: str = ""


class ChangeAlertChannel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is changed of a channel.

    ``url`` is that of a webhook, of a topic of ntfy, or of another server of Telegram or PagerDuty. ``secret`` is the
    address of Slack, Discord or Teams, the token of Telegram or ntfy, the routing key of PagerDuty, the password of a
    mail server, or what signs a webhook. A ping has ``url``, and ``secret`` to sign with, or ``secret`` alone as its
    address; a heartbeat each ``every_seconds``, and reports of failures unless ``fail`` is false.
    """

    url: str | None = None
    to: list[str] | None = None
    sender: str | None = msgspec.field(default=None, name="from")
    smtp: AlertMailServer | None = None
    secret: str | None = None
    interval_seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    every_seconds: Annotated[int, Meta(ge=10, le=86_400)] | None = None
    fail: bool | None = None
    enabled: bool | None = None
    shared: bool | None = None


class NewAlertChannel(ChangeAlertChannel, frozen=True, kw_only=True, rename="camel"):
    """A channel to add."""

    name: str
    type: str


class SetAlertRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a rule says; ``on`` and ``to`` as in the settings file: ``to`` has channels, such as ``pager +15m``.

    ``dag`` makes it one for that DAG alone.
    """

    match: Annotated[list[str], Meta(max_length=_MOST_WORDS)] = []
    on: Annotated[list[str], Meta(min_length=1, max_length=_MOST_KINDS)]
    to: Annotated[list[str], Meta(min_length=1, max_length=_MOST_TARGETS)]
    after: Annotated[int, Meta(ge=1, le=1_000)] = 1
    remind_seconds: Annotated[int, Meta(ge=0, le=LONGEST_SECONDS)] = 24 * 3600
    quiet: str | None = None
    enabled: bool = True
    dag: str | None = None


class NewAlertRule(SetAlertRule, frozen=True, kw_only=True, rename="camel"):
    """A rule to add."""

    name: str
