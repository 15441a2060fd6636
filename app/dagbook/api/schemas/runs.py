"""Schemas of runs, nodes and logs (tag dag-runs), and event data of the live feed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.batches import BatchOfRun
from dagbook.api.schemas.common import Schema
from dagbook.engine.status import NodeLabel, NodeStatus, RunLabel, RunStatus


class Condition(Schema, kw_only=True):
    """A precondition and, in a run, the reason why it was not met."""

    condition: str
    expected: str | UnsetType = UNSET
    negate: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    matched: bool | UnsetType = UNSET


class RepeatPolicy(Schema, kw_only=True):
    """The repeat policy of a step."""

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
    commands: list[StepCommand] | UnsetType = UNSET  # extension, for web UIs that are newer than the contract
    executor_config: ExecutorConfig | UnsetType = UNSET  # extension
    call: str | UnsetType = UNSET
    params: str | UnsetType = UNSET
    parallel: Parallel | UnsetType = UNSET
    depends: list[str] | UnsetType = UNSET
    repeat_policy: RepeatPolicy | UnsetType = UNSET
    mail_on_error: bool | UnsetType = UNSET
    preconditions: list[Condition] | UnsetType = UNSET
    timeout_sec: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class SubDAGRun(Schema, kw_only=True):
    """A sub-run that a step called."""

    dag_run_id: str
    params: str | UnsetType = UNSET


class ExecutorConfig(Schema, kw_only=True):
    """What carries a step out; its config is not shown, because it may hold passwords."""

    type: str


class WaitingForApproval(Schema, kw_only=True):
    """What a step asks: an extension of the contract. Without ``approvers`` those may decide who may stop the run.

    ``mayDecide`` says whether the caller may.
    """

    since: str
    prompt: str
    input: list[str]
    required: list[str]
    approvers: list[str] | UnsetType = UNSET
    may_decide: bool | UnsetType = UNSET


class Node(Schema, kw_only=True):
    """A step in a run; the members from ``reason`` on are extensions of the contract, most of them about approvals."""

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
    started_at_millis: int | UnsetType = (
        UNSET  # extension, like the next: milliseconds since 1970; the texts have whole seconds
    )
    finished_at_millis: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    waiting: WaitingForApproval | UnsetType = UNSET
    approved_at: str | UnsetType = UNSET
    approved_by: str | UnsetType = UNSET
    approval_inputs: dict[str, str] | UnsetType = UNSET
    rejected_at: str | UnsetType = UNSET
    rejected_by: str | UnsetType = UNSET
    rejection_reason: str | UnsetType = UNSET
    has_summary: bool | UnsetType = UNSET  # its text is in RunSummaries


class PlaceHolder(Schema, kw_only=True):
    """An active run that counts towards the limit of a queue."""

    name: str
    dag_run_id: str
    started_at: str


class WaitingFor(Schema, kw_only=True):
    """The queue position of a run, and the wait reason of the queue's head: an extension of the contract.

    ``message`` says both in one sentence; ``heldBy`` lists at most 20 of the active runs; ``since``, ``by`` and
    ``until`` are start, actor and end of a pause, ``pauseReason`` is why; it is of the queue, or of ``everything``.
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
    until: str | UnsetType = UNSET
    pause_reason: str | UnsetType = UNSET
    everything: bool | UnsetType = UNSET
    selector: dict[str, str] | UnsetType = UNSET


class RunName(Schema, kw_only=True):
    """DAG name and id of a run."""

    name: str
    dag_run_id: str


class DAGRunSummary(Schema, kw_only=True):
    """A run in a list; the members from ``error`` on are extensions of the contract.

    ``error`` says why it failed or was aborted if no step is the reason; ``cause``, in lists, is a line that says why
    in all cases: ``error``, or the step and its error. ``waitingForApproval`` says that a step of a running run waits
    for a person. Times in milliseconds since 1970 are more precise than the texts. ``mayStart`` is in lists of runs:
    whether the caller may start, stop and retry runs of this DAG. ``replacedBy`` is the run that a batch has started to
    do it again, so that it counts as a failure no more.
    """

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
    error: str | UnsetType = UNSET
    cause: str | UnsetType = UNSET
    waiting_for_approval: bool | UnsetType = UNSET
    started_at_millis: int | UnsetType = UNSET
    finished_at_millis: int | UnsetType = UNSET
    may_start: bool | UnsetType = UNSET
    replaced_by: RunName | UnsetType = UNSET


