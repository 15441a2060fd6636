"""Schedule slots and their outcomes, the last handled minute, and settings of DAGs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)

from dagbook.db.database import ALERTS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.errors import Conflict
from dagbook.db.models.alert import AlertEvent, AlertRule
from dagbook.db.models.definition import Dag, DagRevision, Definition, is_suspended
from dagbook.db.models.run import IS_ACTIVE, Run
from dagbook.db.models.schedule import DagSetting, ScheduleMark, ScheduleSlot
from dagbook.db.prepared import Prepared, update_by
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.statements import all_rows, columns, first_row, insert_into, put
from dagbook.db.types import CatchUp, OrderedJson, SlotResult, UtcDateTime
from dagbook.engine.status import RunStatus
from dagbook.spec.time.schedule import Kind

START: Final = "start"
STOP: Final = "stop"
RESTART: Final = "restart"
STARTED: Final = "started"
QUEUED: Final = "queued"
STOPPED: Final = "stopped"
RESTARTING: Final = "restarting"
RESTARTED: Final = "restarted"
SKIPPED: Final = "skipped"
SUSPENDED: Final = "suspended"
MISSED: Final = "missed"
FAILED: Final = "failed"
_AT_A_TIME = 500  # values per statement
_MARK = 1
_CHANGED = ("outcome", "reason", "run_id", "settled_at")
_SLOT_COLUMNS = ("dag_id", "kind", "minute")

_SLOT_KEY = (ScheduleSlot.dag_id, ScheduleSlot.kind, ScheduleSlot.minute)
_IS_SLOT = (
    ScheduleSlot.dag_id == bindparam("b_dag"),
    ScheduleSlot.kind == bindparam("b_kind"),
    ScheduleSlot.minute == bindparam("b_minute"),
)
# Literals, as in the conditions of the partial indexes.
_IS_RESTARTING = text("schedule_slots.outcome = 'restarting'")
_IS_PENDING = text("schedule_slots.outcome = 'suspended' AND schedule_slots.made_up")


class ScheduledDagRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG with its schedule settings."""

    id: int
    file_name: str
    dag_name: str
    definition_hash: str
    suspended: bool
    suspend_reason: str | None
    suspended_until: datetime | None
    suspended_by: str | None
    created_at: datetime
    updated_at: datetime
    catchup: CatchUp | None
    catchup_window_seconds: int | None


