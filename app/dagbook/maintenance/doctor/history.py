"""Checks of the history of runs."""

from __future__ import annotations

from sqlalchemy import Text, cast, exists, func, literal, or_, select, type_coerce
from sqlalchemy.orm import aliased

from dagbook.db.models import Node, Run, RunEvent
from dagbook.maintenance.doctor.check import IS_FINISHED, RUN, Check

_EDIT = '%"edited_by":%'
_CLOSED = '%"phase":"closed"%'

_end = aliased(RunEvent)
_text = type_coerce(RunEvent.data, Text)
_told_status = literal('%"status":').concat(cast(Run.status, Text)).concat("%")
_closing = (
    RunEvent.run_id == Run.id,
    RunEvent.attempt == Run.attempt,
    RunEvent.position.is_(None),
    _text.like(_CLOSED),
)
_events = select(*RUN, RunEvent.seq).join(RunEvent, RunEvent.run_id == Run.id)

CHECKS = (
    Check(
        name="history-without-gaps",
        holds="The events of a run are numbered from 1 without gaps, and there is one at least.",
        broken=select(*RUN, func.count(RunEvent.seq).label("events"), func.max(RunEvent.seq).label("last"))
        .outerjoin(RunEvent, RunEvent.run_id == Run.id)
        .group_by(Run.id, *RUN)
        .having(
            or_(
                func.count(RunEvent.seq) == 0,
                func.min(RunEvent.seq) != 1,
                func.max(RunEvent.seq) != func.count(RunEvent.seq),
            )
        ),
    ),
    Check(
        name="history-begins-with-the-run",
        holds="The first event of a run records how it was created.",
        broken=_events.where(RunEvent.seq == 1, or_(RunEvent.position.is_not(None), _text.not_like('%"accepted":%'))),
    ),
    Check(
        name="history-tells-the-end",
        holds="The history of a finished run records that its last attempt ended with the status of the run.",
        broken=select(*RUN, Run.status).where(IS_FINISHED, ~exists().where(*_closing, _text.like(_told_status))),
    ),
    Check(
        name="history-ends-with-the-run",
        holds="Nothing happens to the nodes of a run after its end, except by hand.",
        broken=_events.where(
            IS_FINISHED,
            RunEvent.attempt == Run.attempt,
            RunEvent.position.is_not(None),
            _text.not_like(_EDIT),
            exists().where(
                _end.run_id == RunEvent.run_id,
                _end.attempt == RunEvent.attempt,
                _end.seq < RunEvent.seq,
                _end.position.is_(None),
                type_coerce(_end.data, Text).like(_CLOSED),
            ),
        ),
    ),
    Check(
        name="history-knows-its-nodes",
        holds="Each event about a node is about one that its attempt has.",
        broken=_events.add_columns(RunEvent.position).where(
            RunEvent.position.is_not(None),
            RunEvent.attempt <= Run.attempt,  # a dequeued attempt left nothing else
            ~exists().where(
                Node.run_id == RunEvent.run_id, Node.attempt == RunEvent.attempt, Node.position == RunEvent.position
            ),
        ),
    ),
)
