"""Triggers of the kind ``after``: what they are told to follow, and what their events consist of."""

from __future__ import annotations

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories.accounts import principals
from dagbook.db.repositories.accounts.principals import Principal
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.triggers.events import TriggerEventRow
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.db.repositories.triggers.upstream_ends import UpstreamRun
from dagbook.errors import BadRequestError
from dagbook.spec.model import Pair
from dagbook.triggers.requests import ChangeTrigger, WebhookSettings
from dagbook.triggers.values import Message, Pointer, UnusableError

AFTER = "after"
_MOST_RUNS = 20  # that start one another
_OF_HOOKS = ("scheme", "filters", "secret", "per_minute", "max_bytes")
_CAMEL = {"per_minute": "perMinute", "max_bytes": "maxBytes"}


def check_after(change: ChangeTrigger, settings: WebhookSettings, *, has_upstream: bool) -> WebhookSettings:
    """Return the settings to store, without the name of the DAG, which may be renamed; raises BadRequestError."""
    if not has_upstream:
        raise BadRequestError("settings.after: is missing; name the DAG whose runs are followed")
    if msgspec.structs.replace(settings, after="", on=()) != WebhookSettings():
        raise BadRequestError("settings: a trigger that follows a DAG has after and on; leave the others out")
    for field in _OF_HOOKS:
        if getattr(change, field, None):
            raise BadRequestError(
                f"{_CAMEL.get(field, field)}: a trigger that follows a DAG has none; leave it out. What is to run only "
                "for some outputs has preconditions"
            )
    for name, text in (change.params or {}).items():
        if Pointer.read(text, f"params.{name}").kind != "output":
            raise BadRequestError(f"params.{name}: a run that ended has outputs alone; write output:NAME")
    return WebhookSettings(on=settings.on or ("succeeded",))


def read_upstream(connection: ReadConnection, trigger: TriggerRow, event: TriggerEventRow) -> Message:
    """Return what the run that an event follows gives the next one.

    Raises UnusableError if who added the trigger may not see that run any more, or it follows too many others.
    """
    if event.item is None:
        raise UnusableError("the run that it follows is not in this database")  # it is a snapshot
    run = msgspec.convert(event.item, UpstreamRun)
    if event.depth > _MOST_RUNS:
        raise UnusableError(
            f"{_MOST_RUNS} runs before it have started one another by triggers, and no more may: they go in a circle"
        )
    creator = Principal(user_id=trigger.created_by_id, token_id=trigger.created_by_token_id)
    if not principals.may_see(connection, creator, run.dag):
        raise UnusableError(
            f"{trigger.created_by}, who has added this trigger, may not see the DAG {run.dag} any more; remove it, and "
            "let a user who may add it again"
        )
    variables = {"UPSTREAM_DAG": run.dag, "UPSTREAM_RUN_ID": run.dag_run_id, "UPSTREAM_STATUS": run.status}
    return Message(
        outputs=_read_outputs(connection, run) if trigger.params else {},
        variables=tuple(Pair(*each) for each in variables.items()),
    )


def _read_outputs(connection: ReadConnection, run: UpstreamRun) -> dict[str, str]:
    """Return the outputs of the attempt by the names of their variables; of two of one name the later step's counts."""
    row = runs.get(connection, run.dag, run.dag_run_id)
    if row is None:
        raise UnusableError(f"the run {run.dag_run_id} of the DAG {run.dag} was deleted, and its outputs with it")
    nodes = sorted(runs.get_outputs(connection, row.id, run.attempt), key=lambda node: node.position)
    return {node.output_name: node.output_value or "" for node in nodes if node.output_name}
