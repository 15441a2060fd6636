"""Schemas of a run's events (extension of the contract)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Schema

Label = Literal["not_started", "running", "failed", "aborted", "succeeded", "queued", "skipped", "partially_succeeded"]


class RunEvent(Schema, kw_only=True):
    """Changes of a step or handler at one time, or of the run if there is no ``step``; unchanged fields are omitted."""

    number: int
    at: str
    attempt: int
    step: str | UnsetType = UNSET
    status: Annotated[int, Meta(ge=0, le=6)] | UnsetType = UNSET
    status_label: Label | UnsetType = UNSET
    started_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    due_at: str | UnsetType = UNSET
    execution: int | UnsetType = UNSET
    retry_count: int | UnsetType = UNSET
    done_count: int | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    error: str | UnsetType = UNSET
    unmet_preconditions: list[str] | UnsetType = UNSET
    trigger: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET
    retried_step: str | UnsetType = UNSET
    dequeued: bool | UnsetType = UNSET
    set_by_hand: bool | UnsetType = UNSET
    stop_requested_at: str | UnsetType = UNSET
    timed_out: bool | UnsetType = UNSET
    actor: str | UnsetType = UNSET


class RunEvents(Schema, kw_only=True):
    """A page of a run's events; ``next`` is ``after`` of the next page, and absent on the last page."""

    events: list[RunEvent]
    next: int | UnsetType = UNSET
