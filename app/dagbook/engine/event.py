"""The events that ``advance`` takes, in the order in which they become known."""

from __future__ import annotations

import msgspec

# A node's key: its index among the steps, or one of the handlers' keys below.
INIT, SUCCESS, FAILURE, ABORT, EXIT, WAIT = -1, -2, -3, -4, -5, -6
HANDLER_NAMES = {
    INIT: "onInit",
    SUCCESS: "onSuccess",
    FAILURE: "onFailure",
    ABORT: "onCancel",
    EXIT: "onExit",
    WAIT: "onWait",
}


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    pass


class RunStarted(_Event, frozen=True, kw_only=True):
    """The attempt starts; a ``problem`` (a missing secret, for instance) fails it at once."""

    problem: str = ""


class ConditionsChecked(_Event, frozen=True, kw_only=True):
    """The preconditions of the DAG (``key`` is None) or of a node were evaluated.

    ``errors`` has a text for each condition, empty where it is met; ``problem`` is set if one could not be evaluated.
    """

    key: int | None
    errors: tuple[str, ...]
    problem: str = ""


class ExecutionStarted(_Event, frozen=True, kw_only=True):
    """The process (or sub-run) of an execution has started; the step's time limit counts from here."""

    key: int
    execution: int


class StepExited(_Event, frozen=True, kw_only=True):
    """An execution has finished and its output is complete.

    ``exit_code`` is recorded; ``retry_code`` is what retry rules compare if they differ (a set-up failure records 0
    and counts as 1). ``prepared`` is False if log or redirect files could not be opened or a retry limit was not a
    number: the node fails without a finished execution. ``partial`` is a sub-run's partial success.
    ``output_matched`` means that a ``continueOn.output`` pattern was found. A ``final`` failure is never tolerated. An
    approval was decided by ``decided_by``.
    """

    key: int
    execution: int
    exit_code: int
    error: str = ""
    retry_code: int | None = None
    prepared: bool = True
    partial: bool = False
    output_matched: bool = False
    final: bool = False
    decided_by: str = ""


class RetryPlanned(_Event, frozen=True, kw_only=True):
    """The texts of a step's retry policy were evaluated: limit and interval in seconds."""

    key: int
    limit: int
    interval_seconds: int


class RepeatChecked(_Event, frozen=True, kw_only=True):
    """The repeat condition was evaluated; ``met`` is None if that failed."""

    key: int
    execution: int
    met: bool | None


class StopRequested(_Event, frozen=True, kw_only=True):
    """A stop was requested; with ``at_once`` running steps are killed without time to clean up."""

    at_once: bool = False


class TimerFired(_Event, frozen=True, kw_only=True):
    """The instant returned by ``due`` was reached; an early event is harmless."""


Event = (
    RunStarted
    | ConditionsChecked
    | ExecutionStarted
    | StepExited
    | RetryPlanned
    | RepeatChecked
    | StopRequested
    | TimerFired
)
