"""Definitions as the contract shows them (tags dags)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Pagination, Schema
from dagbook.api.schemas.runs import Condition, DAGRunDetails, DAGRunSummary, RunLabel, Step
from dagbook.engine.status import NodeStatus, RunStatus


class Schedule(Schema, kw_only=True):
    """One cron expression, as written."""

    expression: str


class RunConfig(Schema, kw_only=True):
    """Advice for clients about what may be edited when a run is started."""

    disable_param_edit: bool
    disable_run_id_edit: bool


class HandlerOn(Schema, kw_only=True):
    """The handlers of a DAG; there is no member for init."""

    failure: Step | UnsetType = UNSET
    success: Step | UnsetType = UNSET
    cancel: Step | UnsetType = UNSET
    exit: Step | UnsetType = UNSET


class DAG(Schema, kw_only=True):
    """A DAG in a list."""

    name: str
    group: str | UnsetType = UNSET
    schedule: list[Schedule] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    params: list[str] | UnsetType = UNSET
    default_params: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    queue: str | UnsetType = UNSET
    max_active_runs: int | UnsetType = UNSET
    run_config: RunConfig | UnsetType = UNSET


class DAGDetails(DAG, kw_only=True):
    """A DAG with its steps."""

    env: list[str] | UnsetType = UNSET
    log_dir: str | UnsetType = UNSET
    handler_on: HandlerOn | UnsetType = UNSET
    steps: list[Step] | UnsetType = UNSET
    delay: int | UnsetType = UNSET
    hist_retention_days: int | UnsetType = UNSET
    preconditions: list[Condition] | UnsetType = UNSET
    max_active_steps: int | UnsetType = UNSET


class LocalDag(Schema, kw_only=True):
    """A further document of a file."""

    name: str
    errors: list[str]
    dag: DAGDetails | UnsetType = UNSET


class RecentRun(Schema, kw_only=True):
    """One of the newest runs of a DAG, for a list that shows many."""

    name: str
    dag_run_id: str
    status: RunStatus
    started_at_millis: int | UnsetType = UNSET
    finished_at_millis: int | UnsetType = UNSET


class DAGFile(Schema, kw_only=True):
    """A stored DAG with its latest run."""

    file_name: str
    dag: DAG
    latest_dag_run: DAGRunSummary = msgspec.field(name="latestDAGRun")
    suspended: bool
    errors: list[str]
    recent_runs: list[RecentRun] | UnsetType = UNSET  # ours, when ``recent`` asks for them


class DAGFiles(Schema, kw_only=True):
    """A page of stored DAGs."""

    dags: list[DAGFile]
    errors: list[str]
    pagination: Pagination


class DAGFileDetails(Schema, kw_only=True):
    """A stored DAG with everything about it."""

    dag: DAGDetails | UnsetType = UNSET
    local_dags: list[LocalDag]
    latest_dag_run: DAGRunDetails = msgspec.field(name="latestDAGRun")
    suspended: bool
    errors: list[str]


DAGNameText = Annotated[str, Meta(pattern="^[a-zA-Z0-9_.-]+$")]


class NewDAG(Schema, kw_only=True):
    """A DAG to be stored."""

    name: DAGNameText
    spec: str | UnsetType | None = UNSET
    note: str | UnsetType | None = UNSET


class CreatedDAG(Schema, kw_only=True):
    """The name under which a DAG was stored."""

    name: str


class SpecToValidate(Schema, kw_only=True):
    """A definition to be looked at."""

    spec: str
    name: str | UnsetType | None = UNSET


class Validation(Schema, kw_only=True):
    """What is wrong with a definition; ``nextStarts`` says when its schedules would start it."""

    valid: bool
    errors: list[str]
    dag: DAGDetails | UnsetType = UNSET
    next_starts: list[NextStart] | UnsetType = UNSET  # ours


class Spec(Schema, kw_only=True):
    """The text of a stored DAG."""

    spec: str
    errors: list[str]
    dag: DAGDetails | UnsetType = UNSET


class SpecUpdate(Schema, kw_only=True):
    """A text to be stored."""

    spec: str
    note: str | UnsetType | None = UNSET


class SpecErrors(Schema, kw_only=True):
    """Why a text was not stored; empty when it was."""

    errors: list[str]


class StartDAG(Schema, kw_only=True):
    """How to start a stored DAG."""

    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    dag_name: str | UnsetType | None = UNSET
    singleton: bool | UnsetType | None = False


class NewFileName(Schema, kw_only=True):
    """The file name that a DAG is to have."""

    new_file_name: str


class DAGGridItem(Schema, kw_only=True):
    """How a step fared in each of several runs."""

    name: str
    history: list[NodeStatus]


class DAGHistory(Schema, kw_only=True):
    """The newest runs of a DAG."""

    dag_runs: list[DAGRunDetails]
    grid_data: list[DAGGridItem]


class DAGRunOfDAG(Schema, kw_only=True):
    """One run of a DAG."""

    dag_run: DAGRunDetails


class SearchDAGsMatchItem(Schema, kw_only=True):
    """A line that matches, with the lines around it."""

    line: str
    line_number: int
    start_line: int


class SearchResultItem(Schema, kw_only=True):
    """A stored DAG with lines that match."""

    name: str
    dag: DAG
    matches: list[SearchDAGsMatchItem]


class SearchResults(Schema, kw_only=True):
    """What a search has found."""

    results: list[SearchResultItem]
    errors: list[str]


class Tags(Schema, kw_only=True):
    """All tags."""

    tags: list[str]
    errors: list[str]


class Suspension(Schema, kw_only=True):
    """Whether the DAG's schedules are to rest."""

    suspend: bool


class StoppedAll(Schema, kw_only=True):
    """The runs that could not be asked to stop."""

    errors: list[str]


SortField = Literal["name", "nextRun"]
SortOrder = Literal["asc", "desc"]


class EndedRun(Schema, kw_only=True):
    """A run that is over, and how long it took if it had started."""

    dag_run_id: str
    status: RunStatus
    status_label: RunLabel
    started_at: str
    duration_seconds: float | UnsetType = UNSET


class DAGStatistics(Schema, kw_only=True):
    """How the newest runs of a DAG that are over have ended, and how long those took that succeeded.

    ``truncated`` says that more of the wanted days were left out.
    """

    dag_name: str
    runs: int
    truncated: bool
    succeeded: int
    partially_succeeded: int
    failed: int
    aborted: int
    last_runs: list[EndedRun]
    p50_seconds: float | UnsetType = UNSET
    p95_seconds: float | UnsetType = UNSET


class NextStart(Schema, kw_only=True):
    """When a schedule starts a run."""

    at: str
    expression: str


class NextStarts(Schema, kw_only=True):
    """When a DAG starts next; ``suspended`` says that its schedules rest."""

    suspended: bool
    starts: list[NextStart]
