"""Checks of step logs."""

from __future__ import annotations

from sqlalchemy import and_, func, or_, select

from dagbook.db.models import LogChunk, Node, Removal, Run
from dagbook.maintenance.doctor.check import NODE, OF_RUN, RUN, Check

_of_node = and_(LogChunk.run_id == Node.run_id, LogChunk.attempt == Node.attempt, LogChunk.position == Node.position)
_key = (*RUN, LogChunk.attempt, LogChunk.position)
_chunks = select(*_key).join(LogChunk, LogChunk.run_id == Run.id)
_by_stream = _chunks.add_columns(LogChunk.stream, func.count().label("chunks")).group_by(Run.id, *_key, LogChunk.stream)
_being_deleted = select(Removal.run_id)  # of a run that is being deleted the logs are deleted first, stream by stream
_with_log = select(*NODE).join(Node, OF_RUN).join(LogChunk, _of_node).distinct()

CHECKS = (
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