_find_dags = (
    select(*columns(Dag, ScheduledDagRow, is_suspended()), DagSetting.catchup, DagSetting.catchup_window_seconds)
    .outerjoin(DagSetting, DagSetting.dag_id == Dag.id)
    .order_by(Dag.id)
)
_find_texts = select(Definition.hash, Definition.spec).where(Definition.hash.in_(bindparam("hashes", expanding=True)))
_find_earlier = (
    select(Definition.hash, Definition.spec)
    .join(DagRevision, DagRevision.definition_hash == Definition.hash)
    .where(DagRevision.dag_id == bindparam("dag"))
    .order_by(DagRevision.number.desc())
    .limit(bindparam("most"))
)
_find_outcomes = select(*_SLOT_KEY, ScheduleSlot.outcome).where(
    tuple_(*_SLOT_KEY).in_(bindparam("keys", expanding=True))
)
_find_handled = select(*_SLOT_KEY).where(
    ScheduleSlot.minute > bindparam("after"), ScheduleSlot.minute <= bindparam("until")
)
_is_handled = select(literal(1)).where(*_IS_SLOT)
_find_restarting = (
    select(*_SLOT_KEY, ScheduleSlot.file_name, ScheduleSlot.restarts)
    .where(_IS_RESTARTING)
    .order_by(ScheduleSlot.minute)
)
_find_active = (
    select(Run.id)
    .where(Run.dag_name == bindparam("name"), Run.status == RunStatus.RUNNING, Run.root_id.is_(None), IS_ACTIVE)
    .order_by(Run.id)
)
_skip = Prepared(insert_into(ScheduleSlot).on_conflict_do_nothing())
_add = Prepared(insert(ScheduleSlot))
# Of what is stored: another server may have started the slot.
_add_missed = Prepared(
    insert_into(AlertEvent)
    .from_select(
        ("key", "at", "kind", "subject_kind", "subject", "data"),
        select(
            bindparam("key", type_=Text),
            bindparam("at", type_=UtcDateTime),
            literal_column("'missed'"),
            literal_column("'dag'"),
            Dag.dag_name,
            bindparam("data", type_=OrderedJson),
        )
        .join(ScheduleSlot, ScheduleSlot.dag_id == Dag.id)
        .where(
            Dag.id == bindparam("dag", type_=BigInteger),
            ScheduleSlot.kind == bindparam("slot", type_=Text),
            ScheduleSlot.minute == bindparam("minute", type_=UtcDateTime),
            ScheduleSlot.outcome.in_([literal_column("'missed'"), literal_column("'failed'")]),
            select(literal_column("1")).where(AlertRule.enabled).exists(),
        ),
    )
    .on_conflict_do_nothing()
)
_finish = Prepared(update_by(ScheduleSlot, _CHANGED, *_SLOT_COLUMNS).where(_IS_RESTARTING))
_resume = Prepared(update_by(ScheduleSlot, _CHANGED, *_SLOT_COLUMNS).where(_IS_PENDING))
_drop_pending = Prepared(update_by(ScheduleSlot, ["made_up"], *_SLOT_COLUMNS).where(_IS_PENDING))
_find_pending = select(*_SLOT_KEY).where(_IS_PENDING).order_by(ScheduleSlot.minute)


class RestartingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A slot whose run is being restarted."""

    dag_id: int
    kind: Kind
    minute: datetime
    file_name: str
    restarts: int


class SlotRow(msgspec.Struct, frozen=True, kw_only=True):
    """A handled slot with the run that it started."""

    dag_id: int
    kind: Kind
    minute: datetime
    file_name: str
    outcome: SlotResult
    reason: str | None
    restarts: int | None
    made_up: bool
    settled_at: datetime
    run_id: str | None
    dag_name: str | None


class MissedStarts(msgspec.Struct, frozen=True, kw_only=True):
    """The scheduled starts of a DAG that did not happen: how many, and when the last one was due."""

    file_name: str
    dag_name: str | None
    outcome: SlotResult
    starts: int
    last: datetime


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """Schedule settings of a DAG."""

    dag_id: int
    catchup: CatchUp
    catchup_window_seconds: int
    updated_at: datetime
    updated_by: str | None


class SlotKey(msgspec.Struct, frozen=True, order=True):
    """A minute at which a start, stop or restart of a DAG is due."""

    dag: int
    kind: Kind
    minute: datetime


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot to handle; ``awaiting_restart`` marks a restart whose new run is not started yet.

    ``pending`` marks a start that a pause of everything has suspended, and that is made up now.
    """

    key: SlotKey
    file_name: str
    catch_up: bool = False
    awaiting_restart: bool = False
    pending: bool = False
    zone: ZoneInfo | None = None  # of the expression that is due then
    of_batch: bool = False  # which may take a time that passed without a run, or whose run is ``replaces``
    replaces: int | None = None

    @property
    def open_outcome(self) -> SlotResult | None:
        """The stored outcome of the slot as long as it is open; None for most, which have no row."""
        if self.awaiting_restart:
            return RESTARTING
        return SUSPENDED if self.pending else None

    @property
    def scheduled_at(self) -> datetime | None:
        """Its minute in the zone of the schedule, if that is known."""
        return None if self.zone is None else self.key.minute.astimezone(self.zone)


class SlotOutcome(msgspec.Struct, frozen=True):
    """Outcome of a slot: ``run`` is the started run, ``restarts`` the run that is stopped for it."""

    slot: Slot
    outcome: SlotResult
    at: datetime
    reason: str = ""
    run: int | None = None
    restarts: int | None = None


