"""The state of one attempt. States are replaced, never changed in place."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from dagbook.engine.status import NodeStatus, RunStatus


class Kill(StrEnum):
    """Why a running node is being killed."""

    STOP = "stop"
    STEP_TIMEOUT = "step_timeout"
    RUN_TIMEOUT = "run_timeout"


class Phase(StrEnum):
    NEW = "new"
    PRECONDITIONS = "preconditions"
    INIT = "init"
    STEPS = "steps"
    OUTCOME = "outcome"  # the success, failure or abort handler
    EXIT = "exit"
    CLOSED = "closed"


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """One step or handler in one attempt. The field names are stored in the history."""

    status: NodeStatus = NodeStatus.NOT_STARTED
    execution: int = 0  # started in this attempt; 0 while the preconditions are checked
    started_at: datetime | None = None
    finished_at: datetime | None = None
    executed_at: datetime | None = None  # when the current execution's process started
    due_at: datetime | None = None  # waits, still running, for a retry or a repetition
    retried_at: datetime | None = None
    retry_count: int = 0
    done_count: int = 0
    repeated: bool = False
    exit_code: int | None = None
    error: str = ""
    checking: bool = False  # preconditions (execution 0) or the repeat condition are being checked
    kill: Kill | None = None
    tolerated: bool = False  # continueOn covers the way this node ended
    verdict: NodeStatus | None = None  # how it ends unless it is repeated; set while that is open
    retry_limit: int | None = None  # evaluated from text, else the step's own number counts
    retry_interval_seconds: int | None = None
    conditions: tuple[str, ...] = ()  # per precondition: why it did not hold, or ""
    decided_by: str = ""  # who approved or rejected


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run: what ``advance`` needs, nothing else. The field names are stored in the history."""

    status: RunStatus = RunStatus.NOT_STARTED
    phase: Phase = Phase.NEW
    steps: tuple[NodeState, ...] = ()
    handlers: dict[int, NodeState] = {}  # by handler key; only those that the DAG defines
    ready: tuple[int, ...] = ()  # in order of becoming ready
    running: tuple[int, ...] = ()  # keys of the running nodes, ascending; derived like ``ready``, never stored
    only: int | None = None  # the retry of one step: no other step runs
    status_before: RunStatus | None = None  # of the previous attempt, for such a retry
    cancelled: bool = False  # no further step starts: a stop, an unmet precondition or a failed init handler
    error: str = ""  # the last error that counts against the run
    error_key: int | None = None  # the node that caused it
    outcome: RunStatus | None = None  # computed when the steps are finished; handlers may downgrade it
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stop_asked_at: datetime | None = None
    signalled_at: datetime | None = None
    killed_at: datetime | None = None
    timed_out: bool = False
    next_pick_at: datetime | None = None  # delaySec: no step starts before
    rested_at: datetime | None = None  # since then only approvals are waited for, and the run's time limit stands still
    rested_seconds: float = 0.0  # in earlier such times
    conditions: tuple[str, ...] = ()
