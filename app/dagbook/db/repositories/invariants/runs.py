"""Checks of runs, their attempts, owners, history and queue entries."""

from __future__ import annotations

from sqlalchemy import Text, cast, exists, func, literal, or_, select, type_coerce
from sqlalchemy.orm import aliased

from dagbook.db.models import (
    Definition,
    Hold,
    Node,
    QueueEntry,
    Removal,
    Run,
    RunAttempt,
    RunEvent,
    RunInput,
    RunRequest,
    Service,
)
from dagbook.db.repositories.invariants.check import (
    ATTEMPT,
    IS_FINISHED,
    IS_NOT_FINISHED,
    LAST_ATTEMPT,
    QUEUED,
    RUN,
    RUNNING,
    TERMINAL,
    Check,
    ago,
    minute_before,
)

_caller, _living = aliased(Run), aliased(Service)
_attempts = select(*ATTEMPT).join(RunAttempt, RunAttempt.run_id == Run.id)
_last_attempts = select(*ATTEMPT).join(RunAttempt, LAST_ATTEMPT)
_is_alive = (Service.stopped_at.is_(None), Service.lease_until >= ago("now"))
_somebody_could_take_over = exists().where(
    _living.stopped_at.is_(None),
    _living.lease_until >= ago("now"),
    _living.started_at < ago("grace_ago"),
    ~exists(select(Hold.id)),
)

