"""Schemas of one step of a run in detail, of summaries, and of the last good run (extensions of the contract)."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.runs import DAGRunSummary
from dagbook.engine.status import NodeStatus


class NamedValue(Schema, kw_only=True):
    """A variable or an output."""

    name: str
    value: str


class StepSummary(Schema, kw_only=True):
    """The summary that a step wrote: its Markdown, and the same as HTML without anything active."""

    step: str
    text: str
    html: str


class RunSummaries(Schema, kw_only=True):
    """The summaries of a run, those of steps first; at most 50, of 256 KiB together."""

    summaries: list[StepSummary]
    has_more: bool | UnsetType = UNSET


class StepExecution(Schema, kw_only=True):
    """How the last execution of a step was carried out; secrets are masked.

    ``commands`` has the words of each command line. The file of a ``script`` is the last word, which is left out.
    ``truncated`` says that the texts are longer than 16,384 characters, and cut. ``service`` is the id of the server or
    worker that started it, ``account`` the one that its commands ran under, if it is not that of the server.
    """

    type: str
    commands: list[list[str]] | UnsetType = UNSET
    script: str | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET
    directory: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    service: str | UnsetType = UNSET
    account: str | UnsetType = UNSET


class StepEnvironment(Schema, kw_only=True):
    """The variables of a step, without those that it inherits from the server.

    ``values`` are params and variables of the run. Of the others there are ``names``, and for managers of the DAG in
    ``managed`` the evaluated ``env`` of the definition and of the step.
    """

    values: list[NamedValue]
    names: list[str]
    managed: list[NamedValue] | UnsetType = UNSET


class StepTry(Schema, kw_only=True):
    """One execution of a step, counted from 1 in its attempt of the run; ``status`` says how it ended, if known."""

    number: int
    started_at: str
    started_at_millis: int
    finished_at: str | UnsetType = UNSET
    finished_at_millis: int | UnsetType = UNSET
    status: NodeStatus | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    error: str | UnsetType = UNSET


class StepApproval(Schema, kw_only=True):
    """What a step asks or asked, since when, and the decision if there is one."""

    asked_at: str
    prompt: str | UnsetType = UNSET
    approved: bool | UnsetType = UNSET
    by: str | UnsetType = UNSET
    at: str | UnsetType = UNSET
    inputs: dict[str, str] | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class StepDetails(Schema, kw_only=True):
    """A step or handler of a run in detail; ``attempt`` is that of the run which ran it.

    ``execution`` is absent if the step has not run, or was run by a version that did not store it. ``tries`` are the
    newest ones, at most 100, oldest first; ``triesLeftOut`` is the number of those before.
    """

    name: str
    attempt: int
    execution: StepExecution | UnsetType = UNSET
    environment: StepEnvironment
    outputs: list[NamedValue]
    tries: list[StepTry]
    tries_left_out: int | UnsetType = UNSET
    approval: StepApproval | UnsetType = UNSET
    summary: StepSummary | UnsetType = UNSET


class GoodRun(DAGRunSummary, kw_only=True):
    """A run that succeeded; ``sameParams`` says that its params are those of the run it is compared with."""

    duration_seconds: float | UnsetType = UNSET
    same_params: bool


class LastGoodRun(Schema, kw_only=True):
    """The newest run before a run that succeeded, also partially; absent if there is none, and for a sub-run."""

    run: GoodRun | UnsetType = UNSET
