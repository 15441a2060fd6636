"""Triggers: what starts runs of which DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import aliased

from dagbook.db.database import TRIGGERS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.definition import Dag, is_suspended
from dagbook.db.models.trigger import IS_DEAD, IS_WAITING, Trigger, TriggerEvent, TriggerItem
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.statements import all_rows, columns, first_row, insert_into
from dagbook.json_values import Json


class NewTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger to store."""

    name: str
    dag_id: int | None
    kind: str
    scheme: str | None
    settings: Mapping[str, Json]
    params: Mapping[str, str]
    filters: Sequence[str]
    sealed: bytes | None
    queue: str
    priority: int
    per_minute: int
    max_bytes: int
    max_waiting: int
    collapse: bool
    created_by: str | None
    created_by_id: str | None
    created_by_token_id: str | None
    created_at: datetime
    paused_at: datetime | None = None
    paused_by: str | None = None
    upstream_id: int | None = None  # the DAG whose runs it follows
    host: str | None = None
    together: bool = False
    every_seconds: int | None = None
    next_look_at: datetime | None = None


class TriggerRow(NewTrigger, frozen=True, kw_only=True):
    """A trigger with its state and its DAG, which may be deleted."""

    id: int
    sealed_before: bytes | None
    sealed_before_until: datetime | None
    baseline_at: datetime | None
    looks: int
    looked_at: datetime | None
    problem: str | None
    problem_since: datetime | None
    file_name: str | None = None
    dag_name: str | None = None
    suspended: bool | None = None


class ListedTrigger(TriggerRow, frozen=True, kw_only=True):
    """A trigger, how many of its events wait or are dead, and when it had the newest."""

    waiting: int
    dead: int
    last_event_at: datetime | None
    upstream: str | None  # the file name of the DAG whose runs it follows
    items: int  # that looks have handled


_of_dag = (Dag.file_name, Dag.dag_name, is_suspended())
_select = select(*columns(Trigger, TriggerRow), *_of_dag).outerjoin(Dag, Dag.id == Trigger.dag_id)
_get = _select.where(Trigger.name == bindparam("name"))
_of_trigger = TriggerEvent.trigger_id == Trigger.id
_count = select(func.count()).select_from(TriggerEvent).where(_of_trigger)
_upstream = aliased(Dag)
_listed = (
    select(
        *columns(Trigger, TriggerRow),
        *_of_dag,
        _count.where(IS_WAITING).scalar_subquery().label("waiting"),
        _count.where(IS_DEAD).scalar_subquery().label("dead"),
        select(func.max(TriggerEvent.received_at)).where(_of_trigger).scalar_subquery().label("last_event_at"),
        _upstream.file_name.label("upstream"),
        select(func.count()).where(TriggerItem.trigger_id == Trigger.id).scalar_subquery().label("items"),
    )
    .outerjoin(Dag, Dag.id == Trigger.dag_id)
    .outerjoin(_upstream, _upstream.id == Trigger.upstream_id)
    .order_by(Trigger.name)
)


def find(connection: ReadConnection, visibility: Visibility = EVERYTHING) -> Sequence[ListedTrigger]:
    """Return the triggers of visible DAGs, by name; those of deleted ones for who sees all."""
    return all_rows(connection, ListedTrigger, _listed.where(*dag_access.narrow(Dag.dag_name, visibility)))


def find_of_dag(connection: ReadConnection, file_name: str) -> Sequence[ListedTrigger]:
    """Return the triggers of a DAG, by name."""
    return all_rows(connection, ListedTrigger, _listed.where(Dag.file_name == file_name))


def get_listed(connection: ReadConnection, name: str) -> ListedTrigger | None:
    """Return a trigger with the counts of its events."""
    return first_row(connection, ListedTrigger, _listed.where(Trigger.name == name))


def get(connection: ReadConnection, name: str) -> TriggerRow | None:
    """Return a trigger."""
    return first_row(connection, TriggerRow, _get, name=name)


def get_dag_name(connection: ReadConnection, name: str) -> str:
    """Return the DAG name of the DAG that a trigger starts; empty if that is deleted."""
    found = select(Dag.dag_name).join(Trigger, Trigger.dag_id == Dag.id).where(Trigger.name == name)
    return connection.scalar(found) or ""


def lock(connection: WriteConnection, name: str) -> TriggerRow | None:
    """Return a trigger as no other transaction changes it meanwhile."""
    locked = select(Trigger.id).where(Trigger.name == name).with_for_update(key_share=True)
    return get(connection, name) if connection.scalar(locked) is not None else None


def find_ready(connection: ReadConnection) -> Sequence[TriggerRow]:
    """Return the triggers with waiting events that are not paused."""
    waiting = select(TriggerEvent.trigger_id).where(IS_WAITING)
    ready = _select.where(Trigger.id.in_(waiting), Trigger.paused_at.is_(None)).order_by(Trigger.id)
    return all_rows(connection, TriggerRow, ready)


def count(connection: ReadConnection) -> int:
    return connection.scalar(select(func.count()).select_from(Trigger)) or 0


def add(connection: WriteConnection, trigger: NewTrigger) -> int | None:
    """Store a trigger and return its id; None when its name is taken."""
    values = msgspec.structs.asdict(trigger)
    added = insert_into(Trigger).values(values).on_conflict_do_nothing(index_elements=["name"])
    key: int | None = connection.execute(added.returning(Trigger.id)).scalar()
    return key


def change(connection: WriteConnection, trigger_id: int, **values: object) -> None:
    """Set columns of a trigger; events that wait are looked at again."""
    connection.execute(update(Trigger).where(Trigger.id == trigger_id).values(values))
    mark_changed(connection, TRIGGERS)


def remove(connection: WriteConnection, trigger_id: int) -> None:
    """Delete a trigger with its events; their runs stay."""
    connection.execute(delete(Trigger).where(Trigger.id == trigger_id))