class EventOfRun(Schema, kw_only=True):
    """The event that a run was started for, and the name of its trigger."""

    id: str
    trigger: str


class DAGRunDetails(DAGRunSummary, kw_only=True):
    """A run with its nodes; ``reason`` says why an active run makes no progress: an extension of the contract."""

    reason: str | UnsetType = UNSET
    preconditions: list[Condition]
    nodes: list[Node]
    on_success: Node | UnsetType = UNSET
    on_failure: Node | UnsetType = UNSET
    on_cancel: Node | UnsetType = UNSET
    on_exit: Node | UnsetType = UNSET
    trigger: str | UnsetType = UNSET  # extension, like all that follow
    actor: str | UnsetType = UNSET
    trigger_event: EventOfRun | UnsetType = UNSET  # while the trigger exists and the caller sees its DAG
    batch: BatchOfRun | UnsetType = UNSET  # while it is there and the caller sees it
    began_from: str | UnsetType = UNSET  # the id of the run whose outputs are its DAG_LAST_OUTPUTS
    attempt: int | UnsetType = UNSET
    scheduled_at: str | UnsetType = UNSET  # the minute of the schedule that it is for
    restart_wait_sec: int | UnsetType = UNSET
    on_wait: Node | UnsetType = UNSET
    params_list: list[str] | UnsetType = UNSET  # each as NAME=value; ``params`` does not tell where one ends
    replaces: RunName | UnsetType = UNSET  # the run that it does again, for a batch


class DAGRuns(Schema, kw_only=True):
    """A page of runs, and the cursor of the next one."""

    dag_runs: list[DAGRunSummary]
    next_cursor: str | UnsetType = UNSET  # extension


class DAGRunAnswer(Schema, kw_only=True):
    """One run."""

    dag_run_details: DAGRunDetails


class StartInline(Schema, kw_only=True):
    """A definition to start without storing it as a DAG."""

    spec: str
    name: str | UnsetType | None = UNSET
    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    singleton: bool | UnsetType | None = False
    despite_pause: bool | UnsetType | None = UNSET  # extension: start although everything is paused; for managers
    source_directory: str | UnsetType | None = UNSET  # extension: directory of a file that the CLI runs


class Retry(Schema, kw_only=True):
    """The run to retry, and optionally the only step of it to retry."""

    dag_run_id: str
    step_name: str | UnsetType | None = UNSET


class Reschedule(Schema, kw_only=True):
    """Id and DAG name of the new run, and whether it replaces the old one regardless of the DAG's limit."""

    dag_run_id: str | UnsetType | None = UNSET
    dag_name: str | UnsetType | None = UNSET
    restart: bool | UnsetType | None = UNSET  # extension


class RescheduledRun(Schema, kw_only=True):
    """The id of the new run, and whether it is queued."""

    dag_run_id: str
    queued: bool


class StepStatus(Schema, kw_only=True):
    """The new status of a step, set manually."""

    status: NodeStatus


class SubDAGRunDetail(Schema, kw_only=True):
    """A sub-run that a step called, with its status."""

    dag_run_id: str
    status: RunStatus
    status_label: RunLabel
    started_at: str
    finished_at: str | UnsetType = UNSET
    params: str | UnsetType = UNSET
    error: str | UnsetType = UNSET  # extension as in DAGRunSummary, like all that follow
    started_at_millis: int | UnsetType = UNSET
    finished_at_millis: int | UnsetType = UNSET
    waiting_for_approval: bool | UnsetType = UNSET