def find_dags(connection: ReadConnection) -> Sequence[ScheduledDagRow]:
    """Return all stored DAGs with their settings, without their texts."""
    return all_rows(connection, ScheduledDagRow, _find_dags)


def find_texts(connection: ReadConnection, hashes: Sequence[str]) -> dict[str, str]:
    """Return the texts of definitions by hash; a redacted one is empty."""
    found: dict[str, str] = {}
    for first in range(0, len(hashes), _AT_A_TIME):
        rows = connection.execute(_find_texts, {"hashes": list(hashes[first : first + _AT_A_TIME])})
        found |= {row.hash: row.spec or "" for row in rows}
    return found


def find_earlier_texts(connection: ReadConnection, dag: int, most: int) -> list[str]:
    """Return the texts of a DAG's last revisions, newest first, without redacted ones."""
    return [row.spec for row in connection.execute(_find_earlier, {"dag": dag, "most": most}) if row.spec]


# -- slots -------------------------------------------------------------------------------------------------------


def find_outcomes(connection: ReadConnection, keys: Sequence[SlotKey]) -> dict[SlotKey, SlotResult]:
    """Return the outcomes of those slots that are handled."""
    found: dict[SlotKey, SlotResult] = {}
    for first in range(0, len(keys), _AT_A_TIME):
        values = [(key.dag, key.kind, key.minute) for key in keys[first : first + _AT_A_TIME]]
        for dag, kind, minute, outcome in connection.execute(_find_outcomes, {"keys": values}):
            found[SlotKey(dag, kind, minute)] = outcome
    return found


def find_handled(connection: ReadConnection, after: datetime, until: datetime) -> set[SlotKey]:
    """Return the handled slots of a time window."""
    rows = connection.execute(_find_handled, {"after": after, "until": until})
    return {SlotKey(dag, kind, minute) for dag, kind, minute in rows}


def is_handled(connection: ReadConnection, key: SlotKey) -> bool:
    """Whether another server has handled a slot; always False on SQLite, which has one server."""
    if connection.dialect.name != "postgresql":
        return False
    slot = {"b_dag": key.dag, "b_kind": key.kind, "b_minute": key.minute}
    return connection.execute(_is_handled, slot).first() is not None


def complete(connection: WriteConnection, outcomes: Iterable[SlotOutcome]) -> None:
    """Store outcomes whose runs are already inserted; raises Conflict when another server was faster.

    Slots are written in one order, so that two servers cannot deadlock.
    """
    found = sorted(outcomes, key=lambda one: one.slot.key)
    for one in found:
        if one.slot.of_batch:
            _take_over(connection, one)
    ordered = [one for one in found if not one.slot.of_batch]
    _add.execute_many(connection, [_row(one) for one in ordered if one.slot.open_outcome is None])
    _finish.execute_many(connection, [_changes(one) for one in ordered if one.slot.awaiting_restart])
    _resume.execute_many(connection, [_changes(one) for one in ordered if one.slot.pending])


def _take_over(connection: WriteConnection, outcome: SlotOutcome) -> None:
    """Store the outcome of a slot that a batch has: of one that is there if it has no run, or the one replaced."""
    if claim(connection, outcome):
        return
    key, row = outcome.slot.key, _row(outcome)
    is_free = or_(ScheduleSlot.run_id.is_(None), ScheduleSlot.run_id == outcome.slot.replaces)
    slot = update(ScheduleSlot).where(is_free, *_IS_SLOT).values({name: row[name] for name in (*_CHANGED, "made_up")})
    if connection.execute(slot, {"b_dag": key.dag, "b_kind": key.kind, "b_minute": key.minute}).rowcount != 1:
        raise Conflict(f"the {key.kind} of {outcome.slot.file_name} at {key.minute} has a run")


