"""Alerts: channels and rules, the events that rules report, open and past alerts, and what was sent to whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime
from dagbook.json_values import Json

# The words of the columns with the same names; a CHECK holds each.
CHANNEL_TYPES = ("webhook", "slack", "mail", "discord", "teams", "telegram", "ntfy", "pagerduty", "ping")
KINDS = (
    *("failed", "partial", "aborted", "succeeded", "waiting", "missed", "overdue", "slow", "queued"),
    *("server", "channel", "trigger", "limit"),
)
SUBJECTS = ("dag", "queue", "service", "channel", "trigger", "alerts")
PURPOSES = ("opened", "reminder", "closed", "test", "run_mail", "trace")
STATUSES = ("pending", "sent", "failed", "dropped")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


class AlertChannel(Base):
    """Where alerts are sent to. ``settings`` has no secret; ``sealed`` has those, encrypted for ``channel NAME``.

    ``sealed_before`` is the secret before a rotation, which signs beside the new one until ``sealed_before_until``.
    Tries are counted here, not per delivery: a channel whose receiver does not answer has ``failing_since``, and is
    tried again at ``next_try_at``. ``every_seconds`` is the interval of a heartbeat, ``interval_seconds`` the least
    time between two messages of a chat or a mail channel: both from ``last_alert_at``, for tests do not count.
    """

    __tablename__ = "alert_channels"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 64", name="name_length"),
        CheckConstraint(_one_of("type", CHANNEL_TYPES), name="type_known"),
        CheckConstraint("(sealed_before IS NULL) = (sealed_before_until IS NULL)", name="rotation_ends"),
        CheckConstraint("interval_seconds >= 0", name="interval_not_negative"),
        CheckConstraint("every_seconds IS NULL OR (type = 'ping' AND every_seconds > 0)", name="every_of_ping"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_before: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_before_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    enabled: Mapped[bool]
    shared: Mapped[bool]
    configured: Mapped[bool]
    interval_seconds: Mapped[int]
    every_seconds: Mapped[int | None]
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_alert_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AlertRule(Base):
    """What is told: ``kinds`` of the DAGs that the words of ``match`` cover, from the ``after``-th time in a row on.

    ``tells_success`` follows from kinds and targets: at the end of a run that succeeded, the statement that adds events
    looks for it. ``dag_id`` is set for the rule of one DAG, which those who manage that DAG may change.
    """

    __tablename__ = "alert_rules"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 64", name="name_length"),
        CheckConstraint('"after" >= 1', name="after_from_one"),
        CheckConstraint("remind_seconds >= 0", name="remind_not_negative"),
        Index("ix_alert_rules_dag_id", "dag_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    match: Mapped[list[str]] = mapped_column(OrderedJson)
    kinds: Mapped[list[str]] = mapped_column(OrderedJson)
    after: Mapped[int]
    remind_seconds: Mapped[int]
    quiet: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool]
    configured: Mapped[bool]
    tells_success: Mapped[bool]
    dag_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("dags.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AlertTarget(Base):
    """A channel of a rule, and after how long it is told."""

    __tablename__ = "alert_targets"
    __table_args__ = (
        CheckConstraint("delay_seconds >= 0", name="delay_not_negative"),
        Index("ix_alert_targets_channel_id", "channel_id"),
    )

    rule_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("alert_rules.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    channel_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("alert_channels.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    delay_seconds: Mapped[int]


class AlertEvent(Base):
    """What a rule may report, stored in the commit in which it happened, once: ``key`` names it.

    A server routes it in one transaction, which sets ``routed_at`` and what came of it. A trigger refuses any other
    change but that of the run, which may be deleted.
    """

    __tablename__ = "alert_events"
    __table_args__ = (
        CheckConstraint(_one_of("kind", KINDS), name="kind_known"),
        CheckConstraint(_one_of("subject_kind", SUBJECTS), name="subject_known"),
        CheckConstraint("(routed_at IS NULL) = (outcome IS NULL)", name="routed_with_an_outcome"),
        CheckConstraint("run_id IS NULL OR attempt IS NOT NULL", name="attempt_of_a_run"),
        _partial("ix_alert_events_unrouted", "id", where="routed_at IS NULL"),
        Index("ix_alert_events_run_id", "run_id"),
        Index("ix_alert_events_routed_at", "routed_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(Text)
    subject_kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"))
    attempt: Mapped[int | None]
    data: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    test: Mapped[bool] = mapped_column(server_default=false())
    routed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(Text)


class Alert(Base):
    """What is or was wrong with a subject; at most one of a kind is open. ``count`` is the number of its events.

    What is told once, such as a success, is closed from the start.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        CheckConstraint(_one_of("kind", KINDS), name="kind_known"),
        CheckConstraint(_one_of("subject_kind", SUBJECTS), name="subject_known"),
        CheckConstraint("count >= 1", name="count_from_one"),
        CheckConstraint("closed_at >= opened_at", name="closed_after_opened"),
        CheckConstraint("acknowledged_at IS NOT NULL OR acknowledged_by IS NULL", name="acknowledged_at_a_time"),
        _partial("uq_alerts_open", "kind", "subject_kind", "subject", where="closed_at IS NULL", unique=True),
        Index("ix_alerts_subject", "subject", "kind", "closed_at"),
        Index("ix_alerts_closed_at", "closed_at"),
        Index("ix_alerts_last_run_id", "last_run_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    subject_kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    count: Mapped[int]
    last_run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"))
    data: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(Text)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)


