"""The executor of each step type (DAG format 3.6 and 4).

Its module is imported when the first step needs it. An **in-process** executor has
``async def run(job, streams) -> int``: it returns the exit code, raises StepError or SetupError, and stops what it has
started when it is cancelled (the message of the cancellation is the name of the signal), or kills it when it is
cancelled a second time. What it starts on another host may outlive the server if it **adopts**: then it saves a note
(``Streams.save_note``), leaves it running when it is cancelled with the message ``cancellation.DETACH``, and has
``async def adopt(job, streams) -> int``, which gets a job with nothing but its id, and
``async def abandon(note) -> None``, which kills it after the run; without a note nothing was started, and the job may
be started again. Any other executor has ``def command(job) -> Command``: its process is started through the
shim like a shell command, so that it can be killed and outlives the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from types import ModuleType

import msgspec

from dagbook.executors.contract import Command, Job, SetupError, StartError, Streams

COMMAND_TYPES = frozenset({"", "command", "shell"})
CALL_TYPES = frozenset({"dag", "subworkflow", "parallel"})

Run = Callable[[Job, Streams], Awaitable[int]]
Abandon = Callable[[bytes], Awaitable[None]]
MakeCommand = Callable[[Job], Command]


class ExecutorType(msgspec.Struct, frozen=True, kw_only=True):
    """The executor of a step type; ``extra`` is the optional dependency that it needs.

    With ``program_encoding`` its output is written by programs, in their encoding; what Dagbook writes is UTF-8.
    """

    module: str
    in_process: bool = True
    adopts: bool = False
    program_encoding: bool = False
    extra: str = ""

    def run(self) -> Run:
        """Return the function that runs a job. Raises SetupError."""
        found: Run = self._load().run
        return found

    def adopt(self) -> Run:
        """Return the function that adopts a job of another server. Raises SetupError."""
        found: Run = self._load().adopt
        return found

    def abandon(self) -> Abandon:
        """Return the function that kills what a note names. Raises SetupError."""
        found: Abandon = self._load().abandon
        return found

    def command(self) -> MakeCommand:
        """Return the function that makes a job's command. Raises SetupError."""
        found: MakeCommand = self._load().command
        return found

    def _load(self) -> ModuleType:
        try:
            return import_module(f"dagbook.executors.{self.module}")
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").startswith("dagbook."):
                raise
            raise SetupError(
                f"a step of this type needs a package that is not installed here ({error.name}); "
                f"install it with: pip install 'dagbook[{self.extra}]'"
            ) from error


_ARCHIVE = ExecutorType(module="archive.options", in_process=False, extra="archive")
_DOCKER = ExecutorType(module="docker.step", adopts=True, program_encoding=True, extra="docker")
_TYPES = {
    "archive": _ARCHIVE,
    "container": _DOCKER,
    "docker": _DOCKER,
    "http": ExecutorType(module="http.http"),
    "jq": ExecutorType(module="jq.jq", in_process=False),
    "mail": ExecutorType(module="mail.mail"),
    "postgres": ExecutorType(module="sql.postgres", in_process=False),
    "sqlite": ExecutorType(module="sql.sqlite", in_process=False),
    "ssh": ExecutorType(module="ssh.ssh", program_encoding=True, extra="ssh"),
}
# The output of these is written by programs, in their encoding; that of others is UTF-8.
PROGRAM_ENCODING_TYPES = COMMAND_TYPES | {name for name, kind in _TYPES.items() if kind.program_encoding}
_UNSUPPORTED = frozenset({"gha", "github_action", "github-action"})
_CHAT = "chat"


def find(kind: str) -> ExecutorType:
    """Return the executor of a step type. Raises SetupError."""
    if kind == _CHAT:
        raise StartError("steps of type chat are not supported: Dagbook calls no language models")
    if kind in _UNSUPPORTED:
        raise SetupError(f"steps of type {kind!r} are not supported: Dagbook cannot run GitHub Actions")
    if kind not in _TYPES:
        raise SetupError(f"there is no executor of type {kind!r}")
    return _TYPES[kind]
