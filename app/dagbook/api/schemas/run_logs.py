"""Schemas of a run's events, its output in one stream, and searches in its logs (extensions of the contract)."""

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


class LogHit(Schema, kw_only=True):
    """A matching line; ``text`` is an excerpt that starts at character ``column`` of the line.

    ``start`` and ``end`` are the offsets of the first match in ``text``. Lines and columns count from 1. Without
    ``stream`` the line is one of both streams as one. ``dagRunId`` is that of a sub-run.
    """

    step: str
    stream: Literal["stdout", "stderr"] | UnsetType = UNSET
    dag_run_id: str | UnsetType = UNSET
    line: int
    column: int
    text: str
    start: int
    end: int


class LogHits(Schema, kw_only=True):
    """Hits in the order of steps, streams and lines.

    ``total`` is the number of all hits, on the first page only; ``isEstimate`` says that there may be more. With
    ``next`` as ``after`` the search continues.
    """

    hits: list[LogHit]
    total: int | UnsetType = UNSET
    is_estimate: bool | UnsetType = UNSET
    next: str | UnsetType = UNSET


class LogPiece(Schema, kw_only=True):
    """Output of a step between two reads of the server; the unmodified ``text`` starts in or at the start of ``line``.

    A piece may end inside a line; the next one of that step and stream continues there. ``place`` is its cursor, and
    ``execution`` counts the tries and repetitions of the step. A piece of a sub-run has ``dagName`` and ``dagRunId``.
    """

    at: str
    step: str
    stream: Literal["stdout", "stderr"]
    execution: int
    line: int
    text: str
    place: str
    dag_name: str | UnsetType = UNSET
    dag_run_id: str | UnsetType = UNSET


class LogPieces(Schema, kw_only=True):
    """Pieces in the order of arrival, and whether there are earlier and later ones."""

    pieces: list[LogPiece]
    has_earlier: bool
    has_more: bool


class StepLinesPiece(Schema, kw_only=True):
    """Consecutive lines of one stream that the server received at one time; the last one may be incomplete.

    ``line`` is the number of the first among the selected streams, ``number`` that in its own stream.
    """

    line: int
    stream: Literal["stdout", "stderr"]
    number: int
    execution: int
    at: str
    text: str


class StepLines(Schema, kw_only=True):
    """A page of ``count`` lines of a step; fewer than wanted when they are long.

    ``total`` is the number of all lines of the selected streams, ``first`` and ``last`` are those of the selected
    execution. A line that one stream left incomplete may be continued by the other.
    """

    total: int
    first: int
    last: int
    count: int
    pieces: list[StepLinesPiece]
