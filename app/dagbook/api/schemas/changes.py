"""What the live feed tells, as the data of its events."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.runs import RunLabel
from dagbook.engine.status import RunStatus


class RunName(Schema, kw_only=True):
    """The names of a run."""

    name: str
    dag_run_id: str


class Position(Schema, kw_only=True):
    """From where on everything is told: the number to resume by."""

    after: str


class RunChange(Schema, kw_only=True):
    """A run, or a step of it, has changed; ``event`` is the newest number in its history."""

    at: str
    name: str
    dag_run_id: str
    root: RunName | UnsetType = UNSET
    attempt: int
    status: RunStatus
    status_label: RunLabel
    event: int
    removed: bool | UnsetType = UNSET


class DAGChange(Schema, kw_only=True):
    """A stored DAG has changed."""

    at: str
    name: str
    file_name: str
    what: Literal["created", "saved", "renamed", "deleted", "suspended", "resumed", "redacted", "configured"]
    new_file_name: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET


class QueueChange(Schema, kw_only=True):
    """What waits in a queue has changed, or why."""

    at: str
    queue: str


class LogChange(Schema, kw_only=True):
    """How far the output of a running step can be read: whole lines, and bytes."""

    name: str
    dag_run_id: str
    root: RunName | UnsetType = UNSET
    attempt: int
    step: str
    stream: Literal["stdout", "stderr"]
    lines: int
    bytes: int
