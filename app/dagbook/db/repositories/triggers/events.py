"""Events of triggers, each of which is one run, or says why not."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, bindparam, func, select, tuple_, update

from dagbook.db.database import TRIGGERS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.definition import Dag
from dagbook.db.models.run import IS_ACTIVE, Run
from dagbook.db.models.trigger import IS_WAITING, Trigger, TriggerEvent
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.triggers import trigger_alerts
from dagbook.db.statements import all_rows, columns, first_row, insert_into, is_one_of
from dagbook.engine.status import RunStatus
from dagbook.json_values import Json

WAITING, FILTERED, STARTED, SUPERSEDED = "waiting", "filtered", "started", "superseded"
DEAD, DISCARDED, REPLAYED = "dead", "discarded", "replayed"
# What runs say of how they were started, by the kinds of triggers.
RUN_TRIGGERS = {"webhook": "webhook", "files": "file", "sftp": "sftp", "http": "http", "after": "run"}
WITH_RUN = (WAITING, STARTED)
_OF_RUN, _OF_REPLAY = "dagRunId/", "replay/"
OWN_KEYS = (_OF_RUN, _OF_REPLAY)  # how keys begin that no sender gives
_NAMED = re.compile(f"{_OF_RUN}([-A-Za-z0-9_]+)")  # a key of a sender who has named the run


class NewTriggerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to store."""

    id: str
    trigger_id: int
    key: str
    body_hash: bytes | None = None
    state: str = WAITING
    received_at: datetime
    settled_at: datetime | None = None
    reason: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str]
    body: bytes | None = None  # compressed; not read for lists
    body_bytes: int = 0
    item: Mapping[str, Json] | None = None
    revision: int | None = None
    source: str | None = None  # what it repeats or follows
    depth: int = 0
    actor: Mapping[str, Json] | None = None  # who has replayed it

    @property
    def run_name(self) -> str:
        """The id of the run that it is to start: its own, unless the sender has named one."""
        named = _NAMED.fullmatch(self.key)
        return self.id if named is None else named[1]


class TriggerEventRow(NewTriggerEvent, frozen=True, kw_only=True):
    """An event with what came of it."""

    run_id: int | None
    duplicates: int
    replays: int


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender of an event is told: of one that was there already, what that one is."""

    id: str
    state: str
    is_duplicate: bool = False


class EventOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """The event that a run was started for, and the name of its trigger."""

    id: str
    trigger: str


class TriggerEventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a trigger to list: of a state, and older than a position."""

    trigger_id: int
    state: str | None = None
    before: tuple[datetime, str] | None = None


_get = select(*columns(TriggerEvent, TriggerEventRow)).where(
    TriggerEvent.trigger_id == bindparam("trigger"), TriggerEvent.id == bindparam("event")
)
# Without bodies: a page of them may be more than a process should hold.
_select = select(*(each for each in columns(TriggerEvent, TriggerEventRow) if each.name != "body"))
_age = (TriggerEvent.received_at, TriggerEvent.id)
_find_waiting = (
    _select.where(TriggerEvent.trigger_id == bindparam("trigger"), IS_WAITING).order_by(*_age).limit(bindparam("most"))
)
_has_waiting = select(TriggerEvent.id).where(IS_WAITING).limit(1)
_of_run = (
    select(TriggerEvent.id, Trigger.name.label("trigger"))
    .join(Trigger, Trigger.id == TriggerEvent.trigger_id)
    .outerjoin(Dag, Dag.id == Trigger.dag_id)
)
_lock_waiting = (
    select(TriggerEvent.id)
    .join(Trigger, Trigger.id == TriggerEvent.trigger_id)
    .where(is_one_of(TriggerEvent.id, "ids"), IS_WAITING, Trigger.paused_at.is_(None))
    .order_by(TriggerEvent.id)
    .with_for_update(of=TriggerEvent)
)
_set_started = (
    update(TriggerEvent)
    .where(TriggerEvent.id == bindparam("event"), IS_WAITING)
    .values(state=STARTED, run_id=bindparam("run"), settled_at=bindparam("at"))
)
# Active runs are few: the partial index finds them, and each is looked up among the events.
_count_runs = (
    select(Run.status, func.count().label("number"))
    .join(TriggerEvent, TriggerEvent.run_id == Run.id)
    .where(IS_ACTIVE, TriggerEvent.trigger_id == bindparam("trigger"))
    .group_by(Run.status)
)


