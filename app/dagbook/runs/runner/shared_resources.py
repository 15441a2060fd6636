"""Container, SSH and SMTP settings shared by the steps of a run; the container is removed with the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dagbook.executors import registry
from dagbook.executors.contract import SetupError, SharedConfig, StepError, write_private
from dagbook.executors.docker.recovery_note import RunNote, daemon_env, encode
from dagbook.runs.runner.preparation import RunnerDeps

_log = logging.getLogger(__name__)
_LIMIT_SECONDS = 30.0


class SharedResources:
    """Shared configuration of the steps of one attempt, and its release."""

    def __init__(self, deps: RunnerDeps) -> None:
        self._name = f"{deps.run.key}-{deps.run.attempt}"
        self._adopted = deps.run.token > 1
        self._container = deps.plan.dag.container
        self._environment = deps.environment
        self._note = deps.files.run_note
        self._ssh_policy = deps.context.ssh_policy
        self._config: SharedConfig | None = None

    async def resolve(self) -> SharedConfig:
        """Return the shared configuration, evaluated once; raises ExpansionError."""
        if self._config is None:
            config = await self._environment.evaluate_shared()
            self._config = msgspec.structs.replace(
                config, run=self._name, run_note=str(self._note), ssh_policy=self._ssh_policy
            )
        return self._config

    async def release(self) -> None:
        """Remove the container of the run, even if another server has started it."""
        if self._container is None or self._container.exec or self._container.keep_container:
            return
        if self._adopted and not self._note.exists():  # the note of the first owner may be in another spool
            env = daemon_env(self._environment.docker)
            write_private(self._note, encode(RunNote(docker=env, run=self._name)))
        if self._note.exists():
            await release_noted([self._note], _LIMIT_SECONDS)


async def release_noted(notes: Iterable[Path], limit_seconds: float) -> None:
    """Remove the containers named in recovery notes; a note whose container cannot be removed in time stays."""
    await asyncio.gather(*(_release(note, limit_seconds) for note in notes))


async def _release(note: Path, limit_seconds: float) -> None:
    try:
        async with asyncio.timeout(limit_seconds):
            await registry.find("docker").abandon()(note.read_bytes())  # noqa: ASYNC240 - it is small
        note.unlink(missing_ok=True)  # noqa: ASYNC240
    except (SetupError, StepError, TimeoutError, OSError, msgspec.DecodeError) as error:
        _log.warning("a container of a run could not be removed (%s): %s", note.name, error or "no answer")