class SubDAGRuns(Schema, kw_only=True):
    """The sub-runs that a run's steps called."""

    sub_runs: list[SubDAGRunDetail]


class StartedRun(Schema, kw_only=True):
    """The id of the new run."""

    dag_run_id: str


class Log(Schema, kw_only=True):
    """A page of a log; totals are exact."""

    content: str
    line_count: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET
    is_estimate: bool | UnsetType = UNSET


class Approve(Schema, kw_only=True):
    """The values that are given with an approval, by the names that the step asks for."""

    inputs: Annotated[dict[str, str], Meta(max_length=100)] | UnsetType = UNSET


class Reject(Schema, kw_only=True):
    """Why an approval is refused."""

    reason: str | UnsetType = UNSET


class Approved(Schema, kw_only=True):
    """The step that was approved; ``resumed`` says that the run waits for no other approval."""

    dag_run_id: str
    step_name: str
    resumed: bool


class Rejected(Schema, kw_only=True):
    """The step that was rejected."""

    dag_run_id: str
    step_name: str


class StepBefore(Schema, kw_only=True):
    """A step that ran before another one, and its status."""

    name: str
    status: NodeStatus
    status_label: NodeLabel


class ApprovalItem(WaitingForApproval, kw_only=True):
    """An approval that is waited for. That of a sub-run has the names of its root.

    ``trigger`` and ``actor`` say how the root run was started, ``before`` which steps the asking one depends on.
    With an approval ``next`` can run, with a rejection the handler ``onFailure``; at the ``deadline`` the step fails.
    """

    dag_name: str
    dag_run_id: str
    step_name: str
    root_dag_run_name: str | UnsetType = msgspec.field(name="rootDAGRunName", default=UNSET)
    root_dag_run_id: str | UnsetType = msgspec.field(name="rootDAGRunId", default=UNSET)
    trigger: str
    actor: str | UnsetType = UNSET
    params: str | UnsetType = UNSET
    before: list[StepBefore]
    next: list[str]
    on_failure: str | UnsetType = UNSET
    deadline: str | UnsetType = UNSET


class Approvals(Schema, kw_only=True):
    """The approvals that are waited for, the oldest first; at most 1,000, and whether there are more."""

    approvals: list[ApprovalItem]
    has_more: bool


class ApprovalCount(Schema, kw_only=True):
    """How many approvals are waited for, at most 1,000, and how many of them the caller may decide."""

    open: int
    may_decide: int


class DecidedApproval(Schema, kw_only=True):
    """A decision about an approval, and the status of the step since. That of a sub-run has the names of its root."""

    dag_name: str
    dag_run_id: str
    step_name: str
    root_dag_run_name: str | UnsetType = msgspec.field(name="rootDAGRunName", default=UNSET)
    root_dag_run_id: str | UnsetType = msgspec.field(name="rootDAGRunId", default=UNSET)
    prompt: str
    since: str
    decided_at: str
    decided_by: str
    approved: bool
    inputs: dict[str, str] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    status: NodeStatus
    status_label: NodeLabel


class DecidedApprovals(Schema, kw_only=True):
    """A page of decisions, the newest first, and whether there are older ones."""

    approvals: list[DecidedApproval]
    has_more: bool


class OutputsMetadata(Schema, kw_only=True):
    """The run that outputs belong to; ``params`` is a JSON list of ``NAME=value``, empty without params."""

    dag_name: str
    dag_run_id: str
    attempt_id: str
    status: RunLabel
    completed_at: str
    params: str


class RunOutputs(Schema, kw_only=True):
    """The collected outputs of a finished run by key; empty while it is running."""

    metadata: OutputsMetadata
    outputs: dict[str, str]


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


class ChannelChange(Schema, kw_only=True):
    """A channel of alerts has begun to fail, or fails no more; without its name, which not all clients may see."""

    at: str


class QueueChange(Schema, kw_only=True):
    """A change of a queue's entries or of their wait reasons; without a name, the begin or end of a pause of all."""

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
