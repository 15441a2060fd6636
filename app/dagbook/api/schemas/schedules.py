"""What schedules have done and will do, an extension of the contract."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Pagination, Schema

Kind = Literal["start", "stop", "restart"]
Outcome = Literal["started", "queued", "stopped", "restarting", "restarted", "skipped", "suspended", "missed", "failed"]


class Upcoming(Schema, kw_only=True):
    """Something that a schedule wants at a time; ``suspended`` says that it will not be done as things are."""

    file_name: str
    dag_name: str
    kind: Kind
    at: str
    expression: str
    zone: str
    suspended: bool


class UpcomingList(Schema, kw_only=True):
    """What comes next of all DAGs, in order."""

    upcoming: list[Upcoming]


class Slot(Schema, kw_only=True):
    """A minute at which a schedule was due, and what became of it; ``reason`` says why nothing was begun."""

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
    """A page of slots, the newest first."""

    slots: list[Slot]
    pagination: Pagination


class DagSettings(Schema, kw_only=True):
    """Which missed starts of a DAG are made up: none, the latest or all that are at most so many seconds ago."""

    catchup: Literal["none", "latest", "all"]
    catchup_window_sec: Annotated[int, Meta(ge=60, le=31 * 24 * 60 * 60)] | UnsetType = UNSET


class ShownDagSettings(Schema, kw_only=True):
    """The same as it is in force, with the most starts that are made up at a time."""

    catchup: Literal["none", "latest", "all"]
    catchup_window_sec: int
    catchup_most_starts: int