def skip(connection: WriteConnection, outcomes: Iterable[SlotOutcome]) -> None:
    """Store outcomes of slots without a run, except slots that another server has handled.

    If a rule of alerts is enabled, a start that was missed, or that has failed, is an event of the same commit.
    """
    ordered = sorted(outcomes, key=lambda one: one.slot.key)
    _skip.execute_many(connection, [_row(one) for one in ordered if not one.slot.pending])
    _resume.execute_many(connection, [_changes(one) for one in ordered if one.slot.pending])
    missed = [_event(one) for one in ordered if one.outcome in (MISSED, FAILED) and one.slot.key.kind != STOP]
    if missed:
        _add_missed.execute_many(connection, missed)
        mark_changed(connection, ALERTS)


def claim(connection: WriteConnection, outcome: SlotOutcome) -> bool:
    """Store the outcome of one slot; False when another server has handled it."""
    added = insert_into(ScheduleSlot).values(**_row(outcome)).on_conflict_do_nothing().returning(ScheduleSlot.dag_id)
    return connection.execute(added).first() is not None


def _row(outcome: SlotOutcome) -> dict[str, object]:
    slot = outcome.slot
    return {
        "dag_id": slot.key.dag,
        "kind": slot.key.kind,
        "minute": slot.key.minute,
        "file_name": slot.file_name,
        "outcome": outcome.outcome,
        "reason": outcome.reason or None,
        "run_id": outcome.run,
        "restarts": outcome.restarts,
        "made_up": slot.catch_up,
        "settled_at": outcome.at,
    }


def _event(outcome: SlotOutcome) -> dict[str, object]:
    key, due_at = outcome.slot.key, outcome.slot.key.minute.astimezone(UTC).isoformat()
    return {
        "key": f"slot/{key.dag}/{due_at}",
        "at": outcome.at,
        "data": {"reason": outcome.reason, "dueAt": due_at},
        "dag": key.dag,
        "slot": key.kind,
        "minute": key.minute,
    }


def _changes(outcome: SlotOutcome) -> dict[str, object]:
    key = outcome.slot.key
    changed = {name: _row(outcome)[name] for name in _CHANGED}
    return {"b_dag_id": key.dag, "b_kind": key.kind, "b_minute": key.minute, **changed}


def finish(connection: WriteConnection, outcome: SlotOutcome) -> None:
    """Store the outcome of a restart, unless another server has stored one."""
    _finish.execute_many(connection, [_changes(outcome)])


def find_restarting(connection: ReadConnection) -> Sequence[RestartingRow]:
    """Return the slots of restarts whose new run is not started yet."""
    return all_rows(connection, RestartingRow, _find_restarting)


def find_pending(connection: ReadConnection) -> list[SlotKey]:
    """Return the starts that a pause of everything has suspended, and that are made up when it has ended."""
    return [SlotKey(*row) for row in connection.execute(_find_pending)]


def drop_pending(connection: WriteConnection, keys: Iterable[SlotKey]) -> None:
    """Store that these starts are not made up; they stay suspended."""
    rows = [{"b_dag_id": key.dag, "b_kind": key.kind, "b_minute": key.minute, "made_up": False} for key in keys]
    _drop_pending.execute_many(connection, rows)


def find_running(connection: ReadConnection, dag_name: str) -> list[int]:
    """Return the keys of the running root runs of a DAG name, oldest first."""
    return [row.id for row in connection.execute(_find_active, {"name": dag_name})]


def find_page(
    connection: ReadConnection,
    dag: int | None,
    file_name: str | None,
    visibility: Visibility,
    *,
    offset: int,
    limit: int,
) -> Sequence[SlotRow]:
    """Return slots, newest first, with their runs: of all visible DAGs, or of one and earlier with its file name."""
    statement = (
        select(
            *(column for column in ScheduleSlot.__table__.columns if column.name != "run_id"),
            Run.run_id,
            Run.dag_name,
        )
        .outerjoin(Run, and_(Run.id == ScheduleSlot.run_id, *dag_access.narrow(Run.dag_name, visibility)))
        .where(*_of_dag(dag, file_name, visibility))
        .order_by(ScheduleSlot.minute.desc(), ScheduleSlot.dag_id, ScheduleSlot.kind)
    )
    return all_rows(connection, SlotRow, statement.offset(offset).limit(limit))


