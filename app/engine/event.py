"""What happened: the facts that ``advance`` is told, in the order they became known."""

from __future__ import annotations

import msgspec

# A node's key: its index among the steps, or one of the handlers' keys below.
INIT, SUCCESS, FAILURE, ABORT, EXIT = -1, -2, -3, -4, -5
HANDLER_KEYS = (INIT, SUCCESS, FAILURE, ABORT, EXIT)
HANDLER_NAMES = {INIT: "onInit", SUCCESS: "onSuccess", FAILURE: "onFailure", ABORT: "onCancel", EXIT: "onExit"}


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the events."""


class Begin(_Event, frozen=True, kw_only=True):
    """The attempt is taken up for the first time; ``problem`` says what it lacks, so that it fails at once."""

    problem: str = ""


class ConditionsChecked(_Event, frozen=True, kw_only=True):
    """The preconditions of the DAG (``key`` is None) or of a node were looked at.

    ``errors`` has a text for each condition, empty where it held; ``problem`` is set
    when one could not be evaluated at all.
    """

    key: int | None
    errors: tuple[str, ...]
    problem: str = ""


class ExecutionBegan(_Event, frozen=True, kw_only=True):
    """The process (or call) of an execution has begun; the step's time limit counts from here."""

    key: int
    execution: int


class StepExited(_Event, frozen=True, kw_only=True):
    """An execution is over and its output is complete.

    ``exit_code`` is what is recorded; ``retry_code`` what retry rules look at when the
    two differ (a set-up failure records 0 and counts as 1). ``prepared`` is False when
    log or redirect files could not be opened or a retry limit was no number: such a
    node is failed without a finished execution. ``partial`` is a sub-run's partial
    success. ``output_matched`` says that a ``continueOn.output`` pattern was found.
    """

    key: int
    execution: int
    exit_code: int
    error: str = ""
    retry_code: int | None = None
    prepared: bool = True
    partial: bool = False
    output_matched: bool = False


class RetryPlanned(_Event, frozen=True, kw_only=True):
    """The texts of a step's retry policy were evaluated: limit and interval in seconds."""

    key: int
    limit: int
    interval_seconds: int


class RepeatChecked(_Event, frozen=True, kw_only=True):
    """The repeat condition was looked at; ``met`` is None when it could not be evaluated."""

    key: int
    execution: int
    met: bool | None


class StopAsked(_Event, frozen=True, kw_only=True):
    """Somebody asked the run to stop; ``at_once`` grants what runs no time to end by itself."""

    at_once: bool = False


class TimeCame(_Event, frozen=True, kw_only=True):
    """The instant that ``due`` named has come (or may have: it is looked at again)."""


Event = Begin | ConditionsChecked | ExecutionBegan | StepExited | RetryPlanned | RepeatChecked | StopAsked | TimeCame
