"""What is: the state of one attempt. States are replaced, never changed in place."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from app.engine.status import NodeStatus, RunStatus


class Kill(StrEnum):
    """Why the processes of a running node are being ended."""

    STOP = "stop"
    STEP_TIMEOUT = "step_timeout"
    RUN_TIMEOUT = "run_timeout"


class Phase(StrEnum):
    """Where an attempt stands in its life."""

    NEW = "new"
    PRECONDITIONS = "preconditions"
    INIT = "init"
    STEPS = "steps"
    OUTCOME = "outcome"  # the success, failure or abort handler
    EXIT = "exit"
    CLOSED = "closed"


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """One step or handler in one attempt."""

    status: NodeStatus = NodeStatus.NOT_STARTED
    execution: int = 0  # begun in this attempt; 0 while the preconditions are looked at
    started_at: datetime | None = None
    finished_at: datetime | None = None
    executed_at: datetime | None = None  # when the current execution's process began
    due_at: datetime | None = None  # waits, still running, for a retry or a repetition
    retried_at: datetime | None = None
    retry_count: int = 0
    done_count: int = 0
    repeated: bool = False
    exit_code: int | None = None
    error: str = ""
    checking: bool = False  # conditions (execution 0) or the repeat condition are being looked at
    kill: Kill | None = None
    tolerated: bool = False  # continueOn covers the way this node ended
    verdict: NodeStatus | None = None  # how it ends unless it is repeated; set while that is open
    retry_limit: int | None = None  # evaluated from text, else the step's own number counts
    retry_interval_seconds: int | None = None
    conditions: tuple[str, ...] = ()  # per precondition: why it did not hold, or ""


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run: what ``advance`` needs to know and nothing else."""

    status: RunStatus = RunStatus.NOT_STARTED
    phase: Phase = Phase.NEW
    steps: tuple[NodeState, ...] = ()
    handlers: dict[int, NodeState] = {}  # by handler key; only those that the DAG defines
    ready: tuple[int, ...] = ()  # steps whose turn has come, in order of becoming ready
    running: tuple[int, ...] = ()  # keys of the running nodes, rising; derived like ``ready``, never stored
    only: int | None = None  # the retry of one step: no other step is touched
    status_before: RunStatus | None = None  # of the attempt before, for such a retry
    cancelled: bool = False  # no step is begun any more: a stop, an unmet precondition or a failed init handler
    error: str = ""  # the last error that counts against the run
    error_key: int | None = None  # whose error it was
    outcome: RunStatus | None = None  # computed when the steps are settled; handlers may worsen it
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stop_asked_at: datetime | None = None
    signalled_at: datetime | None = None
    killed_at: datetime | None = None
    timed_out: bool = False
    next_pick_at: datetime | None = None  # delaySec: nothing is picked before
    conditions: tuple[str, ...] = ()
