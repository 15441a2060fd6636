"""Nodes, the steps and handlers of an attempt, and their output."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime
from dagbook.engine.status import NodeStatus
from dagbook.json_values import Json


class Node(Base):
    """A step (position 0 and up) or a handler (-1 to -6) in one attempt.

    ``detail`` has the engine's fields without a column, ``shown`` the evaluated command and arguments. ``sub_runs``
    lists the runs that the node called, in order: those of its ``current`` execution and of ``earlier`` ones. Output
    and calls with a secret are masked here; their unmasked values are encrypted in ``output_sealed``. ``log_attempt``
    is set for a node that a retry did not run again: the earlier attempt that has its log. ``ran`` is how its last
    execution was carried out, secrets masked; ``has_summary`` says that this execution has a row in ``summaries``.
    """

    __tablename__ = "nodes"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "attempt"], ["run_attempts.run_id", "run_attempts.number"], ondelete="CASCADE"),
        UniqueConstraint("run_id", "attempt", "handler", "name"),
        CheckConstraint("status BETWEEN 0 AND 6", name="status_known"),
        CheckConstraint("position >= -6 AND handler = (position < 0)", name="handlers_below_zero"),
        CheckConstraint(
            "finished_at IS NULL OR status NOT IN (0, 1) OR (status = 0 AND edited_at IS NOT NULL)",
            name="finished_only_when_settled",
        ),
        CheckConstraint("finished_at >= started_at", name="finished_after_started"),
        CheckConstraint("(edited_at IS NULL) = (edited_by IS NULL)", name="edited_by_somebody"),
    )

    run_id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    handler: Mapped[bool]
    status: Mapped[NodeStatus]
    execution: Mapped[int] = mapped_column(server_default=text("0"))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    executed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retry_count: Mapped[int] = mapped_column(server_default=text("0"))
    done_count: Mapped[int] = mapped_column(server_default=text("0"))
    repeated: Mapped[bool] = mapped_column(server_default=false())
    exit_code: Mapped[int | None]
    error: Mapped[str] = mapped_column(Text, server_default="")
    output_name: Mapped[str | None] = mapped_column(Text)
    output_value: Mapped[str | None] = mapped_column(Text)
    pid: Mapped[int | None]
    pid_started: Mapped[int | None] = mapped_column(BigInteger)
    spool: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    shown: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    sub_runs: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    output_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    log_attempt: Mapped[int | None]
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    edited_by: Mapped[str | None] = mapped_column(Text)
    approval: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    ran: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    has_summary: Mapped[bool] = mapped_column(server_default=false())


class Approval(Base):
    """What a step asked, and the decision: one row for each approval of an attempt.

    ``request`` has ``prompt``, ``input``, ``required`` and ``approvers``; ``decision`` has ``approved``, ``inputs`` and
    ``reason``. A row without a decision is open while its node is running. The owner of the run turns the decision into
    an event; the node then has both in its column ``approval``.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        CheckConstraint("(decided_at IS NULL) = (decision IS NULL)", name="decided_with_a_decision"),
        Index(
            "ix_approvals_open",
            "asked_at",
            sqlite_where=text("decided_at IS NULL"),
            postgresql_where=text("decided_at IS NULL"),
        ),
        Index(
            "ix_approvals_decided",
            "decided_at",
            sqlite_where=text("decided_at IS NOT NULL"),
            postgresql_where=text("decided_at IS NOT NULL"),
        ),
    )

    run_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    request: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(Text)
    decision: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)


class LogChunk(Base):
    """A chunk of the output of a node on one stream (1 stdout, 2 stderr).

    ``seq`` counts from 0 within the stream, ``ordinal`` over both streams; ``first_line`` counts from 1, ``line_count``
    is the number of newlines. ``byte_offset`` and ``byte_count`` refer to the step's output file. ``text`` is the
    output with secrets masked, truncated at the log limit; a long text is in ``packed`` instead
    (``dagbook.db.compression``). PostgreSQL cannot store NUL in text: the code that splits output into chunks replaces
    it first, for both databases, so that both return the same text.
    """

    __tablename__ = "log_chunks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "attempt", "position"], ["nodes.run_id", "nodes.attempt", "nodes.position"], ondelete="CASCADE"
        ),
        CheckConstraint("stream IN (1, 2)", name="stream_known"),
        CheckConstraint("line_count >= 0 AND byte_count >= 0", name="sizes_not_negative"),
    )

    run_id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stream: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordinal: Mapped[int]
    execution: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    first_line: Mapped[int]
    line_count: Mapped[int]
    byte_offset: Mapped[int] = mapped_column(BigInteger)
    byte_count: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    packed: Mapped[bytes | None] = mapped_column(LargeBinary)


class Summary(Base):
    """The Markdown text that the last execution of a node has written about itself, with secrets masked.

    The row of an earlier execution stays until the next one with a summary; ``nodes.has_summary`` tells whether it
    counts.
    """

    __tablename__ = "summaries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "attempt", "position"], ["nodes.run_id", "nodes.attempt", "nodes.position"], ondelete="CASCADE"
        ),
        CheckConstraint("length(text) <= 66000", name="text_short"),
    )

    run_id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)
