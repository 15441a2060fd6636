"""Schemas of triggers and their events (extension of the contract).

What triggers are given is in ``dagbook.triggers.requests``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.json_values import Json

TriggerKind = Literal["webhook", "files", "sftp", "http", "after"]
TriggerEventState = Literal["waiting", "filtered", "started", "superseded", "dead", "discarded", "replayed"]


class Trigger(Schema, kw_only=True):
    """A trigger. ``dag`` is missing when the DAG was deleted; ``secret`` is there once, when it was made.

    ``path`` is the address of a webhook, and ``waitsFor`` is why its events wait. ``baselineAt`` is the time of the
    first look, and ``items`` how many files looks know that start nothing any more; ``looks`` may be a minute old.
    """

    name: str
    dag: str | UnsetType = UNSET
    dag_name: str | UnsetType = UNSET  # that of its runs
    kind: TriggerKind
    scheme: str | UnsetType = UNSET
    settings: dict[str, Json]
    params: dict[str, str]
    filters: list[str]
    queue: str | UnsetType = UNSET
    priority: int
    every_seconds: int | UnsetType = UNSET
    per_minute: int
    max_bytes: int
    max_waiting: int
    collapse: bool
    together: bool
    host: str | UnsetType = UNSET
    paused_at: str | UnsetType = UNSET
    paused_by: str | UnsetType = UNSET
    waits_for: str | UnsetType = UNSET
    problem: str | UnsetType = UNSET
    problem_since: str | UnsetType = UNSET
    looks: int
    looked_at: str | UnsetType = UNSET
    next_look_at: str | UnsetType = UNSET
    baseline_at: str | UnsetType = UNSET
    items: int
    waiting: int
    dead: int
    last_event_at: str | UnsetType = UNSET
    created_by: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    may_change: bool
    may_run: bool


class Triggers(Schema, kw_only=True):
    """Triggers, by name."""

    triggers: list[Trigger]


class TriggerSecret(Schema, kw_only=True):
    """A secret that the sender has made; without one a secret is made here."""

    secret: str | UnsetType = UNSET


class ResumeTrigger(Schema, kw_only=True):
    """Whether the events that wait are discarded, instead of started."""

    discard: bool = False


class TriggerEvent(Schema, kw_only=True):
    """An event of a trigger; its body is apart. Of one event also ``params``, as the mapping of now gives them.

    ``bodyGone`` says of one event that its body was deleted.
    """

    id: str
    trigger: str
    key: str
    state: TriggerEventState
    received_at: str
    settled_at: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    body_bytes: int
    body_gone: bool | UnsetType = UNSET
    headers: dict[str, str]
    item: dict[str, Json] | UnsetType = UNSET
    params: dict[str, str] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    dag_run_id: str | UnsetType = UNSET
    duplicates: int
    replays: int


class TriggerEvents(Schema, kw_only=True):
    """A page of events, the newest first."""

    events: list[TriggerEvent]
    next_cursor: str | UnsetType = UNSET


class ReceivedEvent(Schema, kw_only=True):
    """What the sender of an event is told. An event that is filtered or dead has no run."""

    event_id: str
    dag_run_id: str | UnsetType = UNSET
    state: TriggerEventState
    duplicate: bool | UnsetType = UNSET


class TriggerPlan(Schema, kw_only=True):
    """The run that an event would start. ``params`` are those of the definition and of the event, as they are written.

    ``dag`` is the DAG's name in runs, and ``steps`` are the names of its steps.
    """

    dag: str
    revision: int
    queue: str
    priority: int
    params: dict[str, str]
    steps: list[str]


class TriggerTest(Schema, kw_only=True):
    """What would become of an event: ``filter`` says why it is filtered, and ``problem`` why it would be dead.

    ``params`` are what the mapping gives.
    """

    matches: bool
    filter: str | UnsetType = UNSET
    params: dict[str, str]
    problem: str | UnsetType = UNSET
    plan: TriggerPlan | UnsetType = UNSET


class WebhookRun(Schema, kw_only=True):
    """What the sender of a webhook of Dagu is told. An event that is filtered or dead has no run."""

    dag_run_id: str | UnsetType = UNSET
    dag_name: str