def count(connection: ReadConnection, dag: int | None, file_name: str | None, visibility: Visibility) -> int:
    """Count the slots that ``find_page`` returns."""
    statement = select(func.count()).select_from(ScheduleSlot).where(*_of_dag(dag, file_name, visibility))
    return connection.execute(statement).scalar() or 0


def find_missed(
    connection: ReadConnection, since: datetime, before: datetime, visibility: Visibility, most: int
) -> list[MissedStarts]:
    """Return the visible starts of a time range that did not happen, by DAG and outcome, those first that are last due.

    Only the newest ``most`` slots are read.
    """
    visible = dag_access.narrow(func.coalesce(Dag.dag_name, ScheduleSlot.file_name), visibility)
    last, dag_name = func.max(ScheduleSlot.minute).label("last"), func.max(Dag.dag_name).label("dag_name")
    counted = select(ScheduleSlot.file_name, dag_name, ScheduleSlot.outcome, func.count().label("starts"), last)
    newest, missed = (
        columns.outerjoin(Dag, Dag.id == ScheduleSlot.dag_id).where(ScheduleSlot.minute < before, *visible)
        for columns in (select(ScheduleSlot.minute), counted)
    )
    oldest = newest.where(ScheduleSlot.minute >= since).order_by(ScheduleSlot.minute.desc()).offset(most).limit(1)
    statement = missed.where(
        ScheduleSlot.minute >= (connection.execute(oldest).scalar() or since),
        ScheduleSlot.kind == START,
        ScheduleSlot.outcome.in_((MISSED, FAILED)),
    ).group_by(ScheduleSlot.file_name, ScheduleSlot.outcome)
    return all_rows(connection, MissedStarts, statement.order_by(last.desc()))


def _of_dag(dag: int | None, file_name: str | None, visibility: Visibility) -> list[ColumnElement[bool]]:
    # That of a deleted DAG is visible by its file name.
    name = select(Dag.dag_name).where(Dag.id == ScheduleSlot.dag_id).correlate(ScheduleSlot).scalar_subquery()
    visible = dag_access.narrow(func.coalesce(name, ScheduleSlot.file_name), visibility)
    if file_name is None:
        return visible
    return [*visible, or_(ScheduleSlot.dag_id == (dag or 0), ScheduleSlot.file_name == file_name)]


def remove_before(connection: WriteConnection, minute: datetime) -> None:
    """Delete the slots before a minute, except unfinished restarts."""
    connection.execute(delete(ScheduleSlot).where(ScheduleSlot.minute < minute, ScheduleSlot.outcome != RESTARTING))


# -- the mark and the settings -----------------------------------------------------------------------------------


def get_mark(connection: ReadConnection) -> datetime | None:
    """Return the last minute that any server has handled."""
    return connection.execute(select(ScheduleMark.minute)).scalar()


def set_mark(connection: WriteConnection, minute: datetime) -> None:
    """Store the last handled minute. If the clock was set back, so is the mark: the time between was not missed."""
    statement = insert_into(ScheduleMark).values(id=_MARK, minute=minute)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"minute": minute}))


def get_setting(connection: ReadConnection, dag: int) -> SettingRow | None:
    """Return the settings of a DAG, None if it has none."""
    return first_row(connection, SettingRow, select(*DagSetting.__table__.columns).where(DagSetting.dag_id == dag))


def put_setting(connection: WriteConnection, row: SettingRow) -> None:
    """Replace the settings of a DAG."""
    put(connection, DagSetting, row, "dag_id")
