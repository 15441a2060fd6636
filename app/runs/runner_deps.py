"""What the driver of a run works with, and what its parts see of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from app.engine import event
from app.engine.plan import Plan
from app.engine.state import RunState
from app.runs.children import SubRunService
from app.runs.environment import RunEnvironment
from app.runs.files import RunSpool
from app.runs.kept import RestoredLogs
from app.runs.log import RunLogFile
from app.runs.node import NodeExecution
from app.runs.notify import Notify
from app.runs.sealing import Encrypter
from app.runs.spool import Chunk


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
