"""Event data of the live feed."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.runs import RunLabel
from dagbook.engine.status import RunStatus


class RunName(Schema, kw_only=True):
    """DAG name and id of a run."""

    name: str
    dag_run_id: str


class Position(Schema, kw_only=True):
    """The event id to resume from; all later changes follow."""

    after: str


class RunChange(Schema, kw_only=True):
    """A change of a run or of one of its steps; ``event`` is the number of the run's newest event."""

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
    """A change of a stored DAG."""

    at: str
    name: str
    file_name: str
    what: Literal["created", "saved", "renamed", "deleted", "suspended", "resumed", "redacted", "configured"]
    new_file_name: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET


class QueueChange(Schema, kw_only=True):
    """A change of a queue's entries or of their wait reasons."""

    at: str
    queue: str


class LogChange(Schema, kw_only=True):
    """The stored length of a running step's output: complete lines, and bytes."""

    name: str
    dag_run_id: str
    root: RunName | UnsetType = UNSET
    attempt: int
    step: str
    stream: Literal["stdout", "stderr"]
    lines: int
    bytes: int