CHECKS = (
    Check(
        name="over-run-closed-attempt",
        holds="A finished run has no open attempt.",
        broken=_attempts.where(IS_FINISHED, RunAttempt.closed_at.is_(None)),
    ),
    Check(
        name="open-run-open-attempt",
        holds="The last attempt of a run that is not finished is open.",
        broken=_last_attempts.where(IS_NOT_FINISHED, RunAttempt.closed_at.is_not(None)),
    ),
    Check(
        name="run-has-its-attempt",
        holds="A run has the attempt that it names as its last one.",
        broken=select(*RUN, Run.attempt).outerjoin(RunAttempt, LAST_ATTEMPT).where(RunAttempt.run_id.is_(None)),
    ),
    Check(
        name="attempts-without-gaps",
        holds="The attempts of a run are numbered from 1 to its last one.",
        broken=select(*RUN, func.count().label("attempts"), func.max(RunAttempt.number).label("last"))
        .join(RunAttempt, RunAttempt.run_id == Run.id)
        .group_by(Run.id, *RUN, Run.attempt)
        .having(
            or_(
                func.min(RunAttempt.number) != 1,
                func.max(RunAttempt.number) != func.count(),
                func.max(RunAttempt.number) != Run.attempt,
            )
        ),
    ),
    Check(
        name="run-and-attempt-agree",
        holds="A run has the status of its last attempt.",
        broken=_last_attempts.add_columns(Run.status, RunAttempt.status.label("attempt_status")).where(
            Run.status != RunAttempt.status
        ),
    ),
    Check(
        name="one-open-attempt",
        holds="No run has two open attempts.",
        broken=select(*RUN, func.count().label("open"))
        .join(RunAttempt, RunAttempt.run_id == Run.id)
        .where(RunAttempt.closed_at.is_(None))
        .group_by(Run.id, *RUN)
        .having(func.count() > 1),
    ),
    Check(
        name="earlier-attempts-over",
        holds="Attempts before the last one are finished and closed.",
        broken=_attempts.add_columns(RunAttempt.status).where(
            RunAttempt.number < Run.attempt, or_(RunAttempt.status.not_in(TERMINAL), RunAttempt.closed_at.is_(None))
        ),
    ),
    Check(
        name="run-has-inputs",
        holds="A run has the inputs that it was started with.",
        broken=select(*RUN).outerjoin(RunInput, RunInput.run_id == Run.id).where(RunInput.run_id.is_(None)),
    ),
    Check(
        name="run-has-definition",
        holds="A run has the definition that it works from.",
        broken=select(*RUN, Run.definition_hash)
        .outerjoin(Definition, Definition.hash == Run.definition_hash)
        .where(Definition.hash.is_(None)),
    ),
    Check(
        name="run-ends-after-start",
        holds="No run ended before it started.",
        broken=select(*RUN, Run.started_at, Run.finished_at).where(Run.finished_at < Run.started_at),
    ),
    Check(
        name="over-run-has-end",
        holds="A finished run has an end.",
        broken=select(*RUN, Run.status).where(IS_FINISHED, Run.finished_at.is_(None)),
    ),
    Check(
        name="open-run-has-no-end",
        holds="A run that is not finished has no end.",
        broken=select(*RUN, Run.status).where(IS_NOT_FINISHED, Run.finished_at.is_not(None)),
    ),
    Check(
        name="running-run-has-start",
        holds="A running run has a start.",
        broken=select(*RUN).where(Run.status == RUNNING, Run.started_at.is_(None)),
    ),
    Check(
        name="run-has-owner",
        holds="An active run that is not queued has an owner.",
        broken=_last_attempts.where(
            RunAttempt.closed_at.is_(None), RunAttempt.status != QUEUED, RunAttempt.owner.is_(None)
        ),
    ),
    Check(
        name="queued-run-has-no-owner",
        holds="A queued run has no owner.",
        broken=_attempts.add_columns(RunAttempt.owner).where(
            RunAttempt.status == QUEUED, RunAttempt.owner.is_not(None)
        ),
    ),
    Check(
        name="owner-lives",
        holds="While a server takes runs over, none belongs to one whose lease ended longer than the orphan grace ago.",
        broken=_attempts.add_columns(RunAttempt.owner, Service.lease_until)
        .join(Service, Service.id == RunAttempt.owner)
        .where(RunAttempt.closed_at.is_(None), Service.lease_until < ago("grace_ago"), _somebody_could_take_over),
    ),
    Check(
        name="sub-run-in-its-callers-tree",
        holds="The root of a sub-run is that of the run that called it.",
        broken=select(*RUN, _caller.dag_name.label("caller"), _caller.run_id.label("caller_run_id"))
        .join(_caller, _caller.id == Run.parent_id)
        .where(Run.root_id != func.coalesce(_caller.root_id, _caller.id)),
    ),
    Check(
        name="sub-run-ends-with-its-caller",
        holds="No sub-run is active an hour after the end of the run that called it.",
        broken=select(*RUN, _caller.dag_name.label("caller"), _caller.run_id.label("caller_run_id"))
        .join(_caller, _caller.id == Run.parent_id)
        .where(IS_NOT_FINISHED, _caller.status.in_(TERMINAL), _caller.finished_at < ago("hour_ago")),
    ),
    Check(
        name="only-what-is-over-goes",
        holds="A run that is being deleted in several transactions is a finished root run.",
        broken=select(*RUN, Run.status)
        .join(Removal, Removal.run_id == Run.id)
        .where(or_(IS_NOT_FINISHED, Run.root_id.is_not(None))),
    ),
    Check(
        name="stop-answered-before-the-end",
        holds="A stop was answered if its run continued for a minute.",
        broken=select(*RUN, RunRequest.kind, RunRequest.asked_at, Run.finished_at)
        .join(RunRequest, RunRequest.run_id == Run.id)
        .where(IS_FINISHED, RunRequest.handled_at.is_(None), RunRequest.asked_at < minute_before(Run.finished_at)),
    ),
    Check(
        name="stop-is-heard",
        holds="A stop is answered within a minute while the run's owner is alive.",
        broken=select(*RUN, RunRequest.kind, RunRequest.asked_at)
        .join(RunRequest, RunRequest.run_id == Run.id)
        .join(RunAttempt, LAST_ATTEMPT)
        .join(Service, Service.id == RunAttempt.owner)
        .where(RunRequest.handled_at.is_(None), RunAttempt.closed_at.is_(None), *_is_alive)
        .where(RunRequest.asked_at < ago("minute_ago"), Service.started_at < ago("minute_ago")),
    ),
)


_entries = select(*RUN, QueueEntry.queue).join(QueueEntry, QueueEntry.run_id == Run.id)

QUEUE_CHECKS = (
    Check(
        name="queued-run-has-a-place",
        holds="A queued run has an entry in a queue.",
        broken=select(*RUN, Run.queue)
        .outerjoin(QueueEntry, QueueEntry.run_id == Run.id)
        .where(Run.status == QUEUED, QueueEntry.id.is_(None)),
    ),
    Check(
        name="place-of-a-queued-run",
        holds="Only queued runs have an entry in a queue.",
        broken=_entries.add_columns(Run.status).where(Run.status != QUEUED),
    ),
    Check(
        name="place-in-the-runs-queue",
        holds="A run waits in the queue that it names.",
        broken=_entries.add_columns(Run.queue.label("run_queue")).where(QueueEntry.queue != Run.queue),
    ),
    Check(
        name="no-sub-run-waits",
        holds="No sub-run waits in a queue: its root run counts.",
        broken=_entries.where(Run.root_id.is_not(None)),
    ),
)


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

HISTORY_CHECKS = (
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
