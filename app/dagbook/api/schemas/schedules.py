"""Schemas of schedules, an extension of the contract."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Pagination, Schema

Kind = Literal["start", "stop", "restart"]
Outcome = Literal["started", "queued", "stopped", "restarting", "restarted", "skipped", "suspended", "missed", "failed"]


class Upcoming(Schema, kw_only=True):
    """An upcoming scheduled start, stop or restart; ``suspended`` says that the schedules of its DAG are suspended."""

    file_name: str
    dag_name: str
    kind: Kind
    at: str
    expression: str
    zone: str
    suspended: bool


class UpcomingList(Schema, kw_only=True):
    """The next scheduled starts, stops and restarts of all DAGs, in order of time."""

    upcoming: list[Upcoming]


class Slot(Schema, kw_only=True):
    """A minute at which a schedule was due, and its outcome; ``reason`` says why no run was started."""

    file_name: str
    kind: Kind
    scheduled_at: str
    outcome: Outcome
    settled_at: str
    reason: str | UnsetType = UNSET
    dag_name: str | UnsetType = UNSET
    dag_run_id: str | UnsetType = UNSET
    made_up: bool | UnsetType = UNSET


class Slots(Schema, kw_only=True):
    """A page of slots, newest first."""

    slots: list[Slot]
    pagination: Pagination


class DagSettings(Schema, kw_only=True):
    """The catch-up of a DAG: none, the latest or all missed starts within a window in seconds are made up."""

    catchup: Literal["none", "latest", "all"]
    catchup_window_sec: Annotated[int, Meta(ge=60, le=31 * 24 * 60 * 60)] | UnsetType = UNSET


class ShownDagSettings(Schema, kw_only=True):
    """The effective catch-up of a DAG, with the maximum number of starts that are made up at a time."""

    catchup: Literal["none", "latest", "all"]
    catchup_window_sec: int
    catchup_most_starts: int
