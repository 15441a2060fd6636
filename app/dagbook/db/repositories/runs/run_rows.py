"""Rows that go into the tables of runs: of new runs and attempts, of imported runs, and the changes of transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Pair


class NewRunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run when it is accepted."""

    id: int
    dag_name: str
    run_id: str
    definition_hash: str
    file_name: str | None
    dag_revision: int | None
    queue: str
    root_id: int | None
    parent_id: int | None
    trigger: str
    actor: str | None
    params: Sequence[Pair]  # secrets masked
    params_text: str
    tags: Sequence[str]
    status: RunStatus
    attempt: int
    created_at: datetime
    queued_at: datetime | None
    max_active_runs: int
    scheduled_at: datetime | None = None


class ImportedRunRow(NewRunRow, frozen=True, kw_only=True):
    """A run that another server executed."""

    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


class ReopenedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a run that its next attempt changes."""

    id: int
    status: RunStatus
    attempt: int
    params: Sequence[Pair]
    params_text: str
    queued_at: datetime | None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stop_requested_at: datetime | None = None
    stop_requested_by: str | None = None
    error: str | None = None


class RunChange(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a run that a transition changes."""

    id: int
    status: RunStatus
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


class InputRow(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs of a run; ``sealed`` has them encrypted where the others are masked, ``pending`` what is not evaluated."""

    run_id: int
    params: Sequence[Pair]
    params_json: str | None = None
    env: Sequence[Pair]
    dotenv: Sequence[Pair]
    work_dir: str
    keep_dir: bool
    source_directory: str | None = None
    base_environment: Mapping[str, str] | None = None
    pending: msgspec.Struct | None = None
    run_as: str | None = None
    variables: Sequence[Pair] = ()  # of the event of a trigger
    sealed: bytes | None = None


class NewSecretUse(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that an attempt begins with."""

    run_id: int
    attempt: int
    name: str
    provider: str
    key: str
    version: int | None


class EvaluatedInputs(msgspec.Struct, frozen=True):
    """The evaluated inputs of a run, the text of its params, and the secrets in them."""

    inputs: InputRow
    params_text: str
    uses: Sequence[NewSecretUse] = ()


class ParamsChange(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a run that an evaluation of its inputs changes."""

    id: int
    params: Sequence[Pair]
    params_text: str


class NewAttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt; ``state`` is the engine's state without its nodes."""

    run_id: int
    number: int
    status: RunStatus
    owner: str | None = None
    token: int = 0
    host: str | None = None
    opened_at: datetime
    state: Mapping[str, object] | None = None
    closed_at: datetime | None = None
    principal_id: str | None = None
    principal_token_id: str | None = None


class AttemptChange(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of an attempt that a transition changes."""

    run_id: int
    number: int
    status: RunStatus
    state: Mapping[str, object]
    closed_at: datetime | None


class AttemptOwner(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of an attempt that a claim changes."""

    run_id: int
    number: int
    owner: str
    token: int
    host: str


class NewNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a first attempt."""

    run_id: int
    attempt: int
    position: int
    name: str
    handler: bool
    status: NodeStatus = NodeStatus.NOT_STARTED


class NewEvent(EventRow, frozen=True, kw_only=True):
    """An event to add to the history of a run."""

    run_id: int


class NewChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the output of a node to add."""

    run_id: int
    attempt: int
    position: int
    execution: int
    ordinal: int
    received_at: datetime
    stream: int
    seq: int
    first_line: int
    line_count: int
    byte_offset: int
    byte_count: int
    text: str
    packed: bytes | None


class NewSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a node, which replaces an earlier one."""

    run_id: int
    attempt: int
    position: int
    text: str


class NewApproval(msgspec.Struct, frozen=True, kw_only=True):
    """What a step asks for."""

    run_id: int
    attempt: int
    position: int
    asked_at: datetime
    request: Mapping[str, object]


class NewQueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a run in its queue."""

    run_id: int
    queue: str
    priority: int
    queued_at: datetime
    selector: Mapping[str, str] | None
