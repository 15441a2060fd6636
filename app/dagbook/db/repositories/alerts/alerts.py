"""Open and past alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.alert import Alert, AlertChannel
from dagbook.db.models.definition import Dag
from dagbook.db.models.node import Approval, Node
from dagbook.db.models.queue import QueueEntry
from dagbook.db.models.run import Run
from dagbook.db.models.trigger import IS_DEAD, Trigger, TriggerEvent
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json

DAG = "dag"
TOLD, RESTORED = "told once", "restored"  # by what alerts are closed


class AlertSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert is about."""

    kind: str
    subject_kind: str
    subject: str


class NewAlert(AlertSubject, frozen=True, kw_only=True):
    """An alert to store; one with ``closed_at`` is told once and does not stay open."""

    opened_at: datetime
    last_at: datetime
    data: Mapping[str, Json]
    count: int = 1
    last_run_id: int | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None


class AlertRow(NewAlert, frozen=True, kw_only=True):
    """An alert; ``run_id`` is the name of its newest run, ``shared`` is of the channel that it is about."""

    id: int
    shared: bool | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    run_id: str | None

    @property
    def reason(self) -> str:
        """What is missing or lasts too long."""
        return str(self.data.get("reason", ""))

    @property
    def due_at(self) -> datetime | None:
        """The scheduled time that it is about."""
        return msgspec.convert(self.data.get("dueAt"), datetime | None)


class OverRow(AlertRow, frozen=True, kw_only=True):
    """An open alert that has to end, and by what."""

    over_by: str


class AlertRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run of an alert as it is now, with the first of its steps that failed."""

    dag_name: str
    run_id: str
    attempt: int
    status: RunStatus
    started_at: datetime | None
    finished_at: datetime | None
    failed_step: str | None


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are listed: open or past ones, of a kind, of a DAG, before a position, visible to a caller."""

    is_open: bool | None = None
    kind: str = ""
    dag: str = ""
    before: int | None = None
    visibility: Visibility = EVERYTHING


_is_open = Alert.closed_at.is_(None)
_about = aliased(AlertChannel)
_is_about = and_(Alert.subject_kind == "channel", _about.name == Alert.subject)
_select = (
    select(*columns(Alert, AlertRow), Run.run_id, _about.shared)
    .outerjoin(Run, Run.id == Alert.last_run_id)
    .outerjoin(_about, _is_about)
)
# Without the key, of which the rows of deliveries that are added take a lock in another order.
_lock = _select.with_for_update(of=Alert, key_share=True)
_of_subject = and_(Alert.subject_kind == bindparam("subject_kind"), Alert.subject == bindparam("subject"))
_failed_step = (
    select(Node.name)
    .where(Node.run_id == Run.id, Node.attempt == Run.attempt, Node.status == NodeStatus.FAILED, Node.position >= 0)
    .order_by(Node.position)
    .limit(1)
    .correlate(Run)
    .scalar_subquery()
)
_get_run = select(*columns(Run, AlertRun), _failed_step.label("failed_step")).where(Run.id == bindparam("run"))
_family = aliased(Run)
_is_waiting = exists().where(
    or_(_family.id == Alert.last_run_id, _family.root_id == Alert.last_run_id),
    _family.status == RunStatus.RUNNING,
    Approval.run_id == _family.id,
    Approval.attempt == _family.attempt,
    Approval.decided_at.is_(None),
    Node.run_id == Approval.run_id,
    Node.attempt == Approval.attempt,
    Node.position == Approval.position,
    Node.status == NodeStatus.RUNNING,
)
# That of a run without a stored DAG stays until a run of its name succeeds, or the run is deleted.
_lost_its_dag = and_(
    ~exists().where(Dag.dag_name == Alert.subject), or_(Alert.last_run_id.is_(None), Run.file_name.is_not(None))
)
_has_started = exists().where(
    _family.root_id.is_(None),
    _family.dag_name == Alert.subject,
    _family.created_at > Alert.last_at,
    _family.started_at.is_not(None),
)
_is_running = exists().where(_family.id == Alert.last_run_id, _family.status == RunStatus.RUNNING)
_is_queued = exists().where(QueueEntry.run_id == Alert.last_run_id)
_fails = exists().where(
    AlertChannel.name == Alert.subject, AlertChannel.enabled, AlertChannel.failing_since.is_not(None)
)
_trigger = Trigger.name == Alert.subject
_of_trigger = TriggerEvent.trigger_id == Trigger.id
_has_died = exists().where(_of_trigger, IS_DEAD, TriggerEvent.settled_at >= Alert.opened_at)
_has_started_since = exists().where(
    _of_trigger, TriggerEvent.received_at > Alert.last_at, TriggerEvent.state == "started"
)
_trigger_fails = exists().where(_trigger, or_(Trigger.problem.is_not(None), and_(_has_died, ~_has_started_since)))
# What ends an alert without an event, NULL while nothing does. The watch ends those of the other kinds.
_over_by = case(
    (Alert.kind == "waiting", case((~_is_waiting, "decided"))),
    (and_(Alert.kind == "missed", _has_started), "started"),
    (and_(Alert.kind == "slow", ~_is_running), "the run has ended"),
    (and_(Alert.kind == "queued", ~_is_queued), "the run waits no more"),
    (and_(Alert.kind == "channel", ~_fails), "works again"),
    (and_(Alert.kind == "trigger", ~_trigger_fails), case((exists().where(_trigger), "works again"), else_="deleted")),
    (and_(Alert.subject_kind == DAG, _lost_its_dag), "deleted"),
)
_over = (_is_open, _over_by.is_not(None))


