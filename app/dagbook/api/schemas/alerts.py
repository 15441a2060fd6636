"""Schemas of alerts, their channels, rules and deliveries (extension of the contract).

What channels and rules are given is in ``dagbook.alerts.requests``.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.alerts.requests import AlertMailServer
from dagbook.api.schemas.common import Schema

ChannelState = Literal["ok", "failing", "unused"]
DeliveryStatus = Literal["pending", "sent", "failed", "dropped"]


class AlertChannel(Schema, kw_only=True):
    """A channel. Its addresses are shown to admins; ``secret`` once, when it was made."""

    name: str
    type: str
    state: ChannelState
    enabled: bool
    shared: bool
    configured: bool
    url: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    to: list[str] | UnsetType = UNSET
    sender: str | UnsetType = msgspec.field(default=UNSET, name="from")
    smtp: AlertMailServer | UnsetType = UNSET
    interval_seconds: int | UnsetType = UNSET
    every_seconds: int | UnsetType = UNSET
    fail: bool | UnsetType = UNSET
    failing_since: str | UnsetType = UNSET
    next_try_at: str | UnsetType = UNSET
    last_sent_at: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET


class AlertChannels(Schema, kw_only=True):
    """Channels, by name."""

    channels: list[AlertChannel]


class AlertRule(Schema, kw_only=True):
    """A rule, and how many stored DAGs it covers. ``mayChange`` is about the caller; configured ones stay."""

    name: str
    match: list[str]
    on: list[str]
    to: list[str]
    after: int
    remind_seconds: int
    quiet: str | UnsetType = UNSET
    enabled: bool
    configured: bool
    dag: str | UnsetType = UNSET
    covers: int | UnsetType = UNSET
    may_change: bool


class AlertRules(Schema, kw_only=True):
    """Rules, by name."""

    rules: list[AlertRule]


class AlertTestRequest(Schema, kw_only=True):
    """The DAG that a test is about."""

    dag: str


class AlertAttempt(Schema, kw_only=True):
    """One try of a delivery; ``text`` is what the receiver has answered, shown to admins."""

    at: str
    ms: int
    code: int | UnsetType = UNSET
    text: str | UnsetType = UNSET
    server: str | UnsetType = UNSET


class AlertReceipt(Schema, kw_only=True):
    """A message for a channel, and what became of it.

    One with ``mail`` is a mail of the definition of a run, which has no channel: ``failure``, ``success``, ``wait N``
    or ``step POSITION N``; ``channel`` is the host of its mail server.
    """

    id: str
    channel: str
    type: str
    purpose: str
    mail: str | UnsetType = UNSET
    status: DeliveryStatus
    reason: str | UnsetType = UNSET
    dag: str | UnsetType = UNSET
    due_at: str
    sent_at: str | UnsetType = UNSET
    next_try_at: str | UnsetType = UNSET
    tries: int
    attempts: list[AlertAttempt]


class AlertDeliveries(Schema, kw_only=True):
    """A page of deliveries, the newest first."""

    deliveries: list[AlertReceipt]
    next_cursor: str | UnsetType = UNSET


class AlertTest(Schema, kw_only=True):
    """What came of a test: ``told`` is whether every channel has it."""

    told: bool
    outcome: str
    receipts: list[AlertReceipt]


class Alert(Schema, kw_only=True):
    """An alert with its receipts; ``reason`` says what is missing or lasts too long, since which scheduled time.

    ``mayAcknowledge`` is about the caller.
    """

    id: int
    kind: str
    subject_kind: str
    subject: str
    opened_at: str
    last_at: str
    count: int
    closed_at: str | UnsetType = UNSET
    closed_by: str | UnsetType = UNSET
    acknowledged_at: str | UnsetType = UNSET
    acknowledged_by: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    last_dag_run_id: str | UnsetType = UNSET
    may_acknowledge: bool
    reason: str | UnsetType = UNSET
    due_at: str | UnsetType = UNSET
    told: list[AlertReceipt]


class Alerts(Schema, kw_only=True):
    """A page of alerts, the newest first."""

    alerts: list[Alert]
    next_cursor: str | UnsetType = UNSET


class AcknowledgeAlert(Schema, kw_only=True):
    """Why no further message is needed."""

    note: str | None = None


class CoveringRule(Schema, kw_only=True):
    """A rule that covers a DAG, by which of its words, and what it reports to whom."""

    name: str
    word: str
    on: list[str]
    to: list[str]


class DAGAlerts(Schema, kw_only=True):
    """What is told about a DAG: the rules that cover it, or why none does, and its newest alerts.

    ``byMail`` is whether a mail of its definition reports a failure.
    """

    dag: str
    rules: list[CoveringRule]
    reasons: list[str]
    by_mail: bool
    alerts: list[Alert]


class DAGRunAlerts(Schema, kw_only=True):
    """The receipts of a run: ``covered`` is false if no rule and no mail of its definition reports it."""

    covered: bool
    rules: list[str]
    receipts: list[AlertReceipt]
