"""Use cases of alerts: acknowledge, send again, and test what a rule or a channel does with a real event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import msgspec

from dagbook.alerts import outbox
from dagbook.alerts.channels import Channels
from dagbook.alerts.kinds import ACKNOWLEDGED, Kind, parse_kind
from dagbook.alerts.rules import Rules
from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, holds
from dagbook.db.repositories.alerts import alerts, deliveries, events, rules
from dagbook.db.repositories.alerts.alerts import AlertRow
from dagbook.db.repositories.alerts.deliveries import DeliveryRow
from dagbook.db.repositories.alerts.events import NewEvent
from dagbook.db.repositories.alerts.rules import TargetRow
from dagbook.errors import BadRequestError, UnavailableError
from dagbook.identifiers import check_dag_name, new_run_id, shorten
from dagbook.json_values import Json

_LONGEST_NOTE = 1_000
_TEST_SECONDS, _POLL_SECONDS = 20.0, 0.1
_HELD = "this database was restored from a backup and is held: no alert is sent until `dagbook resume`"


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test: the outcome of its event, and the messages with their receipts."""

    outcome: str
    rows: Sequence[DeliveryRow] = ()

    @property
    def is_told(self) -> bool:
        """Whether a channel has it, and none lacks it."""
        return bool(self.rows) and all(row.status == deliveries.SENT for row in self.rows)


class AlertService:
    """What users do with alerts."""

    def __init__(self, database: Database, channels: Channels, rules: Rules, now: Clock) -> None:
        self._database = database
        self._channels, self._rules = channels, rules
        self._now = now

    async def acknowledge(self, alert: AlertRow, note: str, actor: Actor) -> None:
        """Acknowledge an alert: no reminder or escalation of it follows. Raises AppError."""
        if len(note) > _LONGEST_NOTE:
            raise BadRequestError(f"note: has {len(note):,} characters; give at most {_LONGEST_NOTE:,}")
        at, text = self._now(), note.replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
        after = {"kind": alert.kind, **({"note": text} if text else {})}
        entry = actor.entry(_action(Action.ALERT_ACKNOWLEDGE, alert.subject, after), at)
        values = {"acknowledged_at": at, "acknowledged_by": actor.label or "anonymous", "note": text or None}

        def work(connection: WriteConnection) -> None:
            row = alerts.lock(connection, alert.id)
            if row is None or row.closed_at is not None:
                raise BadRequestError(f"the alert {alert.id} has ended; there is nothing to acknowledge")
            alerts.change(connection, row.id, **values)
            deliveries.drop_late(connection, row.id, ACKNOWLEDGED)
            if row.kind == Kind.SERVER:  # one of another name may have taken its place
                now = events.read_time(connection, at)
                outbox.close(connection, row, rules.find(connection, enabled=True), now, ACKNOWLEDGED)
            audit.add(connection, entry)

        await self._database.write(work)

    async def resend(self, row: DeliveryRow, actor: Actor) -> None:
        """Send a finished message again, under its id. Raises AppError."""
        entry = actor.entry(_action(Action.ALERT_RESEND, row.dag or row.channel, {"delivery": row.id}), self._now())
        if row.channel_id is None and row.purpose not in (deliveries.RUN_MAIL, deliveries.TRACE):
            raise BadRequestError(f"the channel {shorten(row.channel)} was removed; nothing can be sent to it")

        def work(connection: WriteConnection) -> None:
            _refuse_held(connection)
            if not deliveries.resend(connection, row.id, events.read_time(connection, self._now())):
                raise BadRequestError(f"the delivery {row.id} is pending; it is sent without this")
            audit.add(connection, entry)

        await self._database.write(work)

    async def test_rule(self, name: str, dag: str, actor: Actor) -> Tested:
        """Let a rule report an event of a DAG that is marked as a test, and wait for the receipts. Raises AppError."""
        rule = await self._rules.require(name)
        check_dag_name(dag, "dag")
        named = (parse_kind(text).kind for text in rule.kinds)
        kind = next((kind for kind in named if kind.about == alerts.DAG), Kind.FAILED)
        return await self._test(kind, alerts.DAG, dag, {"rule": rule.name}, actor)

    async def test_channel(self, name: str, actor: Actor) -> Tested:
        """Send a test to one channel, and wait for the receipt. Raises AppError."""
        row = await self._channels.require(name)
        if not row.enabled:
            raise BadRequestError(f"the channel {shorten(name)} is disabled; enable it first")
        target = TargetRow(channel_id=row.id, channel=row.name, type=row.type, enabled=True)
        return await self._test(Kind.FAILED, "channel", name, {"channel": msgspec.to_builtins(target)}, actor)

    async def _test(self, kind: str, subject_kind: str, subject: str, data: Mapping[str, Json], actor: Actor) -> Tested:
        at = self._now()
        event = NewEvent(
            key=f"test/{new_run_id()}",
            at=at,
            kind=str(kind),
            subject_kind=subject_kind,
            subject=subject,
            data=data,
            test=True,
        )
        about = {"rule": data["rule"], "dag": subject} if "rule" in data else {"channel": subject}
        entry = actor.entry(_action(Action.ALERT_TEST, subject, about), at)

        def work(connection: WriteConnection) -> int:
            _refuse_held(connection)
            audit.add(connection, entry)
            return events.add(connection, event)

        return await self._wait(await self._database.write(work))

    async def _wait(self, event_id: int) -> Tested:
        """Return what came of an event when every receipt is there, or after 20 seconds."""

        def read(connection: ReadConnection) -> Tested | None:
            event = events.get(connection, event_id)
            if event is None or event.outcome is None:
                return None
            return Tested(outcome=event.outcome, rows=deliveries.find_of_event(connection, event_id))

        until = time.monotonic() + _TEST_SECONDS
        while True:
            found = await self._database.read_inline(read)
            over = found is not None and all(row.status != deliveries.PENDING for row in found.rows)
            if over or time.monotonic() > until:
                return found or Tested(outcome="no server has routed it yet; start one with `dagbook serve`")
            await asyncio.sleep(_POLL_SECONDS)


def _refuse_held(connection: ReadConnection) -> None:
    """Raise UnavailableError while nothing is sent."""
    if holds.get(connection) is not None:
        raise UnavailableError(_HELD)


def _action(action: Action, name: str, after: Values) -> AuditAction:
    return AuditAction(action=action, kind="alert", name=name, after=after)
