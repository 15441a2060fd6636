"""Runs, their attempts, inputs, events and stop requests; search tables of their tags, params and errors."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime, report_index
from dagbook.engine.status import RunStatus
from dagbook.json_values import Json

_IS_ROOT = text("root_id IS NULL")
_IS_CHILD = text("root_id IS NOT NULL")
_HAS_PARENT = text("parent_id IS NOT NULL")
# A query must contain exactly this condition to use an index of active runs: with bound parameters instead of literals
# neither database recognizes that the partial index applies.
IS_ACTIVE = text("runs.status IN (0, 1, 5) AND runs.root_id IS NULL")
_IS_ACTIVE = text("status IN (0, 1, 5) AND root_id IS NULL")
_HAS_ACTOR = text("actor IS NOT NULL")
_HAS_REVISION = text("dag_revision IS NOT NULL")
_IS_OPEN = text("closed_at IS NULL")
# Length of the run ids that Dagbook generates; longer ones, chosen by clients, have an index.
LONG_ID = 36
IS_ROOT, IS_OVER = text("runs.root_id IS NULL"), text("runs.finished_at IS NOT NULL")
IS_LONG = text(f"length(runs.run_id) > {LONG_ID}")
_IS_LONG_ROOT = text(f"root_id IS NULL AND length(run_id) > {LONG_ID}")
_IS_ROOT_OVER = text("root_id IS NULL AND finished_at IS NOT NULL")


class Run(Base):
    """One execution of a DAG, with one or more attempts.

    ``params`` is a list of ``[name, value]`` pairs, ``params_text`` their text as given. ``root_id`` and ``parent_id``
    are null for a root run. Ids are never reused, not even those of deleted runs. ``scheduled_at`` is the minute of a
    schedule that the run, or the one that it was started from, was due at.
    """

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("status BETWEEN 0 AND 6", name="status_known"),
        CheckConstraint("attempt >= 1", name="attempt_counts_from_one"),
        CheckConstraint("finished_at IS NULL OR status IN (2, 3, 4, 6)", name="finished_only_when_over"),
        CheckConstraint("finished_at >= started_at", name="finished_after_started"),
        CheckConstraint("(root_id IS NULL) = (parent_id IS NULL)", name="child_has_root_and_parent"),
        Index("uq_runs_root", "dag_name", "run_id", unique=True, sqlite_where=_IS_ROOT, postgresql_where=_IS_ROOT),
        Index("uq_runs_child", "root_id", "run_id", unique=True, sqlite_where=_IS_CHILD, postgresql_where=_IS_CHILD),
        Index("ix_runs_parent_id", "parent_id", sqlite_where=_HAS_PARENT, postgresql_where=_HAS_PARENT),
        Index("ix_runs_root", text("created_at DESC"), "run_id", sqlite_where=_IS_ROOT, postgresql_where=_IS_ROOT),
        # The status is filtered in the index, because few runs of a DAG may have the requested one.
        Index(
            "ix_runs_root_name", "dag_name", "created_at", "status", sqlite_where=_IS_ROOT, postgresql_where=_IS_ROOT
        ),
        Index("ix_runs_child", "created_at", sqlite_where=_IS_CHILD, postgresql_where=_IS_CHILD),
        Index(
            "ix_runs_active_name", "dag_name", "status", "queue", sqlite_where=_IS_ACTIVE, postgresql_where=_IS_ACTIVE
        ),
        Index("ix_runs_active_queue", "queue", "status", sqlite_where=_IS_ACTIVE, postgresql_where=_IS_ACTIVE),
        Index(
            "ix_runs_status",
            "status",
            text("created_at DESC"),
            "run_id",
            sqlite_where=_IS_ROOT,
            postgresql_where=_IS_ROOT,
        ),
        Index("ix_runs_definition_hash", "definition_hash"),
        Index("ix_runs_trigger", "trigger", "created_at"),
        Index("ix_runs_actor", "actor", "created_at", sqlite_where=_HAS_ACTOR, postgresql_where=_HAS_ACTOR),
        Index(
            "ix_runs_revision",
            "dag_name",
            "dag_revision",
            "created_at",
            sqlite_where=_HAS_REVISION,
            postgresql_where=_HAS_REVISION,
        ),
        Index(
            "ix_runs_duration",
            text("(finished_at - started_at)"),
            sqlite_where=_IS_ROOT_OVER,
            postgresql_where=_IS_ROOT_OVER,
        ),
        report_index("runs", "created_at"),
        Index("ix_runs_long_id", "run_id", sqlite_where=_IS_LONG_ROOT, postgresql_where=_IS_LONG_ROOT),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    dag_name: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str] = mapped_column(Text)
    definition_hash: Mapped[str] = mapped_column(Text, ForeignKey("definitions.hash"))
    file_name: Mapped[str | None] = mapped_column(Text)
    dag_revision: Mapped[int | None]
    queue: Mapped[str] = mapped_column(Text)
    root_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"))
    parent_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"))
    trigger: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    params: Mapped[list[list[str]]] = mapped_column(OrderedJson)
    params_text: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(OrderedJson)
    status: Mapped[RunStatus]
    attempt: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_requested_by: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    max_active_runs: Mapped[int]
    scheduled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RunAttempt(Base):
    """An attempt of a run; only ``owner`` with the current fencing ``token``, which only grows, may write to it.

    The lease of an attempt is that of its owner's row in ``services``, so that a server renews one row instead of one
    for each run. ``host`` is boot id and pid namespace, joined by a colon; ``state`` is the engine's state without its
    nodes. ``takeovers`` counts the owners in a row that took the attempt over and were not seen to survive that.

    ``principal_id`` is the user whose rights count for the calls of an attempt of a root run and of its sub-runs, and
    ``principal_token_id`` the token that limits them; NULL is no limit.
    """

    __tablename__ = "run_attempts"
    __table_args__ = (
        CheckConstraint("status BETWEEN 0 AND 6", name="status_known"),
        CheckConstraint("number >= 1", name="counts_from_one"),
        CheckConstraint("closed_at IS NULL OR status IN (2, 3, 4, 6)", name="closed_only_when_over"),
        Index("uq_run_attempts_open", "run_id", unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
        Index("ix_run_attempts_owner", "owner", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
    )

    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[RunStatus]
    owner: Mapped[str | None] = mapped_column(Text, ForeignKey("services.id"))
    token: Mapped[int]
    host: Mapped[str | None] = mapped_column(Text)
    state: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    takeovers: Mapped[int] = mapped_column(server_default=text("0"))
    principal_id: Mapped[str | None] = mapped_column(Text)
    principal_token_id: Mapped[str | None] = mapped_column(Text)


class RunInput(Base):
    """Inputs of a run, which a server needs to adopt it.

    ``base_environment`` replaces the server's environment while a sub-run is loaded. In a run with secrets all columns
    are masked, and so are the values of dotenv files in any run; ``sealed`` has the unmasked values and the secrets,
    encrypted. ``pending`` is what has to be evaluated when the run begins, NULL once that was done. ``variables`` are
    those of the event of a trigger.
    """

    __tablename__ = "run_inputs"

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    params: Mapped[list[list[str]]] = mapped_column(OrderedJson)
    params_json: Mapped[str | None] = mapped_column(Text)  # the JSON text that the caller gave them as
    env: Mapped[list[list[str]]] = mapped_column(OrderedJson)
    dotenv: Mapped[list[list[str]]] = mapped_column(OrderedJson)
    work_dir: Mapped[str] = mapped_column(Text)
    base_environment: Mapped[dict[str, str] | None] = mapped_column(OrderedJson)
    keep_dir: Mapped[bool]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    source_directory: Mapped[str | None] = mapped_column(Text)
    pending: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    run_as: Mapped[str | None] = mapped_column(Text)
    variables: Mapped[list[list[str]] | None] = mapped_column(OrderedJson)


class RunEvent(Base):
    """An event in the history of a run: ``seq`` counts from 1 without gaps; rows are never changed or deleted alone."""

    __tablename__ = "run_events"

    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    position: Mapped[int | None]
    data: Mapped[dict[str, Json]] = mapped_column(OrderedJson)


class RunRequest(Base):
    """A stop or kill request for a run, which its owner turns into an event."""

    __tablename__ = "run_requests"
    __table_args__ = (
        CheckConstraint("kind IN ('stop', 'kill')", name="kind_known"),
        Index("ix_run_requests_run_id", "run_id"),
        Index(
            "ix_run_requests_waiting",
            "id",
            sqlite_where=text("handled_at IS NULL"),
            postgresql_where=text("handled_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    handled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SecretUse(Base):
    """A secret that an attempt had: where it was asked for, and which version was given, if its provider has any."""

    __tablename__ = "secret_uses"
    __table_args__ = (Index("ix_secret_uses_key", "provider", "key", "version"),)

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    version: Mapped[int | None]


class RunTag(Base):
    """A tag that the DAG had when the run was created; ``created_at`` is the run's.

    Tags, and names and values of params, are stored as keys (``dagbook.db.repositories.runs.search_index``).
    """

    __tablename__ = "run_tags"
    __table_args__ = (
        Index("ix_run_tags_tag", "tag", "created_at", "run_id"),
        {"sqlite_with_rowid": False},
    )

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    tag: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunParam(Base):
    """A parameter of a run, as in ``runs.params`` (secrets masked)."""

    __tablename__ = "run_params"
    __table_args__ = (
        Index("ix_run_params_name", "name", "value", "created_at", "run_id"),
        {"sqlite_with_rowid": False},
    )

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunError(Base):
    """Errors of the last finished attempt of a run and its nodes, one per line.

    The row of an attempt stays until the next attempt is finished.
    """

    __tablename__ = "run_errors"
    __table_args__ = (Index("ix_run_errors_created_at", "created_at", "run_id"),)

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    text: Mapped[str] = mapped_column(Text)
