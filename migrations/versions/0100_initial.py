"""All tables of Dagbook 0.1.0, and on PostgreSQL those of PgQueuer.

Revision ID: 0100
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration, migrations_directory

revision = "0100"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

# Column types of this revision, copied from the models, so that later changes of the models do not change them.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_ROLES = "role IN ('viewer', 'operator', 'manager', 'admin')"
_OUTCOMES = (
    "outcome IN ('started', 'queued', 'stopped', 'restarting', 'restarted', 'skipped', 'suspended', 'missed', 'failed')"
)
_DROP_PGQUEUER = (
    "DROP TRIGGER tg_pgqueuer_changed ON pgqueuer",
    "DROP FUNCTION fn_pgqueuer_changed()",
    "DROP TABLE pgqueuer, pgqueuer_log, pgqueuer_schedules, pgqueuer_statistics",
    "DROP TYPE pgqueuer_status",
)


def upgrade() -> None:
    with migration(op.get_bind(), triggers="0100"):
        for create in _TABLES.values():
            create()
    if op.get_bind().dialect.name == "postgresql":
        _create_pgqueuer()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in _DROP_PGQUEUER:
            op.get_bind().exec_driver_sql(statement)
    with migration(op.get_bind(), triggers=None):
        for table in reversed(_TABLES):
            op.drop_table(table)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _create_definitions() -> None:
    op.create_table(
        "definitions",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=True),
        sa.Column("base", sa.Text(), nullable=True),
        sa.Column("redacted_at", INSTANT, nullable=True),
        sa.Column("redacted_by", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(redacted_at IS NULL) = (redacted_by IS NULL)", name=op.f("ck_definitions_redacted_by_somebody")
        ),
        sa.CheckConstraint("spec IS NOT NULL OR redacted_at IS NOT NULL", name=op.f("ck_definitions_text_or_redacted")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_definitions")),
    )


def _create_services() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("pid_namespace", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pid_started", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=False),
        sa.Column("lease_until", INSTANT, nullable=False),
        sa.Column("stopped_at", INSTANT, nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=True),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("spool_id", sa.Text(), nullable=True),
        sa.Column("spool_dir", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
    )


def _create_dags() -> None:
    op.create_table(
        "dags",
        sa.Column("id", KEY, nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("dag_name", sa.Text(), nullable=False),
        sa.Column("definition_hash", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("source_directory", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["definition_hash"], ["definitions.hash"], name=op.f("fk_dags_definition_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dags")),
        sa.UniqueConstraint("file_name", name=op.f("uq_dags_file_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dags_dag_name", "dags", ["dag_name"])
    op.create_index("ix_dags_definition_hash", "dags", ["definition_hash"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("dag_name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("definition_hash", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("root_id", KEY, nullable=True),
        sa.Column("parent_id", KEY, nullable=True),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("params_text", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("queued_at", INSTANT, nullable=True),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("stop_requested_at", INSTANT, nullable=True),
        sa.Column("stop_requested_by", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("max_active_runs", sa.Integer(), nullable=False),
        sa.Column("dag_revision", sa.Integer(), nullable=True),
        sa.CheckConstraint("(root_id IS NULL) = (parent_id IS NULL)", name=op.f("ck_runs_child_has_root_and_parent")),
        sa.CheckConstraint("attempt >= 1", name=op.f("ck_runs_attempt_counts_from_one")),
        sa.CheckConstraint("finished_at >= started_at", name=op.f("ck_runs_finished_after_started")),
        sa.CheckConstraint(
            "finished_at IS NULL OR status IN (2, 3, 4, 6)", name=op.f("ck_runs_finished_only_when_over")
        ),
        sa.CheckConstraint("status BETWEEN 0 AND 6", name=op.f("ck_runs_status_known")),
        sa.ForeignKeyConstraint(["definition_hash"], ["definitions.hash"], name=op.f("fk_runs_definition_hash")),
        sa.ForeignKeyConstraint(["parent_id"], ["runs.id"], name=op.f("fk_runs_parent_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["root_id"], ["runs.id"], name=op.f("fk_runs_root_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_autoincrement=True,
    )
    _index_runs()


def _index_runs() -> None:
    """Create separate indexes for root runs, which lists show, and sub-runs, which may be very many."""
    newest_first: list[str | sa.TextClause] = [sa.text("created_at DESC"), "run_id"]
    active = "status IN (0, 1, 5) AND root_id IS NULL"
    op.create_index("uq_runs_root", "runs", ["dag_name", "run_id"], unique=True, **_where("root_id IS NULL"))
    op.create_index("uq_runs_child", "runs", ["root_id", "run_id"], unique=True, **_where("root_id IS NOT NULL"))
    op.create_index("ix_runs_definition_hash", "runs", ["definition_hash"])
    op.create_index("ix_runs_trigger", "runs", ["trigger", "created_at"])
    _index_some_runs("ix_runs_parent_id", ["parent_id"], "parent_id IS NOT NULL")
    _index_some_runs("ix_runs_active_name", ["dag_name", "status", "queue"], active)
    _index_some_runs("ix_runs_active_queue", ["queue", "status"], active)
    _index_some_runs("ix_runs_status", ["status", *newest_first], "root_id IS NULL")
    _index_some_runs("ix_runs_root", newest_first, "root_id IS NULL")
    _index_some_runs("ix_runs_root_name", ["dag_name", "created_at", "status"], "root_id IS NULL")
    _index_some_runs("ix_runs_child", ["created_at"], "root_id IS NOT NULL")
    _index_some_runs("ix_runs_actor", ["actor", "created_at"], "actor IS NOT NULL")
    _index_some_runs("ix_runs_revision", ["dag_name", "dag_revision", "created_at"], "dag_revision IS NOT NULL")
    _index_some_runs(
        "ix_runs_duration", [sa.text("(finished_at - started_at)")], "root_id IS NULL AND finished_at IS NOT NULL"
    )
    _index_some_runs("ix_runs_long_id", ["run_id"], "root_id IS NULL AND length(run_id) > 36")


def _index_some_runs(name: str, columns: Sequence[str | sa.TextClause], condition: str) -> None:
    op.create_index(name, "runs", columns, **_where(condition))


def _create_dag_revisions() -> None:
    op.create_table(
        "dag_revisions",
        sa.Column("dag_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("definition_hash", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["dag_id"], ["dags.id"], name=op.f("fk_dag_revisions_dag_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["definition_hash"], ["definitions.hash"], name=op.f("fk_dag_revisions_definition_hash")
        ),
        sa.PrimaryKeyConstraint("dag_id", "number", name=op.f("pk_dag_revisions")),
    )
    op.create_index("ix_dag_revisions_definition_hash", "dag_revisions", ["definition_hash"])


def _create_run_attempts() -> None:
    op.create_table(
        "run_attempts",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "closed_at IS NULL OR status IN (2, 3, 4, 6)", name=op.f("ck_run_attempts_closed_only_when_over")
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_run_attempts_counts_from_one")),
        sa.CheckConstraint("status BETWEEN 0 AND 6", name=op.f("ck_run_attempts_status_known")),
        sa.ForeignKeyConstraint(["owner"], ["services.id"], name=op.f("fk_run_attempts_owner")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_attempts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_run_attempts")),
    )
    op.create_index("ix_run_attempts_owner", "run_attempts", ["owner"], **_where("closed_at IS NULL"))
    op.create_index("uq_run_attempts_open", "run_attempts", ["run_id"], unique=True, **_where("closed_at IS NULL"))


def _create_run_events() -> None:
    op.create_table(
        "run_events",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_events_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_events")),
    )


def _create_run_inputs() -> None:
    op.create_table(
        "run_inputs",
        sa.Column("run_id", KEY, autoincrement=False, nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("dotenv", sa.Text(), nullable=False),
        sa.Column("work_dir", sa.Text(), nullable=False),
        sa.Column("base_environment", sa.Text(), nullable=True),
        sa.Column("keep_dir", sa.Boolean(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("source_directory", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_inputs_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_inputs")),
    )


def _create_run_requests() -> None:
    op.create_table(
        "run_requests",
        sa.Column("id", KEY, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("handled_at", INSTANT, nullable=True),
        sa.CheckConstraint("kind IN ('stop', 'kill')", name=op.f("ck_run_requests_kind_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_requests_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_requests")),
    )
    op.create_index("ix_run_requests_run_id", "run_requests", ["run_id"])
    op.create_index("ix_run_requests_waiting", "run_requests", ["id"], **_where("handled_at IS NULL"))


def _create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("handler", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("execution", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("executed_at", INSTANT, nullable=True),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("retried_at", INSTANT, nullable=True),
        sa.Column("retry_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("done_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("repeated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("output_name", sa.Text(), nullable=True),
        sa.Column("output_value", sa.Text(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("pid_started", sa.BigInteger(), nullable=True),
        sa.Column("spool", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("edited_at", INSTANT, nullable=True),
        sa.Column("edited_by", sa.Text(), nullable=True),
        sa.Column("sub_runs", sa.Text(), nullable=True),
        sa.Column("output_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("log_attempt", sa.Integer(), nullable=True),
        sa.CheckConstraint("(edited_at IS NULL) = (edited_by IS NULL)", name=op.f("ck_nodes_edited_by_somebody")),
        sa.CheckConstraint("finished_at >= started_at", name=op.f("ck_nodes_finished_after_started")),
        sa.CheckConstraint(
            "finished_at IS NULL OR status NOT IN (0, 1) OR (status = 0 AND edited_at IS NOT NULL)",
            name=op.f("ck_nodes_finished_only_when_settled"),
        ),
        sa.CheckConstraint("position >= -5 AND handler = (position < 0)", name=op.f("ck_nodes_handlers_below_zero")),
        sa.CheckConstraint("status BETWEEN 0 AND 6", name=op.f("ck_nodes_status_known")),
        sa.ForeignKeyConstraint(
            ["run_id", "attempt"],
            ["run_attempts.run_id", "run_attempts.number"],
            name=op.f("fk_nodes_run_id_attempt"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "attempt", "position", name=op.f("pk_nodes")),
        sa.UniqueConstraint("run_id", "attempt", "handler", "name", name=op.f("uq_nodes_run_id_attempt_handler_name")),
    )


def _create_log_chunks() -> None:
    op.create_table(
        "log_chunks",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("execution", sa.Integer(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("first_line", sa.Integer(), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=False),
        sa.Column("byte_count", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("line_count >= 0 AND byte_count >= 0", name=op.f("ck_log_chunks_sizes_not_negative")),
        sa.CheckConstraint("stream IN (1, 2)", name=op.f("ck_log_chunks_stream_known")),
        sa.ForeignKeyConstraint(
            ["run_id", "attempt", "position"],
            ["nodes.run_id", "nodes.attempt", "nodes.position"],
            name=op.f("fk_log_chunks_run_id_attempt_position"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "attempt", "position", "stream", "seq", name=op.f("pk_log_chunks")),
    )
    if op.get_bind().dialect.name == "postgresql":  # it is compressed already
        op.execute("ALTER TABLE log_chunks ALTER COLUMN packed SET STORAGE EXTERNAL")


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kept_token", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("length(username) BETWEEN 1 AND 64", name=op.f("ck_users_username_length")),
        sa.CheckConstraint(_ROLES, name=op.f("ck_users_role_known")),
        sa.CheckConstraint("generation > 0", name=op.f("ck_users_generation_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_tokens_name_length")),
        sa.CheckConstraint(_ROLES, name=op.f("ck_tokens_role_known")),
        sa.CheckConstraint("length(hash) = 64", name=op.f("ck_tokens_hash_length")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_tokens_expires_later")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_index("uq_tokens_live_name", "tokens", ["user_id", "name"], unique=True, **_where("revoked_at IS NULL"))


def _create_queue_entries() -> None:
    op.create_table(
        "queue_entries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queued_at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("place", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("selector", sa.Text(), nullable=True),
        sa.CheckConstraint("priority BETWEEN -1000 AND 1000", name=op.f("ck_queue_entries_priority_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_queue_entries_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_entries")),
        sa.UniqueConstraint("run_id", name=op.f("uq_queue_entries_run_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_queue_entries_queue", "queue_entries", ["queue", sa.text("priority DESC"), "place", "id"])


def _create_queue_pauses() -> None:
    op.create_table(
        "queue_pauses",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("paused_at", INSTANT, nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_queue_pauses")),
    )


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("number", KEY, nullable=False),
        sa.Column("xact", sa.BigInteger(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dag_name", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("root_name", sa.Text(), nullable=True),
        sa.Column("root_run_id", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("event", sa.Integer(), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_xact", "changes", ["xact", "number"], sqlite_where=sa.text("xact > 0"))


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", KEY, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("token_id", sa.Text(), nullable=True),
        sa.Column("token_name", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.CheckConstraint("outcome IN ('done', 'refused', 'failed')", name=op.f("ck_audit_outcome_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    for column in ("actor", "action", "name", "request_id"):
        op.create_index(f"ix_audit_{column}", "audit", [column, "at"])
    op.create_index("ix_audit_at", "audit", ["at"])


def _create_audit_seals() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("number", KEY, autoincrement=False, nullable=False),
        sa.Column("first_id", KEY, nullable=False),
        sa.Column("last_id", KEY, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", INSTANT, nullable=False),
        sa.Column("pruned_at", INSTANT, nullable=True),
        sa.Column("marks", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_audit_seals_number_counts_from_one")),
        sa.CheckConstraint("first_id <= last_id", name=op.f("ck_audit_seals_range_in_order")),
        sa.CheckConstraint("entries >= 1", name=op.f("ck_audit_seals_entries_not_empty")),
        sa.CheckConstraint("length(digest) = 64 AND length(hash) = 64", name=op.f("ck_audit_seals_hash_length")),
        sa.CheckConstraint("(marks IS NULL) = (pruned_at IS NOT NULL)", name=op.f("ck_audit_seals_marks_until_pruned")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
        sa.UniqueConstraint("last_id", name=op.f("uq_audit_seals_last_id")),
    )


def _create_run_tags() -> None:
    tag = sa.Column("tag", sa.Text(), nullable=False)
    _create_search_table("run_tags", ["tag"], tag, sqlite_with_rowid=False)
    op.create_index("ix_run_tags_tag", "run_tags", ["tag", "created_at", "run_id"])


def _create_run_params() -> None:
    _create_search_table(
        "run_params",
        ["position"],
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_params_name", "run_params", ["name", "value", "created_at", "run_id"])


def _create_run_errors() -> None:
    _create_search_table("run_errors", [], sa.Column("text", sa.Text(), nullable=False))
    op.create_index("ix_run_errors_created_at", "run_errors", ["created_at", "run_id"])


def _create_search_table(name: str, keys: list[str], *columns: sa.Column[Any], **options: Any) -> None:
    op.create_table(
        name,
        sa.Column("run_id", KEY, autoincrement=False, nullable=False),
        *columns,
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f(f"fk_{name}_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", *keys, name=op.f(f"pk_{name}")),
        **options,
    )


def _create_schedule_slots() -> None:
    op.create_table(
        "schedule_slots",
        sa.Column("dag_id", KEY, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("minute", INSTANT, nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", KEY, nullable=True),
        sa.Column("restarts", KEY, nullable=True),
        sa.Column("made_up", sa.Boolean(), nullable=False),
        sa.Column("settled_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('start', 'stop', 'restart')", name=op.f("ck_schedule_slots_kind_known")),
        sa.CheckConstraint(_OUTCOMES, name=op.f("ck_schedule_slots_outcome_known")),
        sa.CheckConstraint(
            "run_id IS NULL OR outcome IN ('started', 'queued', 'restarted')",
            name=op.f("ck_schedule_slots_run_only_when_begun"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_schedule_slots_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("dag_id", "kind", "minute", name=op.f("pk_schedule_slots")),
        sa.UniqueConstraint("run_id", name=op.f("uq_schedule_slots_run_id")),
    )
    op.create_index("ix_schedule_slots_minute", "schedule_slots", ["minute"])
    op.create_index("ix_schedule_slots_restarting", "schedule_slots", ["minute"], **_where("outcome = 'restarting'"))
    op.create_index("ix_schedule_slots_file_name", "schedule_slots", ["file_name", "minute"])


def _create_schedule_marks() -> None:
    op.create_table(
        "schedule_marks",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minute", INSTANT, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_schedule_marks_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_marks")),
    )


def _create_dag_settings() -> None:
    op.create_table(
        "dag_settings",
        sa.Column("dag_id", KEY, autoincrement=False, nullable=False),
        sa.Column("catchup", sa.Text(), nullable=False),
        sa.Column("catchup_window_seconds", sa.Integer(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.CheckConstraint("catchup IN ('none', 'latest', 'all')", name=op.f("ck_dag_settings_catchup_known")),
        sa.CheckConstraint("catchup_window_seconds > 0", name=op.f("ck_dag_settings_window_above_zero")),
        sa.ForeignKeyConstraint(["dag_id"], ["dags.id"], name=op.f("fk_dag_settings_dag_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("dag_id", name=op.f("pk_dag_settings")),
    )


def _create_dag_retention() -> None:
    op.create_table(
        "dag_retention",
        sa.Column("dag_id", KEY, autoincrement=False, nullable=False),
        sa.Column("days", sa.Integer(), nullable=True),
        sa.Column("runs", sa.Integer(), nullable=True),
        sa.Column("log_bytes", sa.BigInteger(), nullable=True),
        sa.Column("set_at", INSTANT, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "days >= -1 AND runs >= -1 AND log_bytes >= -1", name=op.f("ck_dag_retention_limits_from_minus_one")
        ),
        sa.ForeignKeyConstraint(["dag_id"], ["dags.id"], name=op.f("fk_dag_retention_dag_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("dag_id", name=op.f("pk_dag_retention")),
    )


def _create_removals() -> None:
    op.create_table(
        "removals",
        sa.Column("run_id", KEY, autoincrement=False, nullable=False),
        sa.Column("begun_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_removals_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_removals")),
    )


def _create_pgqueuer() -> None:
    """Create the tables of PgQueuer, exactly as its version 1.6.0 does."""
    install = (migrations_directory() / "pgqueuer" / "1.6.0.sql").read_text(encoding="utf-8")
    for statement in re.split(r"\n\n(?=CREATE )", install.strip())[1:]:
        op.get_bind().exec_driver_sql(statement)


# Ordered so that a table refers only to tables before it.
_TABLES: dict[str, Callable[[], None]] = {
    "definitions": _create_definitions,
    "services": _create_services,
    "dags": _create_dags,
    "runs": _create_runs,
    "dag_revisions": _create_dag_revisions,
    "run_attempts": _create_run_attempts,
    "run_events": _create_run_events,
    "run_inputs": _create_run_inputs,
    "run_requests": _create_run_requests,
    "nodes": _create_nodes,
    "log_chunks": _create_log_chunks,
    "users": _create_users,
    "tokens": _create_tokens,
    "queue_entries": _create_queue_entries,
    "queue_pauses": _create_queue_pauses,
    "changes": _create_changes,
    "audit": _create_audit,
    "audit_seals": _create_audit_seals,
    "run_tags": _create_run_tags,
    "run_params": _create_run_params,
    "run_errors": _create_run_errors,
    "schedule_slots": _create_schedule_slots,
    "schedule_marks": _create_schedule_marks,
    "dag_settings": _create_dag_settings,
    "dag_retention": _create_dag_retention,
    "removals": _create_removals,
}
