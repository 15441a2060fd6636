"""Reads that several entry points share: what a message is made of, and which rules cover a DAG."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec

from dagbook.alerts import routing
from dagbook.alerts.kinds import ENDED, Kind
from dagbook.alerts.texts import Notice, Purpose, RunFacts
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.alerts import alerts, events, rules
from dagbook.db.repositories.alerts.deliveries import DeliveryRow
from dagbook.db.repositories.alerts.rules import RuleRow
from dagbook.db.repositories.runs.run_ends import KINDS
from dagbook.engine.status import RunStatus
from dagbook.spec.model import Dag, MailOn


class Coverage(msgspec.Struct, frozen=True):
    """The enabled rules that cover a DAG, and why others do not."""

    rules: Sequence[RuleRow]
    reasons: Sequence[str]


def read_notice(connection: ReadConnection, row: DeliveryRow, base: str, now: datetime) -> Notice:
    """Return what is told by a message, as it is now; ``base`` is the address of this server, or empty."""
    alert = None if row.alert_id is None else alerts.get(connection, row.alert_id)
    if alert is None:
        event = None if row.event_id is None else events.get(connection, row.event_id)
        return Notice(
            delivery_id=row.id,
            purpose="test",
            alert_id=None,
            kind=Kind(event.kind) if event else Kind.FAILED,
            subject_kind=event.subject_kind if event else alerts.DAG,
            subject=event.subject if event else row.channel,
            count=1,
            opened_at=now,
            last_at=now,
            error="this is a test",
        )
    return Notice(
        delivery_id=row.id,
        purpose=msgspec.convert(row.purpose, type=Purpose),
        alert_id=alert.id,
        kind=Kind(alert.kind),
        subject_kind=alert.subject_kind,
        subject=alert.subject,
        count=alert.count,
        opened_at=alert.opened_at,
        last_at=alert.last_at,
        closed_at=alert.closed_at,
        ended=ENDED.get(alert.closed_by or "", ""),
        is_told_once=alert.closed_by == alerts.TOLD,
        error=str(alert.data.get("error", "")),
        reason=alert.reason,
        due_at=alert.due_at,
        run=_read_run(connection, alert.last_run_id, base),
    )


def _read_run(connection: ReadConnection, key: int | None, base: str) -> RunFacts | None:
    found = None if key is None else alerts.get_run(connection, key)
    if found is None:
        return None
    page = "/".join(("/dag-runs", quote(found.dag_name, safe=""), quote(found.run_id, safe="")))
    return RunFacts(
        dag_name=found.dag_name,
        run_id=found.run_id,
        attempt=found.attempt,
        status=found.status.label,
        started_at=found.started_at,
        finished_at=found.finished_at,
        failed_step=found.failed_step or "",
        url=f"{base}{page}" if base else "",
    )


def read_coverage(connection: ReadConnection, name: str, tags: Collection[str]) -> Coverage:
    """Return which rules cover a DAG, by the same function that routes its events."""
    known = rules.find(connection, enabled=True)
    covering = routing.find_covering(known, name, tags)
    return Coverage(covering, [] if covering else routing.find_reasons(known, name, tags))


def wants(rule: RuleRow, status: RunStatus) -> bool:
    """Whether a covering rule reports the end of a run; of one that has not ended, whether it reports any."""
    kind = KINDS.get(status)
    return kind is None or bool(routing.find_targets(rule, Kind(kind)))


def covers_by_mail(dag: Dag, status: RunStatus) -> bool:
    """Whether a mail of the definition reports the end of a run."""
    on = dag.mail_on or MailOn()
    if status is RunStatus.FAILED:
        return dag.smtp is not None and on.failure and dag.error_mail is not None
    return dag.smtp is not None and on.success and dag.info_mail is not None