def key_of_run(run_id: str) -> str:
    """Return the key of an event whose sender names the run."""
    return f"{_OF_RUN}{run_id}"


def key_of_replay(event_id: str, replay_id: str) -> str:
    """Return the key of an event that repeats another one."""
    return f"{_OF_REPLAY}{event_id}/{replay_id}"


def receive(connection: WriteConnection, event: NewTriggerEvent) -> Received | None:
    """Store an event unless it is there: by its key, or by what is signed of it. None if it has just been deleted."""
    added = insert_into(TriggerEvent).values(msgspec.structs.asdict(event)).on_conflict_do_nothing()
    if connection.execute(added.returning(TriggerEvent.id)).first() is not None:
        if event.state == WAITING:
            mark_changed(connection, TRIGGERS)
        if event.state == DEAD:
            trigger_alerts.add(connection, event.trigger_id, event.id, event.reason or "", event.received_at)
        return Received(id=event.id, state=event.state)
    by_key = TriggerEvent.key == event.key
    return _count_duplicate(connection, event, by_key) or (
        None
        if event.body_hash is None
        else _count_duplicate(connection, event, TriggerEvent.body_hash == event.body_hash)
    )


def _count_duplicate(connection: WriteConnection, event: NewTriggerEvent, same: ColumnElement[bool]) -> Received | None:
    repeated = (
        update(TriggerEvent)
        .where(TriggerEvent.trigger_id == event.trigger_id, same)
        .values(duplicates=TriggerEvent.duplicates + 1)
        .returning(TriggerEvent.id, TriggerEvent.state)
    )
    found = connection.execute(repeated).first()
    return None if found is None else Received(id=found.id, state=found.state, is_duplicate=True)


def has_waiting(connection: ReadConnection) -> bool:
    """Whether an event of any trigger waits."""
    return connection.scalar(_has_waiting) is not None


def find_oldest_waiting(connection: ReadConnection) -> datetime | None:
    """Return when the oldest event of any trigger came that waits."""
    oldest: datetime | None = connection.scalar(select(func.min(TriggerEvent.received_at)).where(IS_WAITING))
    return oldest


def find_waiting(connection: ReadConnection, trigger_id: int, most: int) -> Sequence[TriggerEventRow]:
    """Return events of a trigger that wait, the oldest first."""
    return all_rows(connection, TriggerEventRow, _find_waiting, trigger=trigger_id, most=most)


def get_newest_waiting(connection: ReadConnection, trigger_id: int) -> TriggerEventRow | None:
    """Return the newest event of a trigger that waits."""
    newest = _select.where(TriggerEvent.trigger_id == trigger_id, IS_WAITING)
    return first_row(connection, TriggerEventRow, newest.order_by(*(each.desc() for each in _age)).limit(1))


def lock(connection: WriteConnection, trigger_id: int, event_id: str) -> TriggerEventRow | None:
    """Return an event of a trigger with its body, as no other transaction changes it meanwhile."""
    locked = select(TriggerEvent.id).where(TriggerEvent.trigger_id == trigger_id, TriggerEvent.id == event_id)
    is_there = connection.scalar(locked.with_for_update(key_share=True)) is not None
    return get(connection, trigger_id, event_id) if is_there else None


def lock_waiting(connection: WriteConnection, ids: Collection[str]) -> set[str]:
    """Lock those of the events that still wait, and whose triggers are not paused, and return them."""
    return set(connection.scalars(_lock_waiting, {"ids": sorted(ids)})) if ids else set()


def set_started(connection: WriteConnection, event_id: str, run: int, at: datetime) -> None:
    """Settle a waiting event by its run, in the commit that stores that."""
    connection.execute(_set_started, {"event": event_id, "run": run, "at": at})


