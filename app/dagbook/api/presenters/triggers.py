"""Triggers and their events: rows to schemas. Pure."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, tzinfo

from msgspec import UNSET, UnsetType

from dagbook.api.presenters.fields import or_unset, precise_time, present_row
from dagbook.api.schemas.triggers import ReceivedEvent, Trigger, TriggerEvent, TriggerPlan, TriggerTest
from dagbook.db.repositories.triggers import events
from dagbook.db.repositories.triggers.events import Received, TriggerEventRow
from dagbook.db.repositories.triggers.triggers import ListedTrigger
from dagbook.triggers import values
from dagbook.triggers.after import AFTER
from dagbook.triggers.dispatch import message_of, waits_for
from dagbook.triggers.inbox import Trial
from dagbook.triggers.looks import options
from dagbook.triggers.values import Message, UnusableError

_UPSTREAM_GONE = "the DAG that it follows was deleted"


def present_trigger(row: ListedTrigger, zone: tzinfo, *, queues_enabled: bool, hooks: str) -> Trigger:
    """Return a trigger as clients see it; what the caller may do is added by the controller."""
    return present_row(
        Trigger,
        row,
        zone,
        dag=or_unset(row.file_name),
        settings={**({"after": row.upstream} if row.upstream else {}), **row.settings},
        problem=or_unset(row.problem or (_UPSTREAM_GONE if row.kind == AFTER and row.upstream is None else "")),
        waits_for=or_unset(waits_for(row, queues_enabled=queues_enabled)),
        path=f"{hooks}/{row.name}" if row.scheme else UNSET,
        may_change=False,
        may_run=False,
    )


def present_event(
    row: TriggerEventRow, trigger: ListedTrigger, zone: tzinfo, *, queues_enabled: bool, upstream: Message | None = None
) -> TriggerEvent:
    """Return an event as clients see it, without its body; ``upstream`` is what the run that it follows has given."""
    waits = waits_for(trigger, queues_enabled=queues_enabled) if row.state == events.WAITING else ""
    params: dict[str, str] | UnsetType = UNSET
    if row.body is not None or upstream is not None or trigger.kind in options.KINDS:
        with suppress(UnusableError):
            message = upstream or message_of(row)
            params = {pair.name: pair.value for pair in values.find_params(trigger.params, message)}
    return present_row(
        TriggerEvent,
        row,
        zone,
        trigger=trigger.name,
        received_at=precise_time(row.received_at, zone),
        settled_at=UNSET if row.settled_at is None else precise_time(row.settled_at, zone),
        params=params,
        reason=or_unset(row.reason or waits),
        dag_run_id=row.run_name if row.state in events.WITH_RUN else UNSET,
    )


def present_received(received: Received) -> ReceivedEvent:
    """Return what the sender of an event is told."""
    return present_row(
        ReceivedEvent,
        received,
        UTC,
        event_id=received.id,
        dag_run_id=received.id if received.state in events.WITH_RUN else UNSET,
        duplicate=or_unset(received.is_duplicate),
    )


def present_trial(trial: Trial) -> TriggerTest:
    """Return what would become of an event."""
    plan = trial.plan
    return TriggerTest(
        matches=not trial.filter,
        filter=or_unset(trial.filter),
        params=dict(trial.params),
        problem=or_unset(trial.problem),
        plan=UNSET if plan is None else present_row(TriggerPlan, plan, UTC, dag=plan.dag_name),
    )
