"""Leases of triggers that look, what their looks have seen, and the commit that makes events of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, or_, select, update

from dagbook.db.database import TRIGGERS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.definition import Dag, is_suspended
from dagbook.db.models.trigger import Trigger, TriggerEvent, TriggerItem
from dagbook.db.repositories.alerts.events import read_time
from dagbook.db.repositories.triggers import trigger_alerts
from dagbook.db.repositories.triggers.events import DEAD, NewTriggerEvent
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.db.statements import all_rows, columns, insert_into, is_one_of

Instant = datetime | ColumnElement[datetime]
LEASE_SECONDS, CLAIM_SECONDS = 75.0, 60.0  # a claim is written once a minute at most


class LookRow(TriggerRow, frozen=True, kw_only=True):
    """A trigger to look for, and the account of its DAG."""

    run_as: str | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a server writes to keep a trigger for itself, and to look now, also if that is ``forced`` before its time.

    ``looks`` are those that were not counted yet.
    """

    owner: str
    looks: int = 0
    forced: bool = False
    is_look: bool = True


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has seen, with the event that it made of it; of a first look there is none."""

    path: str
    fingerprint: str
    event_id: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a look changes: new events, what they were made of, and what is gone."""

    events: Sequence[NewTriggerEvent] = ()
    handled: Sequence[Handled] = ()
    gone: Collection[str] = ()


_select = (
    select(*columns(Trigger, LookRow), Dag.file_name, Dag.dag_name, is_suspended(), Dag.run_as)
    .join(Dag, Dag.id == Trigger.dag_id)  # without its DAG nothing is looked for
    .where(Trigger.next_look_at.is_not(None))
    .order_by(Trigger.next_look_at)
)


def _is_free(connection: ReadConnection, owner: str, at: Instant) -> ColumnElement[bool]:
    """Whether this server may take a trigger: on SQLite, which one process has open, another one is gone."""
    free = or_(Trigger.lease_owner.is_(None), Trigger.lease_owner == owner, Trigger.lease_until < at)
    return free if connection.dialect.name == "postgresql" else or_(free, Trigger.lease_owner != owner)


def _is_due(owner: str, at: Instant) -> ColumnElement[bool]:
    """Whether it is time to look; a directory is taken without delay, for who has it also watches it."""
    return or_(Trigger.next_look_at <= at, and_(Trigger.kind == "files", Trigger.lease_owner.is_distinct_from(owner)))


def find_due(
    connection: ReadConnection, owner: str, host: str, now: datetime, own: Collection[int]
) -> Sequence[LookRow]:
    """Return the triggers to look for: those that the server says are its ``own``, and others that are due."""
    at = func.clock_timestamp() if connection.dialect.name == "postgresql" else now
    due = and_(_is_due(owner, at), _is_free(connection, owner, at))
    here = or_(Trigger.host.is_(None), Trigger.host == host)
    return all_rows(connection, LookRow, _select.where(or_(Trigger.id.in_(sorted(own)), due), here))


def claim(connection: WriteConnection, row: LookRow, claimed: Claim, now: datetime) -> bool:
    """Take a trigger to look for, or go on to, and count looks; False if another server was faster."""
    at = read_time(connection, now)
    is_due = or_(_is_due(claimed.owner, at), Trigger.lease_owner == claimed.owner, literal(claimed.forced))
    taken = update(Trigger).where(Trigger.id == row.id, _is_free(connection, claimed.owner, at), is_due)
    values: dict[str, object] = {
        "lease_owner": claimed.owner,
        "lease_until": at + timedelta(seconds=LEASE_SECONDS),
        "looks": Trigger.looks + claimed.looks,
    }
    if claimed.is_look:
        values |= {"next_look_at": at + timedelta(seconds=row.every_seconds or 0), "looked_at": at}
    return connection.execute(taken.values(values)).rowcount > 0


