"""The actions that ``advance`` returns for the runner to carry out."""

from __future__ import annotations

import msgspec

from dagbook.engine.status import RunStatus


class _Action(msgspec.Struct, frozen=True, kw_only=True):
    pass


class CheckConditions(_Action, frozen=True, kw_only=True):
    """Evaluate the preconditions of the DAG (``key`` is None) or of a node; answered by ``ConditionsChecked``."""

    key: int | None


class StartStep(_Action, frozen=True, kw_only=True):
    """Start an execution once the state is stored; answered by ``ExecutionStarted``, then ``StepExited``."""

    key: int
    execution: int


class CheckRepeat(_Action, frozen=True, kw_only=True):
    """Evaluate the repeat condition of a node; answered by ``RepeatChecked``."""

    key: int
    execution: int


class SignalStep(_Action, frozen=True, kw_only=True):
    """Send a signal (its POSIX name) to every process of the execution.

    Without a process the action has no effect; it is emitted again after ``ExecutionStarted``.
    """

    key: int
    signal: str


class KillStep(_Action, frozen=True, kw_only=True):
    """Kill every process of the execution, or the condition check of the node that is running.

    Without either the action has no effect; it is emitted again after ``ExecutionStarted``.
    """

    key: int


class AdoptStep(_Action, frozen=True, kw_only=True):
    """Adopt an execution that another process started: inspect its spool files."""

    key: int
    execution: int


class CloseRun(_Action, frozen=True, kw_only=True):
    status: RunStatus


Action = CheckConditions | StartStep | CheckRepeat | SignalStep | KillStep | AdoptStep | CloseRun