def find_open(connection: WriteConnection, subject_kind: str, subject: str, *kinds: str) -> Sequence[AlertRow]:
    """Return and lock the open alerts of these kinds about a subject."""
    statement = _lock.where(_of_subject, Alert.kind.in_(kinds), _is_open).order_by(Alert.id)
    return all_rows(connection, AlertRow, statement, subject_kind=subject_kind, subject=subject)


def find_watched(connection: ReadConnection, *kinds: str) -> Sequence[AlertRow]:
    """Return the open alerts of these kinds."""
    return all_rows(connection, AlertRow, _select.where(Alert.kind.in_(kinds), _is_open).order_by(Alert.id))


def get_latest(connection: WriteConnection, about: AlertSubject, since: datetime) -> AlertRow | None:
    """Return and lock the last alert of a kind about a subject that has ended since a time, and may go on."""
    ended = (Alert.closed_at >= since, Alert.closed_by.not_in((TOLD, RESTORED)), Alert.kind == about.kind)
    statement = _lock.where(_of_subject, *ended).order_by(Alert.id.desc()).limit(1)
    return first_row(connection, AlertRow, statement, subject_kind=about.subject_kind, subject=about.subject)


def add(connection: WriteConnection, alert: NewAlert) -> int:
    """Store an alert, and return its key."""
    added = insert(Alert).values(msgspec.structs.asdict(alert)).returning(Alert.id)
    return int(connection.execute(added).scalar_one())


def change(connection: WriteConnection, alert_id: int, **values: object) -> None:
    """Set columns of a locked alert."""
    connection.execute(update(Alert).where(Alert.id == alert_id).values(values))


def has_over(connection: ReadConnection) -> bool:
    """Whether an alert has to end without an event, such as that of a DAG that is gone."""
    return connection.scalar(_select.where(*_over).with_only_columns(Alert.id).limit(1)) is not None


def find_over(connection: WriteConnection) -> Sequence[OverRow]:
    """Return and lock these alerts."""
    return all_rows(connection, OverRow, _lock.add_columns(_over_by.label("over_by")).where(*_over))


def count_open(connection: ReadConnection) -> int:
    """Count the open alerts."""
    return connection.scalar(select(func.count()).select_from(Alert).where(_is_open)) or 0


def lock(connection: WriteConnection, alert_id: int) -> AlertRow | None:
    """Return and lock an alert."""
    return first_row(connection, AlertRow, _lock.where(Alert.id == alert_id))


def get(connection: ReadConnection, alert_id: int, visibility: Visibility = EVERYTHING) -> AlertRow | None:
    """Return a visible alert."""
    return first_row(connection, AlertRow, _select.where(Alert.id == alert_id, *_narrow(visibility)))


def get_run(connection: ReadConnection, run: int) -> AlertRun | None:
    """Return the run of an alert; None if it was deleted."""
    return first_row(connection, AlertRun, _get_run, run=run)


def find_tags(connection: ReadConnection, run: int) -> list[str]:
    """Return the tags that the DAG of a run had."""
    return list(connection.scalar(select(Run.tags).where(Run.id == run)) or ())


def find_page(connection: ReadConnection, wanted: AlertFilter, most: int) -> Sequence[AlertRow]:
    """Return a page of alerts, the newest first."""
    conditions = _narrow(wanted.visibility)
    if wanted.is_open is not None:
        conditions.append(_is_open if wanted.is_open else Alert.closed_at.is_not(None))
    if wanted.kind:
        conditions.append(Alert.kind == wanted.kind)
    if wanted.dag:
        conditions += [Alert.subject_kind == DAG, Alert.subject == wanted.dag]
    if wanted.before is not None:
        conditions.append(Alert.id < wanted.before)
    return all_rows(connection, AlertRow, _select.where(*conditions).order_by(Alert.id.desc()).limit(most))


def _narrow(visibility: Visibility) -> list[ColumnElement[bool]]:
    """Return the conditions that alerts are visible; what is not about a DAG is, to callers who see everything."""
    return [Alert.subject_kind == DAG, *dag_access.narrow(Alert.subject, visibility)] if visibility else []
