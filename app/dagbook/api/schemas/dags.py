"""Schemas of DAGs (tag dags) and of schedules (extension of the contract)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Pagination, Schema
from dagbook.api.schemas.runs import Condition, DAGRunDetails, DAGRunSummary, Step
from dagbook.api.schemas.sources import DagSource
from dagbook.db.types import CatchUp, SlotResult
from dagbook.engine.status import NodeStatus, RunLabel, RunStatus
from dagbook.spec.time.schedule import Kind

DAGNameText = Annotated[str, Meta(pattern="^[a-zA-Z0-9_.-]+$")]


class Schedule(Schema, kw_only=True):
    """One cron expression, as written and in ``words``, such as "Monday to Friday at 07:00" in its own zone."""

    expression: str
    words: str | UnsetType = UNSET


class RunConfig(Schema, kw_only=True):
    """What clients should not let users edit when they start a run."""

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
    """A further document of a DAG file."""

    name: str
    errors: list[str]
    dag: DAGDetails | UnsetType = UNSET


class RecentRun(Schema, kw_only=True):
    """One of the newest runs of a DAG, in a list of DAGs."""

    name: str
    dag_run_id: str
    status: RunStatus
    started_at_millis: int | UnsetType = UNSET
    finished_at_millis: int | UnsetType = UNSET
    waiting_for_approval: bool | UnsetType = UNSET


class DAGSuspension(Schema, kw_only=True):
    """By whom the schedules of a DAG were suspended, why, and until when."""

    by: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    until: str | UnsetType = UNSET


class DAGFile(Schema, kw_only=True):
    """A stored DAG with its latest run, and what the caller may do with it (an extension)."""

    file_name: str
    dag: DAG
    latest_dag_run: DAGRunSummary = msgspec.field(name="latestDAGRun")
    suspended: bool
    suspension: DAGSuspension | UnsetType = UNSET  # extension
    errors: list[str]
    recent_runs: list[RecentRun] | UnsetType = UNSET  # extension, with the parameter ``recent``
    source: DagSource | UnsetType = UNSET  # extension
    may_start: bool | UnsetType = UNSET
    may_edit: bool | UnsetType = UNSET


class DAGFiles(Schema, kw_only=True):
    """A page of stored DAGs."""

    dags: list[DAGFile]
    errors: list[str]
    pagination: Pagination


class DAGFileDetails(Schema, kw_only=True):
    """A stored DAG with its local DAGs and its latest run."""

    dag: DAGDetails | UnsetType = UNSET
    local_dags: list[LocalDag]
    latest_dag_run: DAGRunDetails = msgspec.field(name="latestDAGRun")
    suspended: bool
    suspension: DAGSuspension | UnsetType = UNSET  # extension
    errors: list[str]
    source: DagSource | UnsetType = UNSET  # extension


class NewDAG(Schema, kw_only=True):
    """A new DAG."""

    name: DAGNameText
    spec: str | UnsetType | None = UNSET
    note: str | UnsetType | None = UNSET


class CreatedDAG(Schema, kw_only=True):
    """The name under which a DAG was stored."""

    name: str


class SpecToValidate(Schema, kw_only=True):
    """A definition to validate."""

    spec: str
    name: str | UnsetType | None = UNSET


class Validation(Schema, kw_only=True):
    """The problems of a definition; ``nextStarts`` are the starts that its schedules would cause.

    ``warnings`` are what is valid but likely to be a mistake, and values that stand in shell text without protection.
    """

    valid: bool
    errors: list[str]
    warnings: list[str] | UnsetType = UNSET  # extension
    dag: DAGDetails | UnsetType = UNSET
    next_starts: list[NextStart] | UnsetType = UNSET  # extension


class Spec(Schema, kw_only=True):
    """The text of a stored DAG, with its problems and warnings."""

    spec: str
    errors: list[str]
    dag: DAGDetails | UnsetType = UNSET


class SpecUpdate(Schema, kw_only=True):
    """A text to save."""

    spec: str
    note: str | UnsetType | None = UNSET


class SpecErrors(Schema, kw_only=True):
    """The problems why a text was not saved; empty when it was saved."""

    errors: list[str]


class StartDAG(Schema, kw_only=True):
    """Options for the start of a stored DAG."""

    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    dag_name: str | UnsetType | None = UNSET
    singleton: bool | UnsetType | None = False
    despite_pause: bool | UnsetType | None = UNSET  # extension: start although everything is paused; for managers


class NewFileName(Schema, kw_only=True):
    """The new file name of a DAG."""

    new_file_name: str


class DAGGridItem(Schema, kw_only=True):
    """The status of a step in each of several runs."""

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
    """A matching line with its context lines."""

    line: str
    line_number: int
    start_line: int


class SearchResultItem(Schema, kw_only=True):
    """A stored DAG with its matching lines."""

    name: str
    dag: DAG
    matches: list[SearchDAGsMatchItem]


class SearchResults(Schema, kw_only=True):
    """The results of a search."""

    results: list[SearchResultItem]
    errors: list[str]


class Tags(Schema, kw_only=True):
    """The tags of all stored DAGs."""

    tags: list[str]
    errors: list[str]


class Suspension(Schema, kw_only=True):
    """Whether to suspend the DAG's schedules; reason and end, RFC 3339, are extensions."""

    suspend: bool
    reason: str | UnsetType | None = UNSET
    until: str | UnsetType | None = UNSET


