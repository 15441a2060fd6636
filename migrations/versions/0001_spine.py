"""Definitions, DAGs, runs with everything below them, and the servers that own them.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

# The models' types as they were stored at this revision; later changes of the models must not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0001"):
        _create_definitions()
        _create_services()
        _create_dags()
        _create_runs()
        _index_runs()
        _create_dag_revisions()
        _create_run_attempts()
        _create_run_events()
        _create_run_inputs()
        _create_run_requests()
        _create_nodes()
        _create_log_chunks()


def downgrade() -> None:
    with revise(op.get_bind(), triggers=None):
        for table in (
            "log_chunks",
            "nodes",
            "run_requests",
            "run_inputs",
            "run_events",
            "run_attempts",
            "dag_revisions",
            "runs",
            "dags",
            "services",
            "definitions",
        ):
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


def _index_runs() -> None:
    op.create_index("ix_runs_active", "runs", ["status"], **_where("status IN (0, 1, 5)"))
    op.create_index("ix_runs_definition_hash", "runs", ["definition_hash"])
    op.create_index("ix_runs_parent_id", "runs", ["parent_id"], **_where("parent_id IS NOT NULL"))
    op.create_index("uq_runs_child", "runs", ["root_id", "run_id"], unique=True, **_where("root_id IS NOT NULL"))
    op.create_index("uq_runs_root", "runs", ["dag_name", "run_id"], unique=True, **_where("root_id IS NULL"))
    op.create_index("ix_runs_created_at", "runs", [sa.text("created_at DESC"), "run_id"])
    op.create_index("ix_runs_dag_name", "runs", ["dag_name", sa.text("created_at DESC")])


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
        sa.CheckConstraint("kind IN ('stop')", name=op.f("ck_run_requests_kind_known")),
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
        sa.CheckConstraint("(edited_at IS NULL) = (edited_by IS NULL)", name=op.f("ck_nodes_edited_by_somebody")),
        sa.CheckConstraint("finished_at >= started_at", name=op.f("ck_nodes_finished_after_started")),
        sa.CheckConstraint(
            "finished_at IS NULL OR status NOT IN (0, 1)", name=op.f("ck_nodes_finished_only_when_settled")
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
