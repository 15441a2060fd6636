"""Dependencies of a runner, and the port to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from dagbook.engine import event
from dagbook.engine.plan import Plan
from dagbook.engine.state import RunState
from dagbook.executors.contract import SshPolicy
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.model import ClaimedRun
from dagbook.runs.notifications.mailer import Notify
from dagbook.runs.output.output_follower import Chunk, RestoredLogs
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.sub_runs import SubRunService
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.store.run_loading import RunLogFile


class RunnerDeps(msgspec.Struct, frozen=True, kw_only=True):
    """Dependencies of the runner of one attempt; ``log_limit`` in bytes."""

    plan: Plan
    environment: RunEnvironment
    files: RunSpool
    log_limit: int
    log_file: RunLogFile | None  # None unless the definition refers to the log file
    notify: Notify | None = None  # None unless the definition asks for mails
    restored_logs: RestoredLogs
    now: Callable[[], datetime]
    sub_runs: SubRunService
    encrypter: Encrypter
    ssh_policy: SshPolicy = SshPolicy()


class PreparationPort(Protocol):
    """Port to what makes a run ready for its first step."""

    async def evaluate(self, run: ClaimedRun) -> tuple[ClaimedRun, str]:
        """Evaluate the pending inputs of a run; returns the run and a problem that fails it, or ""."""

    def deps(self, run: ClaimedRun) -> RunnerDeps:
        """Return the dependencies of the runner of a run."""


class RunnerPort(Protocol):
    """Port to the Runner for the components that it starts."""

    @property
    def state(self) -> RunState:
        """The latest state, possibly not stored yet."""

    def post(self, event: event.Event, node: NodeExecution | None = None, chunks: list[Chunk] | None = None) -> None:
        """Queue an event; the chunks of its node are stored in the same commit."""

    async def store_log(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> None:
        """Store output of a step that is still running."""

    async def store_node(self, node: NodeExecution) -> None:
        """Store the record of a node with the current state; returns after the commit."""

    async def ask(self, node: NodeExecution, asked_at: datetime, request: Mapping[str, Any]) -> None:
        """Store what a step asks, with the record of its node; returns after the commit."""
