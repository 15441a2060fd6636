"""Alerts, channels, rules and deliveries: rows to schemas. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo

from msgspec import UNSET
from msgspec.structs import replace

from dagbook.alerts.channels import read_settings
from dagbook.alerts.kinds import PING
from dagbook.alerts.routing import judge
from dagbook.alerts.rules import as_written, count_covered
from dagbook.alerts.service import Tested
from dagbook.api.presenters.fields import or_unset, precise_time, present_row, time_text
from dagbook.api.schemas.alerts import (
    Alert,
    AlertAttempt,
    AlertChannel,
    AlertReceipt,
    AlertRule,
    AlertTest,
    CoveringRule,
)
from dagbook.db.repositories.alerts.alerts import AlertRow
from dagbook.db.repositories.alerts.channels import ChannelRow
from dagbook.db.repositories.alerts.deliveries import PENDING, RUN_MAIL, TRACE, Attempt, DeliveryRow
from dagbook.db.repositories.alerts.rules import DagTags, RuleRow


def present_channel(row: ChannelRow, zone: tzinfo, *, is_admin: bool, secret: str = "") -> AlertChannel:
    """Return a channel as clients see it: others than admins get no address."""
    state = "failing" if row.failing_since else "ok" if row.last_sent_at else "unused"
    found = present_row(AlertChannel, row, zone, state=state, secret=or_unset(secret))
    if not is_admin:
        return replace(found, interval_seconds=UNSET, every_seconds=UNSET, next_try_at=UNSET)
    settings = read_settings(row)
    names = ("url", "host", "to", "sender", "smtp")
    fail = settings.fail if row.type == PING else UNSET
    return replace(found, fail=fail, **{name: or_unset(getattr(settings, name)) for name in names})


def present_rule(row: RuleRow, dags: Sequence[DagTags], *, is_admin: bool, may_change: bool) -> AlertRule:
    """Return a rule as it is written; others than admins get no names of channels that are not shared."""
    others = {"name": row.name, "configured": row.configured, "covers": count_covered(row, dags)}
    return present_row(AlertRule, as_written(row, names_all=is_admin), UTC, **others, may_change=may_change)


def present_covering(row: RuleRow, dag: DagTags, *, is_admin: bool) -> CoveringRule:
    """Return by which of its words a rule covers a DAG, and what it reports to whom."""
    written = as_written(row, names_all=is_admin)
    word = judge(row.match, dag.dag_name, dag.tags).word
    return CoveringRule(name=row.name, word=word, on=sorted(written.on), to=written.to)


def present_receipt(row: DeliveryRow, zone: tzinfo, *, is_admin: bool) -> AlertReceipt:
    """Return a delivery with its tries; others than admins get no names of channels that are not shared."""
    next_try = time_text(max(row.due_at, row.next_try_at or row.due_at), zone)
    is_of_definition = row.purpose in (RUN_MAIL, TRACE)
    # When a mail server or a receiver of traces is tried again, the process that sends alone knows.
    is_known = row.status == PENDING and not (is_of_definition and row.attempts)
    return present_row(
        AlertReceipt,
        row,
        zone,
        channel=row.channel if is_admin or row.shared or is_of_definition else row.type,
        sent_at=UNSET if row.sent_at is None else precise_time(row.sent_at, zone),
        next_try_at=next_try if is_known else UNSET,
        attempts=[_present_attempt(attempt, zone, is_admin=is_admin) for attempt in row.attempts],
    )


def _present_attempt(attempt: Attempt, zone: tzinfo, *, is_admin: bool) -> AlertAttempt:
    return AlertAttempt(
        at=precise_time(attempt.at, zone),
        ms=attempt.ms,
        code=or_unset(attempt.code),
        text=or_unset(attempt.text) if is_admin else UNSET,
        server=or_unset(attempt.server) if is_admin else UNSET,
    )


def present_test(tested: Tested, zone: tzinfo, *, is_admin: bool) -> AlertTest:
    """Return what came of a test."""
    receipts = [present_receipt(row, zone, is_admin=is_admin) for row in tested.rows]
    return AlertTest(told=tested.is_told, outcome=tested.outcome, receipts=receipts)


def present_alert(
    row: AlertRow, told: Sequence[DeliveryRow], zone: tzinfo, *, is_admin: bool, may_acknowledge: bool
) -> Alert:
    """Return an alert with its deliveries; others than admins get no names of channels that are not shared."""
    receipts = [present_receipt(each, zone, is_admin=is_admin) for each in told]
    is_hidden = row.subject_kind == "channel" and not (is_admin or row.shared)
    return present_row(
        Alert,
        row,
        zone,
        subject="a channel that is not shared" if is_hidden else row.subject,
        last_dag_run_id=or_unset(row.run_id),
        may_acknowledge=may_acknowledge,
        told=receipts,
    )
