"""What the driver of a run works with, and what its parts see of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from dagbook.engine import event
from dagbook.engine.plan import Plan
from dagbook.engine.state import RunState
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.notifications.mailer import Notify
from dagbook.runs.output.output_follower import Chunk
from dagbook.runs.output.restored_logs import RestoredLogs
from dagbook.runs.output.spool_paths import RunSpool
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.sub_runs import SubRunService
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.store.run_log import RunLogFile


class RunnerDeps(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's driver works with."""

    plan: Plan
    environment: RunEnvironment
    files: RunSpool
    log_limit: int
    log_file: RunLogFile | None  # only when the definition reads it
    notify: Notify | None = None  # only when the definition wants mails
    restored_logs: RestoredLogs
    now: Callable[[], datetime]
    sub_runs: SubRunService
    encrypter: Encrypter


class RunnerPort(Protocol):
    """Where facts go: the runner, seen from here."""

    @property
    def state(self) -> RunState:
        """The state as the engine last left it."""

    def post(self, fact: event.Event, node: NodeExecution | None = None, chunks: list[Chunk] | None = None) -> None:
        """Tell the run a fact."""

    async def store_log(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> None:
        """Store output of a step that still runs."""

    async def store_node(self, node: NodeExecution) -> None:
        """Store what is kept of a node before anything else happens to it."""
