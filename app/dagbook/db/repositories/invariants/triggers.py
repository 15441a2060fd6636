"""Checks of triggers: each event is one run, and none waits without a reason."""

from __future__ import annotations

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.models import Dag, Run, Trigger, TriggerEvent
from dagbook.db.models.definition import is_suspended
from dagbook.db.models.run import IS_ACTIVE
from dagbook.db.models.trigger import IS_WAITING
from dagbook.db.repositories.invariants.check import RUN, Check, a_server_works, ago
from dagbook.db.repositories.triggers.events import RUN_TRIGGERS

_other = aliased(TriggerEvent)
_has_active_run = exists().where(Run.id == _other.run_id, _other.trigger_id == Trigger.id, IS_ACTIVE)

CHECKS = (
    Check(
        name="run-of-one-event",
        holds="A run that a trigger started is the run of its event, which has no other one.",
        broken=select(*RUN)
        .join(TriggerEvent, TriggerEvent.id == Run.run_id)
        .where(
            Run.trigger.in_([*RUN_TRIGGERS.values()]),
            Run.root_id.is_(None),
            or_(TriggerEvent.run_id.is_(None), TriggerEvent.run_id != Run.id),
        ),
    ),
    Check(
        name="event-waits-for-something",
        holds="While a server works, an event waits at most an hour for nothing but its turn, unless queues are off.",
        broken=select(Trigger.name.label("trigger_name"), TriggerEvent.id)
        .select_from(TriggerEvent)
        .join(Trigger, Trigger.id == TriggerEvent.trigger_id)
        .outerjoin(Dag, Dag.id == Trigger.dag_id)
        .where(
            IS_WAITING,
            TriggerEvent.received_at < ago("hour_ago"),
            Trigger.paused_at.is_(None),
            or_(Dag.id.is_(None), ~is_suspended().element),
            ~_has_active_run,
            a_server_works(),
        ),
    ),
)
