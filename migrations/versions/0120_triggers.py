"""Triggers: what may start runs from outside, their events, what looks have seen; variables of runs of events.

Revision ID: 0120
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from dagbook.db.migrations.migration_support import migration

revision = "0120"
down_revision: str | None = "0119"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119", "0120")
BEFORE = ("0100", "0103", "0112", "0119")
# Column types and words of this revision, copied from the models, so that later changes of the models do not change it.
COLUMN_TYPES: dict[str, TypeEngine[Any]] = {
    "key": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "text": sa.Text(),
    "bytes": sa.LargeBinary(),
    "int": sa.Integer(),
    "bool": sa.Boolean(),
    "time": sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite"),
}
KINDS = "'webhook', 'files', 'sftp', 'http', 'after'"
SCHEMES = "'token', 'standard', 'github', 'gitlab', 'stripe', 'hmac'"
STATES = "'waiting', 'filtered', 'started', 'superseded', 'dead', 'discarded', 'replayed'"


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        _create_triggers()
        _create_events()
        _create_items()
        op.add_column("run_inputs", sa.Column("variables", COLUMN_TYPES["text"], nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers=BEFORE):
        op.drop_column("run_inputs", "variables")
        for table in ("trigger_items", "trigger_events", "triggers"):
            op.drop_table(table)


def _create(table: str, columns: str, references: dict[str, str], checks: dict[str, str], primary: str = "id") -> None:
    """Create a table; each column is ``name:type``, with ``?`` if it may be NULL, or ``=`` and its default."""
    op.create_table(
        table,
        *(_column(*column.split(":")) for column in columns.split()),
        *(_reference(table, column, *to.split(" ", 1)) for column, to in references.items()),
        *(sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}")) for name, condition in checks.items()),
        sa.PrimaryKeyConstraint(*primary.split(), name=op.f(f"pk_{table}")),
        *([sa.UniqueConstraint("name", name=op.f(f"uq_{table}_name"))] if table == "triggers" else []),
        sqlite_autoincrement=table == "triggers",
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


def _create_triggers() -> None:
    _create(
        "triggers",
        "id:key name:text dag_id:key? kind:text scheme:text? settings:text params:text filters:text sealed:bytes? "
        "sealed_before:bytes? sealed_before_until:time? host:text? paused_at:time? paused_by:text? queue:text "
        "priority:int per_minute:int max_bytes:int max_waiting:int collapse:bool together:bool=false "
        "every_seconds:int? next_look_at:time? baseline_at:time? looks:int=0 looked_at:time? problem:text? "
        "problem_since:time? lease_owner:text? lease_until:time? created_by:text? created_by_id:text? "
        "created_by_token_id:text? created_at:time upstream_id:key?",
        {"dag_id": "dags SET NULL", "upstream_id": "dags SET NULL"},
        {
            "name_length": "length(name) BETWEEN 1 AND 64",
            "kind_known": f"kind IN ({KINDS})",
            "scheme_known": f"scheme IS NULL OR scheme IN ({SCHEMES})",
            "scheme_of_webhooks": "(kind = 'webhook') = (scheme IS NOT NULL)",
            "every_of_looks": "every_seconds IS NULL OR (kind IN ('files', 'sftp', 'http') AND every_seconds >= 10)",
            "upstream_of_after": "upstream_id IS NULL OR kind = 'after'",
            "rotation_ends": "(sealed_before IS NULL) = (sealed_before_until IS NULL)",
            "lease_ends": "(lease_owner IS NULL) = (lease_until IS NULL)",
            "paused_at_a_time": "paused_at IS NOT NULL OR paused_by IS NULL",
            "limits_known": "per_minute >= 1 AND max_bytes >= 1 AND max_waiting >= 1 AND looks >= 0",
        },
    )
    _index("ix_triggers_dag_id", "triggers", "dag_id")
    _index("ix_triggers_upstream_id", "triggers", "upstream_id")
    _index("ix_triggers_next_look_at", "triggers", "next_look_at")


def _create_events() -> None:
    table = "trigger_events"
    _create(
        table,
        "id:text trigger_id:key key:text body_hash:bytes? state:text received_at:time settled_at:time? reason:text? "
        "run_id:key? duplicates:int=0 replays:int=0 revision:int? depth:int=0 source:text? item:text? "
        "content_type:text? headers:text body:bytes? body_bytes:int=0 actor:text?",
        {"trigger_id": "triggers CASCADE", "run_id": "runs SET NULL"},
        {
            "state_known": f"state IN ({STATES})",
            "run_of_started": "run_id IS NULL OR state = 'started'",
            "settled_at_a_time": "(state = 'waiting') = (settled_at IS NULL)",
            "not_negative": "depth >= 0 AND replays >= 0 AND duplicates >= 0 AND body_bytes >= 0",
        },
    )
    _index("uq_trigger_events_key", table, "trigger_id key", unique=True)
    _index("uq_trigger_events_body_hash", table, "trigger_id body_hash", unique=True)
    _index("uq_trigger_events_run_id", table, "run_id", unique=True)
    _index("ix_trigger_events_received_at", table, "trigger_id received_at id")
    _index("ix_trigger_events_waiting", table, "trigger_id received_at id", "state = 'waiting'")
    _index("ix_trigger_events_dead", table, "trigger_id", "state = 'dead'")
    _index("ix_trigger_events_bodies", table, "trigger_id received_at body_bytes", "body IS NOT NULL")


def _create_items() -> None:
    _create(
        "trigger_items",
        "trigger_id:key path:text fingerprint:text stable_since:time generation:int event_id:text?",
        {"trigger_id": "triggers CASCADE", "event_id": "trigger_events SET NULL"},
        {"generation_from_one": "generation >= 1"},
        primary="trigger_id path",
    )
    _index("ix_trigger_items_event_id", "trigger_items", "event_id")
