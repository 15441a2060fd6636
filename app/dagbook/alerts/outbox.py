"""Routing: an event of the outbox becomes an alert and messages for channels, in one transaction, once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from dagbook.alerts import routing
from dagbook.alerts.kinds import Kind
from dagbook.alerts.routing import Message
from dagbook.db.database import WriteConnection
from dagbook.db.repositories import dags
from dagbook.db.repositories.alerts import alerts, deliveries, events, rules
from dagbook.db.repositories.alerts.alerts import AlertRow, AlertSubject, NewAlert
from dagbook.db.repositories.alerts.deliveries import DeliveryRow, NewDelivery
from dagbook.db.repositories.alerts.events import EventRow
from dagbook.db.repositories.alerts.rules import RuleRow, TargetRow
from dagbook.db.repositories.triggers import triggers
from dagbook.tries import lasting

_MOST_EVENTS = 25  # of one transaction, which other writers of a SQLite file wait for
MOST_OPEN = 10_000  # then one more, which says so
_REOPENED_SECONDS = 15 * 60  # after its end an alert goes on silently, and is reported again after as long
_ANY_COUNT = 2**31
_LIMIT = AlertSubject(kind=Kind.LIMIT, subject_kind="alerts", subject="alerts")
NO_RULE, GOES_ON = "no rule", "it goes on"


def route(connection: WriteConnection, now: datetime) -> int:
    """Route the events that wait, in order; returns how many there were."""
    events.lock_outbox(connection)
    waiting = events.find_unrouted(connection, _MOST_EVENTS)
    if waiting:
        at, known = events.read_time(connection, now), rules.find(connection, enabled=True)
        for event in waiting:
            outcome = (
                _test(connection, event, known, at) if event.test else _Event(connection, event, known, at).route()
            )
            events.set_routed(connection, event.id, at, outcome)
        for alert in alerts.find_open(connection, _LIMIT.subject_kind, _LIMIT.subject, _LIMIT.kind):
            if alerts.count_open(connection) - 1 <= MOST_OPEN * 9 // 10:
                close(connection, alert, known, at, "fewer are open")
    return len(waiting)


def end_over(connection: WriteConnection, now: datetime) -> None:
    """End the alerts without an event of their end, such as those of deleted DAGs."""
    at, known = events.read_time(connection, now), rules.find(connection, enabled=True)
    for alert in alerts.find_over(connection):
        close(connection, alert, known, at, alert.over_by)


def close(
    connection: WriteConnection,
    alert: AlertRow,
    covering: Sequence[RuleRow],
    at: datetime,
    by: str,
    ended_at: datetime | None = None,
) -> set[int]:
    """End a locked alert and report that to the channels that got the alert; returns them.

    ``at`` is the time of the database. A run has ``ended_at`` a time of its server, by which nothing is sent.
    """
    alerts.change(connection, alert.id, closed_at=max(ended_at or at, alert.opened_at), closed_by=by)
    deliveries.drop_late(connection, alert.id, "ended before it was due")
    told = find_told(deliveries.find_of_alerts(connection, [alert.id]))
    number = deliveries.next_number(connection, alert.id, deliveries.CLOSED)
    new = [
        NewDelivery(
            channel_id=channel_id,
            channel=row.channel,
            type=row.type,
            purpose=deliveries.CLOSED,
            number=number,
            alert_id=alert.id,
            run_id=alert.last_run_id,
            # Not before a message about its beginning that waits for the end of quiet hours.
            due_at=max(
                row.due_at if row.status == deliveries.PENDING else at, routing.closing_due(covering, channel_id, at)
            ),
        )
        for channel_id, row in told.items()
    ]
    deliveries.add(connection, new, at)
    return set(told)


def find_told(rows: Iterable[DeliveryRow]) -> dict[int, DeliveryRow]:
    """Return the channels that an alert was reported to, or is about to be, and not its end since then."""
    told: dict[int, DeliveryRow] = {}
    for row in rows:
        if row.channel_id is not None and row.status in (deliveries.PENDING, deliveries.SENT):
            if row.purpose == deliveries.CLOSED:
                told.pop(row.channel_id, None)
            else:
                told[row.channel_id] = row
    return told


def _test(connection: WriteConnection, event: EventRow, known: Sequence[RuleRow], at: datetime) -> str:
    """Route a test: to the channel that it names, else to all of its rule if that covers the DAG."""
    if (channel := event.data.get("channel")) is not None:
        targets: Sequence[TargetRow] = [msgspec.convert(channel, TargetRow)]
    else:
        rule = next((rule for rule in known if rule.name == event.data.get("rule")), None)
        if rule is None:
            return "the rule is disabled, or was removed"
        verdict = routing.judge(rule.match, event.subject, dags.get_tags(connection, event.subject))
        if not verdict.covers:
            return f"{verdict.word!r} excludes it" if verdict.word else "no word of the rule names it"
        targets = [target for target in rule.targets if target.enabled]
    new = [_delivery(Message(target, at, 0), event, deliveries.TEST) for target in targets]
    return f"told {deliveries.add(connection, new, at)}"


def _delivery(message: Message, event: EventRow, purpose: str, alert_id: int | None = None) -> NewDelivery:
    return NewDelivery(
        channel_id=message.target.channel_id,
        channel=message.target.channel,
        type=message.target.type,
        purpose=purpose,
        due_at=message.due_at,
        alert_id=alert_id,
        event_id=event.id,
        run_id=event.run_id,
        delay_seconds=0 if purpose == deliveries.TEST else message.target.delay_seconds,
        remind_seconds=message.remind_seconds,
    )


class _Event:
    """One event with the rules that cover its DAG; what is about no DAG is for all rules that name its kind."""

    def __init__(self, connection: WriteConnection, event: EventRow, known: Sequence[RuleRow], at: datetime) -> None:
        self._connection, self._event, self._at = connection, event, at
        self._kind = Kind(event.kind)
        self._about = AlertSubject(kind=event.kind, subject_kind=event.subject_kind, subject=event.subject)
        name = event.subject if event.subject_kind == alerts.DAG else event.dag_name
        if self._kind is Kind.TRIGGER:  # of a deleted DAG for rules with '*'
            name = triggers.get_dag_name(connection, event.subject)
        if self._kind.about in ("service", "channel"):
            self._covering = known
        elif name is None:  # the run has left its queue
            self._covering = []
        else:
            tags = dags.get_tags(connection, name) if event.tags is None else event.tags
            self._covering = routing.find_covering(known, name, tags)
        self._wanting = [rule for rule in self._covering if routing.find_targets(rule, self._kind)]

    def route(self) -> str:
        """Open, count, end or tell; returns what was done."""
        if self._kind is Kind.SUCCEEDED:
            told = self._end(self._event.at)
            return self._tell_once(told) if self._wanting else "ended" if told else "nothing to tell"
        if not routing.opens(self._kind, self._covering):
            return self._tell_once() if self._wanting else NO_RULE
        return self._open(self._about)

    def _open(self, about: AlertSubject) -> str:
        """Open an alert, or go on with one."""
        going = alerts.find_open(self._connection, about.subject_kind, about.subject, about.kind)
        if going:
            outcome = "counted"
            self._count(going[0])
        elif not self._wanting:
            return NO_RULE
        elif (latest := self._find_ended(about)) is not None:
            outcome = "reopened"
            self._reopen(latest)
        elif about != _LIMIT and alerts.count_open(self._connection) >= MOST_OPEN:
            self._open(_LIMIT)
            return f"{MOST_OPEN:,} alerts are open"
        else:
            outcome = "opened"
            self._tell(alerts.add(self._connection, self._new(about)), self._plan(1))
        if Kind(about.kind).ends_with_success:
            # A success that was committed beside the failure has no event.
            at = events.find_success_after(self._connection, self._event)
            if at is not None:
                self._end(at)
        return outcome

    def _new(self, about: AlertSubject, closed_at: datetime | None = None) -> NewAlert:
        event = self._event
        return NewAlert(
            **msgspec.structs.asdict(about),
            opened_at=event.at,
            last_at=event.at,
            last_run_id=event.run_id,
            data=event.data,
            closed_at=closed_at,
            closed_by=None if closed_at is None else alerts.TOLD,
        )

    def _count(self, alert: AlertRow, **values: object) -> list[Message]:
        event, count = self._event, alert.count + 1
        values |= {"count": count, "last_at": max(event.at, alert.last_at), "last_run_id": event.run_id}
        alerts.change(self._connection, alert.id, **values, data=event.data)
        messages = self._plan(count)
        self._tell(alert.id, messages)
        return messages

    def _find_ended(self, about: AlertSubject) -> AlertRow | None:
        """Return the alert that goes on: one that has just ended, unless no channel got it."""
        if not Kind(about.kind).goes_on:
            return None
        latest = alerts.get_latest(self._connection, about, self._event.at - lasting(_REOPENED_SECONDS))
        return latest if latest is not None and self._find_told_ever(latest) else None

    def _find_told_ever(self, alert: AlertRow) -> set[int | None]:
        """Return the channels that were told that an alert has opened, or are about to be."""
        rows = deliveries.find_of_alerts(self._connection, [alert.id])
        told = (deliveries.PENDING, deliveries.SENT)
        return {row.channel_id for row in rows if row.purpose != deliveries.CLOSED and row.status in told}

    def _reopen(self, alert: AlertRow) -> None:
        """Go on with an alert that has just ended: channels that were told so are told again only if it lasts."""
        deliveries.drop_closings(self._connection, alert.id, GOES_ON)
        ever, told = self._find_told_ever(alert), find_told(deliveries.find_of_alerts(self._connection, [alert.id]))
        number = deliveries.next_number(self._connection, alert.id, deliveries.REMINDER)
        cleared = dict.fromkeys(("closed_at", "closed_by", "acknowledged_at", "acknowledged_by", "note"))
        lasts = self._at + lasting(_REOPENED_SECONDS)
        again = [
            msgspec.structs.replace(
                _delivery(message, self._event, deliveries.REMINDER, alert.id),
                number=number,
                delay_seconds=0,
                due_at=max(message.due_at, lasts),
            )
            for message in self._count(alert, **cleared)
            if message.target.channel_id in ever and message.target.channel_id not in told
        ]
        deliveries.add(self._connection, again, self._at)

    def _plan(self, count: int, apart: Collection[int] = ()) -> list[Message]:
        messages = routing.plan(self._wanting, self._kind, count, self._at)
        # One that fails is reported to the others of a rule.
        failing = self._event.subject if self._kind is Kind.CHANNEL else None
        return [
            message
            for message in messages
            if message.target.channel_id not in apart and message.target.channel != failing
        ]

    def _tell(self, alert_id: int, messages: Sequence[Message]) -> None:
        """Tell channels of an alert, each once."""
        new = [_delivery(message, self._event, deliveries.OPENED, alert_id) for message in messages]
        deliveries.add(self._connection, new, self._at)

    def _tell_once(self, apart: Collection[int] = ()) -> str:
        messages = self._plan(_ANY_COUNT, apart)
        if not messages:
            return "told already"
        self._tell(alerts.add(self._connection, self._new(self._about, self._event.at)), messages)
        return alerts.TOLD

    def _end(self, at: datetime) -> set[int]:
        """End what a success ends; returns the channels that are told."""
        kinds = [kind for kind in Kind if kind.ends_with_success]
        found = alerts.find_open(self._connection, alerts.DAG, self._event.subject, *kinds)
        told = [close(self._connection, alert, self._covering, self._at, "succeeded", at) for alert in found]
        return set().union(*told)
