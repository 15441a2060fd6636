"""Checks of nodes, the steps and handlers of attempts, and of their logs."""

from __future__ import annotations

from sqlalchemy import and_, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.models import LogChunk, Node, Removal, Run, RunAttempt
from dagbook.db.repositories.invariants.check import (
    IS_FINISHED,
    NODE,
    NOT_EDITED,
    NOT_STARTED,
    OF_LAST_ATTEMPT,
    OF_RUN,
    RUN,
    RUNNING,
    SUCCEEDED,
    TERMINAL_NODE,
    Check,
)

_kept = aliased(Node)
_nodes = select(*NODE).join(Node, OF_RUN)
_last_nodes = select(*NODE).join(Node, OF_LAST_ATTEMPT)
_of_attempt = and_(RunAttempt.run_id == Node.run_id, RunAttempt.number == Node.attempt)
_is_step = case((Node.position >= 0, 1), else_=0)
_last_position = func.max(Node.position)

CHECKS = (
    Check(
        name="over-run-no-running-node",
        holds="No node of a finished run is running.",
        broken=_last_nodes.where(IS_FINISHED, Node.status == RUNNING),
    ),
    Check(
        name="closed-attempt-no-running-node",
        holds="No node of a closed attempt is running.",
        broken=_nodes.join(RunAttempt, _of_attempt).where(RunAttempt.closed_at.is_not(None), Node.status == RUNNING),
    ),
    Check(
        name="running-node-in-running-run",
        holds="A node runs only while its run is running.",
        broken=_last_nodes.add_columns(Run.status).where(Node.status == RUNNING, Run.status != RUNNING),
    ),
    Check(
        name="running-node-has-start",
        holds="A running node has a start.",
        broken=_nodes.where(Node.status == RUNNING, Node.started_at.is_(None)),
    ),
    Check(
        name="succeeded-run-began-all-steps",
        holds="A run succeeds only when each of its steps was started or skipped, unless it was edited by hand.",
        broken=_last_nodes.where(Run.status == SUCCEEDED, Node.status == NOT_STARTED, Node.position >= 0, NOT_EDITED),
    ),
    Check(
        name="node-ends-after-start",
        holds="No node ended before it started.",
        broken=_nodes.add_columns(Node.started_at, Node.finished_at).where(Node.finished_at < Node.started_at),
    ),
    Check(
        name="ended-node-is-settled",
        holds="A node with an end is terminal, unless it was edited by hand.",
        broken=_nodes.add_columns(Node.status).where(
            Node.finished_at.is_not(None), Node.status.not_in(TERMINAL_NODE), NOT_EDITED
        ),
    ),
    Check(
        name="settled-node-has-end",
        holds="A started node with a terminal status has an end.",
        broken=_nodes.add_columns(Node.status).where(
            Node.status.in_(TERMINAL_NODE), Node.started_at.is_not(None), Node.finished_at.is_(None)
        ),
    ),
    Check(
        name="node-ends-before-its-run",
        holds="No node ended after its run.",
        broken=_last_nodes.add_columns(Node.finished_at, Run.finished_at.label("run_finished_at")).where(
            IS_FINISHED, Node.finished_at > Run.finished_at
        ),
    ),
    Check(
        name="succeeded-node-was-executed",
        holds="A node succeeds only by an execution, unless it was edited by hand.",
        broken=_nodes.where(Node.status == SUCCEEDED, Node.execution == 0, NOT_EDITED),
    ),
    Check(
        name="kept-node-was-there",
        holds="A node that a retry keeps names an earlier attempt that has it.",
        broken=_nodes.add_columns(Node.log_attempt).where(
            Node.log_attempt.is_not(None),
            or_(
                Node.log_attempt >= Node.attempt,
                ~exists().where(
                    _kept.run_id == Node.run_id,
                    _kept.attempt == Node.log_attempt,
                    _kept.position == Node.position,
                    _kept.name == Node.name,
                ),
            ),
        ),
    ),
    Check(
        name="steps-without-gaps",
        holds="The steps of an attempt are numbered from 0 without gaps.",
        broken=select(*RUN, Node.attempt, func.sum(_is_step).label("steps"), _last_position.label("last"))
        .join(Node, OF_RUN)
        .group_by(Run.id, *RUN, Node.attempt)
        .having(func.sum(_is_step) > 0, _last_position != func.sum(_is_step) - 1),
    ),
    Check(
        name="attempts-have-the-same-nodes",
        holds="Each attempt of a run has the same nodes.",
        broken=select(*RUN, Node.name.label("node"), func.count().label("attempts"))
        .join(Node, OF_RUN)
        .group_by(Run.id, *RUN, Run.attempt, Node.position, Node.name)
        .having(func.count() != Run.attempt),
    ),
)


_of_node = and_(LogChunk.run_id == Node.run_id, LogChunk.attempt == Node.attempt, LogChunk.position == Node.position)
_key = (*RUN, LogChunk.attempt, LogChunk.position)
_chunks = select(*_key).join(LogChunk, LogChunk.run_id == Run.id)
_by_stream = _chunks.add_columns(LogChunk.stream, func.count().label("chunks")).group_by(Run.id, *_key, LogChunk.stream)
_being_deleted = select(Removal.run_id)  # of a run that is being deleted the logs are deleted first, stream by stream
_with_log = select(*NODE).join(Node, OF_RUN).join(LogChunk, _of_node).distinct()

LOG_CHECKS = (
    Check(
        name="log-without-gaps",
        holds="The chunks of a stream are numbered from 0 without gaps.",
        broken=_by_stream.having(or_(func.min(LogChunk.seq) != 0, func.max(LogChunk.seq) != func.count() - 1)),
    ),
    Check(
        name="log-adds-up",
        holds="The lines and bytes of a stream's chunks follow each other from the first ones on.",
        broken=_by_stream.having(
            or_(
                func.min(LogChunk.first_line) != 1,
                func.min(LogChunk.byte_offset) != 0,
                func.max(LogChunk.first_line + LogChunk.line_count) != func.sum(LogChunk.line_count) + 1,
                func.max(LogChunk.byte_offset + LogChunk.byte_count) != func.sum(LogChunk.byte_count),
            )
        ),
    ),
    Check(
        name="log-in-order",
        holds="The chunks of both streams of a node have one order without gaps, unless the run is being deleted.",
        broken=_chunks.where(func.coalesce(Run.root_id, Run.id).not_in(_being_deleted))
        .group_by(Run.id, *_key)
        .having(
            or_(
                func.min(LogChunk.ordinal) != 0,
                func.max(LogChunk.ordinal) != func.count() - 1,
                func.count(LogChunk.ordinal.distinct()) != func.count(),
            )
        ),
    ),
    Check(
        name="log-of-a-begun-node",
        holds="A node with a log was started.",
        broken=_with_log.where(or_(Node.started_at.is_(None), Node.execution == 0)),
    ),
    Check(
        name="log-of-a-known-execution",
        holds="No chunk is of an execution that its node has not reached.",
        broken=_with_log.add_columns(LogChunk.execution).where(LogChunk.execution > Node.execution),
    ),
    Check(
        name="kept-node-has-no-log",
        holds="A node that a retry keeps has no log; it names the attempt that has it.",
        broken=_with_log.where(Node.log_attempt.is_not(None)),
    ),
)
