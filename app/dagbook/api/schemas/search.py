"""Schemas of the search by names, ids and values, and of that in what recent runs wrote (extensions)."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.auth.roles import Role
from dagbook.engine.status import RunLabel, RunStatus


class DAGMatch(Schema, kw_only=True):
    """A stored DAG; ``mayStart`` says whether the caller may start and suspend it, ``scheduled`` that it has times."""

    file_name: str
    name: str
    may_start: bool
    suspended: bool
    scheduled: bool


class RunMatch(Schema, kw_only=True):
    """A root run."""

    name: str
    dag_run_id: str
    status: RunStatus
    status_label: RunLabel
    started_at: str
    queued_at: str | UnsetType = UNSET
    waiting_for_approval: bool | UnsetType = UNSET


class ParamMatch(RunMatch, kw_only=True):
    """A param of a root run, as NAME=value; one with a long value ends in an ellipsis."""

    param: str


class UserMatch(Schema, kw_only=True):
    """A user, for callers who may list users."""

    id: str
    username: str
    role: Role


class NameMatches(Schema, kw_only=True):
    """What was found by its name, id or value: the best or newest of each kind."""

    dags: list[DAGMatch]
    runs: list[RunMatch]
    params: list[ParamMatch]
    users: list[UserMatch]


class _MatchInRun(Schema, kw_only=True):
    name: str
    dag_run_id: str
    sub_dag_run_id: str | UnsetType = msgspec.field(name="subDAGRunId", default=UNSET)


class ErrorMatch(_MatchInRun, kw_only=True):
    """An error of a root run, of a sub-run of it, or of a step of these: the part around the text that was found."""

    step_name: str | UnsetType = UNSET
    error: str
    finished_at: str


class LineMatch(_MatchInRun, kw_only=True):
    """A line of the output of a step of a root run or of a sub-run of it: the part around the text that was found."""

    step_name: str
    stream: Literal["stdout", "stderr"]
    line: int
    text: str


class TextMatches(Schema, kw_only=True):
    """What recent runs wrote, the newest run first; the search continues with ``nextCursor`` as ``cursor``.

    All runs since ``searchedFrom`` have been searched, with the pages before; ``runsSearched`` are those of this page.
    """

    errors: list[ErrorMatch]
    lines: list[LineMatch]
    searched_from: str
    runs_searched: int
    next_cursor: str | UnsetType = UNSET