def change(connection: WriteConnection, event_id: str, **values: object) -> None:
    """Set columns of a locked event."""
    connection.execute(update(TriggerEvent).where(TriggerEvent.id == event_id).values(values))


def settle(connection: WriteConnection, event_id: str, state: str, reason: str, at: datetime) -> bool:
    """Settle a waiting event without a run; False if another server was faster."""
    settled = update(TriggerEvent).where(TriggerEvent.id == event_id, IS_WAITING)
    values = {"state": state, "reason": reason, "settled_at": at}
    trigger = connection.scalar(settled.values(values).returning(TriggerEvent.trigger_id))
    if trigger is not None and state == DEAD:
        trigger_alerts.add(connection, trigger, event_id, reason, at)
    return trigger is not None


def supersede(connection: WriteConnection, newest: TriggerEventRow, at: datetime) -> int:
    """Settle the events of a trigger that wait and are older than one of them."""
    older = (TriggerEvent.trigger_id == newest.trigger_id, tuple_(*_age) < (newest.received_at, newest.id), IS_WAITING)
    values = {"state": SUPERSEDED, "reason": f"superseded by {newest.id}", "settled_at": at}
    return connection.execute(update(TriggerEvent).where(*older).values(values)).rowcount


def discard_waiting(connection: WriteConnection, trigger_id: int, reason: str, at: datetime) -> int:
    """Settle the events of a trigger that wait; returns how many these were."""
    discarded = update(TriggerEvent).where(TriggerEvent.trigger_id == trigger_id, IS_WAITING)
    return connection.execute(discarded.values(state=DISCARDED, reason=reason, settled_at=at)).rowcount


def count_runs(connection: ReadConnection, trigger_id: int) -> tuple[int, int]:
    """Return how many runs of a trigger are queued, and how many are active or queued."""
    found = connection.execute(_count_runs, {"trigger": trigger_id}).all()
    return sum(row.number for row in found if row.status == RunStatus.QUEUED), sum(row.number for row in found)


def find_page(connection: ReadConnection, wanted: TriggerEventFilter, most: int) -> Sequence[TriggerEventRow]:
    """Return events of a trigger, the newest first."""
    conditions: list[ColumnElement[bool]] = [TriggerEvent.trigger_id == wanted.trigger_id]
    if wanted.state is not None:
        conditions.append(TriggerEvent.state == wanted.state)
    if wanted.before is not None:
        conditions.append(tuple_(*_age) < wanted.before)
    page = _select.where(*conditions).order_by(*(each.desc() for each in _age)).limit(most)
    return all_rows(connection, TriggerEventRow, page)


def get(connection: ReadConnection, trigger_id: int, event_id: str) -> TriggerEventRow | None:
    """Return an event of a trigger with its body."""
    return first_row(connection, TriggerEventRow, _get, trigger=trigger_id, event=event_id)


def get_of_run(connection: ReadConnection, run: int, visibility: Visibility) -> EventOfRun | None:
    """Return the event that a run was started for, if the DAG of its trigger is visible."""
    seen = dag_access.narrow(Dag.dag_name, visibility)
    return first_row(connection, EventOfRun, _of_run.where(TriggerEvent.run_id == run, *seen))


def count_body_bytes(connection: ReadConnection, trigger_id: int) -> int:
    """Return how many bytes the bodies of a trigger's events have."""
    kept = (TriggerEvent.trigger_id == trigger_id, TriggerEvent.body.is_not(None))
    return connection.scalar(select(func.sum(TriggerEvent.body_bytes)).where(*kept)) or 0


def drop_bodies(connection: WriteConnection, trigger_id: int, most: int) -> int:
    """Drop the bodies of the oldest settled events of a trigger; returns how many bytes they had."""
    kept = (TriggerEvent.trigger_id == trigger_id, TriggerEvent.body.is_not(None), TriggerEvent.state != WAITING)
    oldest = select(TriggerEvent.id).where(*kept).order_by(TriggerEvent.received_at).limit(most)
    dropped = update(TriggerEvent).where(TriggerEvent.id.in_(oldest)).values(body=None)
    return sum(size for (size,) in connection.execute(dropped.returning(TriggerEvent.body_bytes)))
