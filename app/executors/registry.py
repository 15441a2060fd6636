"""Which module carries out which type of step (DAG format 3.6 and 4).

A module is imported when the first step needs it. One that works **inside** the server has
``async def run(job, streams) -> int``: it gives the exit code, raises StepError or SetupError, and ends what it
began when it is cancelled (a stop; the name of the signal is the cancellation's message) - at once when it is
cancelled a second time. What it begins elsewhere may outlive the server if it **adopts**: then it keeps a note of
that (``Streams.keep``), leaves it alone when it is cancelled with the message ``stopping.DETACH``, and has
``async def adopt(job, streams) -> int`` to go on with it, which is given no more of the job than its id, and
``async def abandon(note) -> None`` to end it when the run is over; as long as there is no note nothing has begun, and
the job may be begun again. Any other has ``def command(job, files) -> Command``: the process it names is
started through the shim like a shell command, so it can be killed, and outlives the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import msgspec

from app.executors.contract import Command, ExecutionFiles, Job, SetupError, Streams

COMMAND_TYPES = frozenset({"", "command", "shell"})
CALL_TYPES = frozenset({"dag", "subworkflow", "parallel"})

Run = Callable[[Job, Streams], Awaitable[int]]
Abandon = Callable[[bytes], Awaitable[None]]
MakeCommand = Callable[[Job, ExecutionFiles], Command]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How a type of step is carried out; ``extra`` is the optional part of the installation that it needs.

    What it writes is **foreign** when programs somewhere write it, in an encoding of theirs.
    """

    module: str
    inside: bool = True
    adopts: bool = False
    foreign: bool = False
    extra: str = ""

    def run(self) -> Run:
        """Give what carries a job out inside the server; raises SetupError."""
        found: Run = self._load().run
        return found

    def adopt(self) -> Run:
        """Give what goes on with a job of another server; raises SetupError."""
        found: Run = self._load().adopt
        return found

    def abandon(self) -> Abandon:
        """Give what ends what a note tells of; raises SetupError."""
        found: Abandon = self._load().abandon
        return found

    def command(self) -> MakeCommand:
        """Give what makes a job's process; raises SetupError."""
        found: MakeCommand = self._load().command
        return found

    def _load(self) -> Any:
        try:
            return import_module(f"app.executors.{self.module}")
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").startswith("app."):
                raise
            raise SetupError(
                f"a step of this type needs a package that is not installed here ({error.name}); "
                f"install it with: pip install 'dagbook[{self.extra}]'"
            ) from error


_ARCHIVE = Kind(module="archive", inside=False, extra="archive")
_DOCKER = Kind(module="docker.step", adopts=True, foreign=True, extra="docker")
_KINDS = {
    "archive": _ARCHIVE,
    "container": _DOCKER,
    "docker": _DOCKER,
    "http": Kind(module="http"),
    "jq": Kind(module="jq", inside=False),
    "mail": Kind(module="mail"),
    "ssh": Kind(module="ssh", foreign=True, extra="ssh"),
}
_NOT_YET = frozenset({"gha", "github_action", "github-action"})


def find(kind: str) -> Kind:
    """Return how a type of step is carried out; raises SetupError."""
    if kind in _NOT_YET:
        raise SetupError(f"steps of type {kind!r} are not supported: Dagbook cannot run GitHub Actions")
    if kind not in _KINDS:
        raise SetupError(f"there is no executor of type {kind!r}")
    return _KINDS[kind]


def is_foreign(name: str) -> bool:
    """Whether programs write the output of such steps: what Dagbook writes itself is UTF-8."""
    return name in COMMAND_TYPES or (name in _KINDS and _KINDS[name].foreign)
