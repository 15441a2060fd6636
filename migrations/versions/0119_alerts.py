"""Alerts: channels, rules and their targets, the outbox of events, alerts, and deliveries.

Revision ID: 0119
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from dagbook.db.migrations.migration_support import migration

revision = "0119"
down_revision: str | None = "0118"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119")
BEFORE = ("0100", "0103", "0112")
# Column types and words of this revision, copied from the models, so that later changes of the models do not change it.
COLUMN_TYPES: dict[str, TypeEngine[Any]] = {
    "key": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "text": sa.Text(),
    "bytes": sa.LargeBinary(),
    "int": sa.Integer(),
    "bool": sa.Boolean(),
    "time": sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite"),
}
TYPES = "'webhook', 'slack', 'mail', 'discord', 'teams', 'telegram', 'ntfy', 'pagerduty', 'ping'"
KINDS = (
    "'failed', 'partial', 'aborted', 'succeeded', 'waiting', 'missed', 'overdue', 'slow', 'queued', 'server', "
    "'channel', 'trigger', 'limit'"
)
SUBJECTS = "'dag', 'queue', 'service', 'channel', 'trigger', 'alerts'"
PURPOSES = "'opened', 'reminder', 'closed', 'test', 'run_mail', 'trace'"
STATUSES = "'pending', 'sent', 'failed', 'dropped'"
TABLES = ("alert_deliveries", "alerts", "alert_events", "alert_targets", "alert_rules", "alert_channels")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        _create_channels_and_rules()
        _create_events_and_alerts()
        _create_deliveries()


def downgrade() -> None:
    with migration(op.get_bind(), triggers=BEFORE):
        for table in TABLES:
            op.drop_table(table)


def _create(  # noqa: PLR0913 - what a table has
    table: str,
    columns: str,
    references: dict[str, str],
    checks: dict[str, str],
    primary: str = "id",
    unique: str = "",
    *,
    numbered: bool = True,
) -> None:
    """Create a table; each column is ``name:type``, with ``?`` if it may be NULL, or ``=`` and its default."""
    op.create_table(
        table,
        *(_column(*column.split(":")) for column in columns.split()),
        *(_reference(table, column, *to.split(" ", 1)) for column, to in references.items()),
        *(sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}")) for name, condition in checks.items()),
        sa.PrimaryKeyConstraint(*primary.split(), name=op.f(f"pk_{table}")),
        *(sa.UniqueConstraint(name, name=op.f(f"uq_{table}_{name}")) for name in unique.split()),
        sqlite_autoincrement=numbered,
    )


def _column(name: str, kind: str) -> sa.Column[Any]:
    kind, _, default = kind.partition("=")
    value = None if not default else sa.false() if default == "false" else sa.text(default)
    return sa.Column(name, COLUMN_TYPES[kind.rstrip("?")], nullable=kind.endswith("?"), server_default=value)


def _reference(table: str, column: str, to: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def _index(name: str, table: str, columns: str, where: str | None = None, *, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns.split(), unique=unique, sqlite_where=condition, postgresql_where=condition)


def _create_channels_and_rules() -> None:
    _create(
        "alert_channels",
        "id:key name:text type:text settings:text sealed:bytes? sealed_before:bytes? sealed_before_until:time? "
        "enabled:bool shared:bool configured:bool interval_seconds:int every_seconds:int? failing_since:time? "
        "next_try_at:time? last_sent_at:time? last_alert_at:time?",
        {},
        {
            "name_length": "length(name) BETWEEN 1 AND 64",
            "type_known": f"type IN ({TYPES})",
            "rotation_ends": "(sealed_before IS NULL) = (sealed_before_until IS NULL)",
            "interval_not_negative": "interval_seconds >= 0",
            "every_of_ping": "every_seconds IS NULL OR (type = 'ping' AND every_seconds > 0)",
        },
        unique="name",
    )
    _create(
        "alert_rules",
        "id:key name:text match:text kinds:text after:int remind_seconds:int quiet:text? enabled:bool configured:bool "
        "tells_success:bool dag_id:key? created_at:time",
        {"dag_id": "dags CASCADE"},
        {
            "name_length": "length(name) BETWEEN 1 AND 64",
            "after_from_one": '"after" >= 1',
            "remind_not_negative": "remind_seconds >= 0",
        },
        unique="name",
    )
    _index("ix_alert_rules_dag_id", "alert_rules", "dag_id")
    _create(
        "alert_targets",
        "rule_id:key channel_id:key delay_seconds:int",
        {"rule_id": "alert_rules CASCADE", "channel_id": "alert_channels RESTRICT"},
        {"delay_not_negative": "delay_seconds >= 0"},
        primary="rule_id channel_id",
        numbered=False,
    )
    _index("ix_alert_targets_channel_id", "alert_targets", "channel_id")


def _create_events_and_alerts() -> None:
    known = {"kind_known": f"kind IN ({KINDS})", "subject_known": f"subject_kind IN ({SUBJECTS})"}
    _create(
        "alert_events",
        "id:key key:text at:time kind:text subject_kind:text subject:text run_id:key? attempt:int? data:text "
        "test:bool=false routed_at:time? outcome:text?",
        {"run_id": "runs SET NULL"},
        {
            **known,
            "routed_with_an_outcome": "(routed_at IS NULL) = (outcome IS NULL)",
            "attempt_of_a_run": "run_id IS NULL OR attempt IS NOT NULL",
        },
        unique="key",
    )
    _index("ix_alert_events_unrouted", "alert_events", "id", "routed_at IS NULL")
    _index("ix_alert_events_run_id", "alert_events", "run_id")
    _index("ix_alert_events_routed_at", "alert_events", "routed_at")
    _create(
        "alerts",
        "id:key kind:text subject_kind:text subject:text opened_at:time last_at:time count:int last_run_id:key? "
        "data:text closed_at:time? closed_by:text? acknowledged_at:time? acknowledged_by:text? note:text?",
        {"last_run_id": "runs SET NULL"},
        {
            **known,
            "count_from_one": "count >= 1",
            "closed_after_opened": "closed_at >= opened_at",
            "acknowledged_at_a_time": "acknowledged_at IS NOT NULL OR acknowledged_by IS NULL",
        },
    )
    _index("uq_alerts_open", "alerts", "kind subject_kind subject", "closed_at IS NULL", unique=True)
    _index("ix_alerts_subject", "alerts", "subject kind closed_at")
    _index("ix_alerts_closed_at", "alerts", "closed_at")
    _index("ix_alerts_last_run_id", "alerts", "last_run_id")


def _create_deliveries() -> None:
    table = "alert_deliveries"
    _create(
        table,
        "id:text channel_id:key? channel:text type:text alert_id:key? event_id:key? run_id:key? attempt:int? "
        "mail:text? purpose:text number:int created_at:time due_at:time delay_seconds:int=0 remind_seconds:int=0 "
        "status:text reason:text? tries:int=0 resends:int=0 lease_owner:text? lease_until:time? sent_at:time? "
        "attempts:text",
        {
            "channel_id": "alert_channels SET NULL",
            "alert_id": "alerts CASCADE",
            "event_id": "alert_events SET NULL",
            "run_id": "runs SET NULL",
        },
        {
            "purpose_known": f"purpose IN ({PURPOSES})",
            "status_known": f"status IN ({STATUSES})",
            "sent_at_a_time": "(status = 'sent') = (sent_at IS NOT NULL)",
            "lease_ends": "(lease_owner IS NULL) = (lease_until IS NULL)",
            "lease_while_pending": "status = 'pending' OR lease_owner IS NULL",
            "not_negative": "tries >= 0 AND number >= 0 AND resends >= 0 AND delay_seconds >= 0",
            "mail_of_an_attempt": "purpose <> 'run_mail' OR "
            "(channel_id IS NULL AND attempt IS NOT NULL AND mail IS NOT NULL)",
        },
        numbered=False,
    )
    _index("uq_alert_deliveries_message", table, "alert_id channel_id purpose number", unique=True)
    _index("uq_alert_deliveries_run_mail", table, "run_id attempt mail", "purpose = 'run_mail'", unique=True)
    _index("ix_alert_deliveries_pending", table, "channel_id due_at", "status = 'pending'")
    for column in ("channel_id", "run_id", "event_id"):
        _index(f"ix_alert_deliveries_{column}", table, column)
    _index("ix_alert_deliveries_created_at", table, "created_at id")