def release(connection: WriteConnection, owner: str, left: Mapping[int, tuple[int, bool]], now: datetime) -> None:
    """Let other servers look: count looks that were not counted yet, and let them see at once what is still to rest."""
    at = read_time(connection, now)
    for trigger_id, (number, is_pending) in sorted(left.items()):
        own = (Trigger.id == trigger_id, Trigger.lease_owner == owner)
        freed = {"lease_owner": None, "lease_until": None, "looks": Trigger.looks + number}
        connection.execute(update(Trigger).where(*own).values(freed | ({"next_look_at": at} if is_pending else {})))


def find_known(connection: ReadConnection, trigger_id: int) -> dict[str, str]:
    """Return the fingerprints of what was handled, by path."""
    found = select(TriggerItem.path, TriggerItem.fingerprint).where(TriggerItem.trigger_id == trigger_id)
    return {row.path: row.fingerprint for row in connection.execute(found)}


def lock(connection: WriteConnection, row: LookRow, owner: str, looks: int) -> int | None:
    """Lock a trigger that a server still looks for as it was read, and return the number of this look, else None.

    The numbers of looks that store something are different, also after a look was lost that was not counted.
    """
    number = Trigger.looks + looks
    counted = update(Trigger).where(Trigger.id == row.id, Trigger.lease_owner == owner).values(looks=number)
    found = connection.execute(counted.returning(Trigger.looks, Trigger.settings)).first()
    return None if found is None or found.settings != row.settings else found.looks


def store(connection: WriteConnection, trigger_id: int, outcome: Outcome, look: int, now: datetime) -> None:
    """Store what a look changes."""
    at = read_time(connection, now)
    if outcome.events:
        connection.execute(insert(TriggerEvent), [msgspec.structs.asdict(event) for event in outcome.events])
        mark_changed(connection, TRIGGERS)
    for event in outcome.events:
        if event.state == DEAD:
            trigger_alerts.add(connection, trigger_id, event.id, event.reason or "", event.received_at)
    if outcome.gone:
        gone = (TriggerItem.trigger_id == trigger_id, is_one_of(TriggerItem.path, "paths"))
        connection.execute(delete(TriggerItem).where(*gone), {"paths": sorted(outcome.gone)})
    if outcome.handled:
        rows = [
            msgspec.structs.asdict(each) | {"trigger_id": trigger_id, "stable_since": at, "generation": look}
            for each in outcome.handled
        ]
        added = insert_into(TriggerItem)
        replaced = {name: added.excluded[name] for name in ("fingerprint", "event_id", "stable_since", "generation")}
        keys = ("trigger_id", "path")
        connection.execute(added.on_conflict_do_update(index_elements=keys, set_=replaced), rows)


def begin(connection: WriteConnection, trigger_id: int, pause: float, now: datetime) -> None:
    """Record that the first look was made: from now on what is new makes events, at the next look in some seconds."""
    at = read_time(connection, now)
    values = {"baseline_at": at, "next_look_at": at + timedelta(seconds=pause)}
    connection.execute(update(Trigger).where(Trigger.id == trigger_id).values(values))


def restart(connection: WriteConnection, trigger_id: int, now: datetime) -> None:
    """Let the next look, which is due, be the first one again, by any server: what is looked at is something else."""
    connection.execute(delete(TriggerItem).where(TriggerItem.trigger_id == trigger_id))
    nothing = dict.fromkeys(("baseline_at", "problem", "problem_since", "lease_owner", "lease_until"))
    again = nothing | {"next_look_at": read_time(connection, now)}
    connection.execute(update(Trigger).where(Trigger.id == trigger_id).values(again))


def set_problem(
    connection: WriteConnection, trigger_id: int, owner: str, problem: str | None, since: datetime | None
) -> None:
    """Record why looks fail, or that they do not any more; the first time it is an event of an alert."""
    own = (Trigger.id == trigger_id, Trigger.lease_owner == owner)
    is_own = connection.execute(update(Trigger).where(*own).values(problem=problem, problem_since=since)).rowcount > 0
    if is_own and problem is not None and since is not None:
        trigger_alerts.add(connection, trigger_id, f"{trigger_id}/{since.isoformat()}", problem, since)
