"""What to do: the orders that ``advance`` gives to whoever drives the run."""

from __future__ import annotations

import msgspec

from app.engine.status import RunStatus


class _Action(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the actions."""


class CheckConditions(_Action, frozen=True, kw_only=True):
    """Look at the preconditions of the DAG (``key`` is None) or of a node; answer ``ConditionsChecked``."""

    key: int | None


class StartStep(_Action, frozen=True, kw_only=True):
    """Begin an execution once the state is stored; answer ``ExecutionBegan``, then ``StepExited``."""

    key: int
    execution: int


class CheckRepeat(_Action, frozen=True, kw_only=True):
    """Look at the repeat condition of a node; answer ``RepeatChecked``."""

    key: int
    execution: int


class SignalStep(_Action, frozen=True, kw_only=True):
    """Send a signal (its POSIX name) to every process of the execution.

    Where there is no process yet the order is void: it is given again after ``ExecutionBegan``.
    """

    key: int
    signal: str


class KillStep(_Action, frozen=True, kw_only=True):
    """End every process of the execution for good, or the check of a condition of the node that is under way.

    Where there is neither the order is void: it is given again after ``ExecutionBegan``.
    """

    key: int


class AdoptStep(_Action, frozen=True, kw_only=True):
    """Take up an execution that another process began: look at what it left behind."""

    key: int
    execution: int


class CloseRun(_Action, frozen=True, kw_only=True):
    """The attempt is over."""

    status: RunStatus


Action = CheckConditions | StartStep | CheckRepeat | SignalStep | KillStep | AdoptStep | CloseRun