class AlertDelivery(Base):
    """One message for one channel, sent until the receiver has it. The id, a UUID, is the ``webhook-id`` of all tries.

    ``channel`` and ``type`` outlive a removed channel. ``delay_seconds`` marks an escalation, which is dropped when the
    alert ends or is acknowledged before it is due. A row that is being sent has a lease; ``attempts`` has the last ten
    tries. ``resends`` counts how often a finished row was made pending again, which a trigger refuses otherwise.
    ``attempt`` and ``mail`` are those of a mail of a definition, which has no channel.
    """

    __tablename__ = "alert_deliveries"
    __table_args__ = (
        CheckConstraint(_one_of("purpose", PURPOSES), name="purpose_known"),
        CheckConstraint(_one_of("status", STATUSES), name="status_known"),
        CheckConstraint("(status = 'sent') = (sent_at IS NOT NULL)", name="sent_at_a_time"),
        CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="lease_ends"),
        CheckConstraint("status = 'pending' OR lease_owner IS NULL", name="lease_while_pending"),
        CheckConstraint("tries >= 0 AND number >= 0 AND resends >= 0 AND delay_seconds >= 0", name="not_negative"),
        CheckConstraint(
            "purpose <> 'run_mail' OR (channel_id IS NULL AND attempt IS NOT NULL AND mail IS NOT NULL)",
            name="mail_of_an_attempt",
        ),
        Index("uq_alert_deliveries_message", "alert_id", "channel_id", "purpose", "number", unique=True),
        _partial(
            "uq_alert_deliveries_run_mail", "run_id", "attempt", "mail", where="purpose = 'run_mail'", unique=True
        ),
        _partial("ix_alert_deliveries_pending", "channel_id", "due_at", where="status = 'pending'"),
        Index("ix_alert_deliveries_channel_id", "channel_id"),
        Index("ix_alert_deliveries_run_id", "run_id"),
        Index("ix_alert_deliveries_event_id", "event_id"),
        Index("ix_alert_deliveries_created_at", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    channel_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("alert_channels.id", ondelete="SET NULL"))
    channel: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    alert_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("alerts.id", ondelete="CASCADE"))
    event_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("alert_events.id", ondelete="SET NULL"))
    run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"))
    attempt: Mapped[int | None]
    mail: Mapped[str | None] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(Text)
    number: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    delay_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    remind_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    resends: Mapped[int] = mapped_column(server_default=text("0"))
    lease_owner: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[list[Json]] = mapped_column(OrderedJson)