class StoppedAll(Schema, kw_only=True):
    """Errors of the runs for which no stop could be requested."""

    errors: list[str]


class EndedRun(Schema, kw_only=True):
    """A finished run, with its duration if it had started."""

    dag_run_id: str
    status: RunStatus
    status_label: RunLabel
    started_at: str
    duration_seconds: float | UnsetType = UNSET


class DAGStatistics(Schema, kw_only=True):
    """Outcomes of the newest finished runs of a DAG, and durations of those that succeeded.

    ``truncated`` says that more runs of the requested days were left out.
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


class StatusCount(Schema, kw_only=True):
    """How many runs have a status."""

    status: RunStatus
    status_label: RunLabel
    count: int


class DAGDay(Schema, kw_only=True):
    """Runs of a DAG that were created on a day, from ``fromDate`` up to ``toDate``, in seconds since 1970."""

    date: str
    from_date: int
    to_date: int
    counts: list[StatusCount]


class DAGDays(Schema, kw_only=True):
    """Runs of a DAG by day and status, oldest day first.

    ``truncated`` says that there are more runs: the days before the first one are left out, and that one may lack some.
    """

    dag_name: str
    zone: str
    truncated: bool
    days: list[DAGDay]


class NextStart(Schema, kw_only=True):
    """A scheduled start of a run."""

    at: str
    expression: str


class NextStarts(Schema, kw_only=True):
    """The next scheduled starts of a DAG; ``suspended`` says that its schedules are suspended."""

    suspended: bool
    starts: list[NextStart]


class Revision(Schema, kw_only=True):
    """One revision of a DAG; ``hash`` is the hash of its text, by which runs refer to it."""

    number: int
    saved_at: str
    hash: str
    author: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    commit: str | UnsetType = UNSET
    redacted_at: str | UnsetType = UNSET
    redacted_by: str | UnsetType = UNSET


class RevisionText(Revision, kw_only=True):
    """One revision of a DAG with its text, which is absent when it was redacted."""

    spec: str | UnsetType = UNSET


class Revisions(Schema, kw_only=True):
    """A page of a DAG's revisions, newest first."""

    revisions: list[Revision]
    pagination: Pagination


class RevisionDiff(Schema, kw_only=True):
    """The unified diff of two revisions; empty when their texts are equal."""

    from_: int = msgspec.field(name="from")
    to: int
    diff: str


class TextToCompare(Schema, kw_only=True):
    """A text that is not saved."""

    spec: str


class TextDiff(Schema, kw_only=True):
    """The unified diff of the newest revision and a text; empty when they are equal."""

    revision: int
    diff: str


class Restore(Schema, kw_only=True):
    """Options for restoring a revision."""

    note: str | UnsetType | None = UNSET


class Restored(Schema, kw_only=True):
    """The new revision, or the problems why none was saved."""

    errors: list[str]
    revision: int | UnsetType = UNSET


class Upcoming(Schema, kw_only=True):
    """An upcoming scheduled start, stop or restart; ``suspended`` says that the schedules of its DAG are suspended."""

    file_name: str
    dag_name: str
    kind: Kind
    at: str
    expression: str
    zone: str
    suspended: bool
    words: str | UnsetType = UNSET


class UpcomingList(Schema, kw_only=True):
    """The next scheduled starts, stops and restarts of all DAGs, in order of time."""

    upcoming: list[Upcoming]


class Slot(Schema, kw_only=True):
    """A minute at which a schedule was due, and its outcome; ``reason`` says why no run was started."""

    file_name: str
    kind: Kind
    scheduled_at: str
    outcome: SlotResult
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

    catchup: CatchUp
    catchup_window_sec: Annotated[int, Meta(ge=60, le=31 * 24 * 60 * 60)] | UnsetType = UNSET


class DagAccount(Schema, kw_only=True):
    """An account of the server's machine; empty for the one of the settings."""

    account: Annotated[str, Meta(max_length=256, pattern=r"\A[^\0-\x1f\x7f/:]*\Z")]


class ShownDagAccount(Schema, kw_only=True):
    """The account that a DAG has, and the one that counts; both are empty for that of the server."""

    account: str
    effective: str


class ShownDagSettings(Schema, kw_only=True):
    """The effective catch-up of a DAG, with the maximum number of starts that are made up at a time."""

    catchup: CatchUp
    catchup_window_sec: int
    catchup_most_starts: int
