"""Runs, nodes and logs as the contract shows them (tag dag-runs)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.engine.status import NodeStatus, RunStatus

RunLabel = Literal["not_started", "running", "failed", "aborted", "succeeded", "queued", "partially_succeeded"]
NodeLabel = Literal["not_started", "running", "failed", "aborted", "succeeded", "skipped", "partially_succeeded"]


class Condition(Schema, kw_only=True):
    """A precondition and, in a run, why it did not hold."""

    condition: str
    expected: str | UnsetType = UNSET
    negate: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    matched: bool | UnsetType = UNSET


class RepeatPolicy(Schema, kw_only=True):
    """How a step is repeated."""

    repeat: Literal["while", "until"] | UnsetType = UNSET
    interval: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    backoff: bool | float | UnsetType = UNSET
    max_interval_sec: int | UnsetType = UNSET
    condition: Condition | UnsetType = UNSET
    exit_code: list[int] | UnsetType = UNSET


class Parallel(Schema, kw_only=True):
    """The items of a parallel call."""

    items: list[str] | str
    max_concurrent: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class StepCommand(Schema, kw_only=True):
    """A command of a step."""

    command: str
    args: list[str] | UnsetType = UNSET


class Step(Schema, kw_only=True):
    """One step of a definition."""

    name: str
    id: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    dir: str | UnsetType = UNSET
    cmd_with_args: str | UnsetType = UNSET
    command: str | UnsetType = UNSET
    script: str | UnsetType = UNSET
    stdout: str | UnsetType = UNSET
    stderr: str | UnsetType = UNSET
    output: str | UnsetType = UNSET
    args: list[str] | UnsetType = UNSET
    commands: list[StepCommand] | UnsetType = UNSET  # ours: what web UIs later than the contract show
    call: str | UnsetType = UNSET
    params: str | UnsetType = UNSET
    parallel: Parallel | UnsetType = UNSET
    depends: list[str] | UnsetType = UNSET
    repeat_policy: RepeatPolicy | UnsetType = UNSET
    mail_on_error: bool | UnsetType = UNSET
    preconditions: list[Condition] | UnsetType = UNSET
    timeout_sec: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class SubDAGRun(Schema, kw_only=True):
    """A run that a step has called."""

    dag_run_id: str
    params: str | UnsetType = UNSET


class Node(Schema, kw_only=True):
    """A step in a run."""

    step: Step
    stdout: str
    stderr: str
    started_at: str
    finished_at: str
    status: NodeStatus
    status_label: NodeLabel
    retry_count: int
    done_count: int
    sub_runs: list[SubDAGRun] | UnsetType = UNSET
    sub_runs_repeated: list[SubDAGRun] | UnsetType = UNSET
    error: str | UnsetType = UNSET
    started_at_millis: int | UnsetType = UNSET  # ours, like the next: milliseconds since 1970, finer than the texts
    finished_at_millis: int | UnsetType = UNSET


class PlaceHolder(Schema, kw_only=True):
    """A run that holds a place in a queue."""

    name: str
    dag_run_id: str
    started_at: str


class WaitingFor(Schema, kw_only=True):
    """How a run stands in its queue, and what the first one there waits for: an extension of the contract.

    ``message`` says it all in a sentence; ``heldBy`` names at most 20 of the runs under way, ``since`` and ``by`` tell
    of a pause.
    """

    queue: str
    item: int
    priority: int
    position: int
    reason: Literal["limit", "paused", "noWorker", "queuesOff", "turn"]
    message: str
    limit: int | UnsetType = UNSET
    running: int | UnsetType = UNSET
    held_by: list[PlaceHolder] | UnsetType = UNSET
    since: str | UnsetType = UNSET
    by: str | UnsetType = UNSET
    selector: dict[str, str] | UnsetType = UNSET


class DAGRunSummary(Schema, kw_only=True):
    """A run in a list."""

    root_dag_run_name: str = msgspec.field(name="rootDAGRunName")
    root_dag_run_id: str = msgspec.field(name="rootDAGRunId")
    dag_run_id: str
    name: str
    status: RunStatus
    status_label: RunLabel
    started_at: str
    finished_at: str
    log: str
    parent_dag_run_name: str | UnsetType = msgspec.field(name="parentDAGRunName", default=UNSET)
    parent_dag_run_id: str | UnsetType = msgspec.field(name="parentDAGRunId", default=UNSET)
    queued_at: str | UnsetType = UNSET
    params: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    waiting_for: WaitingFor | UnsetType = UNSET


class DAGRunDetails(DAGRunSummary, kw_only=True):
    """A run with its nodes; ``reason`` says why one that is under way does not go on: an extension of the contract."""

    reason: str | UnsetType = UNSET
    preconditions: list[Condition]
    nodes: list[Node]
    on_success: Node | UnsetType = UNSET
    on_failure: Node | UnsetType = UNSET
    on_cancel: Node | UnsetType = UNSET
    on_exit: Node | UnsetType = UNSET
    trigger: str | UnsetType = UNSET  # ours, like all that follow
    actor: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    started_at_millis: int | UnsetType = UNSET
    finished_at_millis: int | UnsetType = UNSET
    restart_wait_sec: int | UnsetType = UNSET


class DAGRuns(Schema, kw_only=True):
    """A list of runs, and where it goes on."""

    dag_runs: list[DAGRunSummary]
    next_cursor: str | UnsetType = UNSET  # ours


class DAGRunAnswer(Schema, kw_only=True):
    """One run."""

    dag_run_details: DAGRunDetails


class StartInline(Schema, kw_only=True):
    """A definition to be run at once, without being stored as a DAG."""

    spec: str
    name: str | UnsetType | None = UNSET
    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    singleton: bool | UnsetType | None = False
    source_directory: str | UnsetType | None = UNSET  # ours: where a file lies that a terminal runs


class Retry(Schema, kw_only=True):
    """Which run is to be tried again, or which step of it alone."""

    dag_run_id: str
    step_name: str | UnsetType | None = UNSET


class Reschedule(Schema, kw_only=True):
    """How the new run is called, and whether it replaces the old one, whatever limit its DAG has."""

    dag_run_id: str | UnsetType | None = UNSET
    dag_name: str | UnsetType | None = UNSET
    restart: bool | UnsetType | None = UNSET  # ours


class RescheduledRun(Schema, kw_only=True):
    """The new run, and whether it waits in a queue."""

    dag_run_id: str
    queued: bool


class StepStatus(Schema, kw_only=True):
    """The status that a step is given by hand."""

    status: NodeStatus


class SubDAGRunDetail(Schema, kw_only=True):
    """A run that a step has called, and how it stands."""

    dag_run_id: str
    status: RunStatus
    status_label: RunLabel
    started_at: str
    finished_at: str | UnsetType = UNSET
    params: str | UnsetType = UNSET


class SubDAGRuns(Schema, kw_only=True):
    """The runs that a run's steps have called."""

    sub_runs: list[SubDAGRunDetail]


class StartedRun(Schema, kw_only=True):
    """The id of the run that was started."""

    dag_run_id: str


class Log(Schema, kw_only=True):
    """A page of a log; totals are exact."""

    content: str
    line_count: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    is_estimate: bool | UnsetType = UNSET
