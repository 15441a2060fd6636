"""What the steps of a run share outside of the server: evaluated once, and ended with the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dagbook.executors import registry
from dagbook.executors.contract import SetupError, SharedConfig, StepError, write_private
from dagbook.executors.docker.recovery_note import RunNote, daemon_env, encode
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.output.spool_paths import RunSpool
from dagbook.runs.store.claimed_run import ClaimedRun
from dagbook.spec.model import Dag

_log = logging.getLogger(__name__)
_LIMIT_SECONDS = 30.0


class SharedResources:
    """The places that the steps of one attempt work at."""

    def __init__(self, run: ClaimedRun, dag: Dag, environment: RunEnvironment, files: RunSpool) -> None:
        self._name = f"{run.key}-{run.attempt}"
        self._taken_over = run.token > 1
        self._container = dag.container
        self._environment = environment
        self._note = files.run_note
        self._site: SharedConfig | None = None

    async def resolve(self) -> SharedConfig:
        """Say where steps work; raises ExpansionError."""
        if self._site is None:
            site = await self._environment.evaluate_shared()
            self._site = msgspec.structs.replace(site, run=self._name, run_note=str(self._note))
        return self._site

    async def release(self) -> None:
        """End what the steps of the run shared, be it that another server has begun it."""
        if self._container is None or self._container.exec or self._container.keep_container:
            return
        if self._taken_over and not self._note.exists():  # whoever began it may have a spool of its own
            env = daemon_env(self._environment.docker)
            write_private(self._note, encode(RunNote(docker=env, run=self._name)))
        if self._note.exists():
            await release_noted([self._note], _LIMIT_SECONDS)


async def release_noted(notes: Iterable[Path], limit_seconds: float) -> None:
    """End what executors have begun elsewhere, as their notes tell; what cannot be ended in time keeps its note."""
    await asyncio.gather(*(_release(note, limit_seconds) for note in notes))


async def _release(note: Path, limit_seconds: float) -> None:
    try:
        async with asyncio.timeout(limit_seconds):
            await registry.find("docker").abandon()(note.read_bytes())  # noqa: ASYNC240 - it is small
        note.unlink(missing_ok=True)  # noqa: ASYNC240
    except (SetupError, StepError, TimeoutError, OSError, msgspec.DecodeError) as error:
        _log.warning("what a run has left elsewhere could not be ended (%s): %s", note.name, error or "no answer")
