"""Start of queued runs: dequeued and started in one commit, or finished with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from dagbook.db.database import WriteConnection
from dagbook.db.repositories import changes, queue
from dagbook.db.repositories.runs import run_writes, runs
from dagbook.db.repositories.runs.run_writes import Claim, Fence
from dagbook.db.repositories.services import WORKER
from dagbook.engine.status import RunStatus
from dagbook.runs.runner.runner import Runner
from dagbook.runs.runner.runner_factory import RunnerFactory, retry_on_conflict
from dagbook.runs.store.finishing import force_finish
from dagbook.runs.store.secret_columns import input_row, params_row

PreparedRun = tuple[Runner, Claim, datetime]


class QueuedRunStarter:
    """Starts, cancels and fails queued runs."""

    def __init__(self, factory: RunnerFactory) -> None:
        self._factory = factory
        self._context = factory.context

    async def start(self, keys: Sequence[int]) -> list[Runner | BaseException]:
        """Dequeue runs, store the first transition of their runners, and return the runners or the errors, by key.

        Usually all in one commit. The error is RunRefusedError if the run is not the next of its queue any more, which
        is harmless. With another one the run has to be failed: DefinitionGoneError if the definition was redacted,
        InvalidSpecError if it cannot be parsed any more, BadRequestError if the dotenv files cannot be evaluated,
        EncryptionError if this server cannot decrypt the secrets.
        """
        prepared = await asyncio.gather(*(self._prepare(key) for key in keys), return_exceptions=True)
        # Claims that reach the recorder together, and in order, share one commit.
        claims = (self._claim(key, result) for key, result in zip(keys, prepared, strict=True))
        return await asyncio.gather(*claims, return_exceptions=True)

    async def _claim(self, key: int, prepared: PreparedRun | BaseException) -> Runner:
        first: list[PreparedRun | BaseException] = [prepared]

        async def claim_once() -> Runner:
            found = first.pop() if first else await self._prepare(key)
            if isinstance(found, BaseException):
                raise found
            runner, claim, queued_at = found
            await self._factory.recorder.claim(claim)
            waited = (self._context.now() - queued_at).total_seconds()
            self._context.metrics.observe_wait(runner.run.dag_name, max(waited, 0.0))
            return runner

        return await retry_on_conflict(claim_once)

    async def _prepare(self, key: int) -> PreparedRun:
        found = await self._factory.load(key)
        attempt = found.attempt
        owned, problem = await self._factory.claimed_run(
            found, attempt=attempt.number, token=attempt.token + 1, last_seq=found.last_seq
        )
        runner = self._factory.runner(owned, found.state, found.nodes)
        identity = self._context.identity
        claim = Claim(
            fence=runner.fence,
            last_seq=owned.last_seq,
            queue=owned.queue,
            owner=identity.id,
            host=identity.host_key,
            run=params_row(owned),
            inputs=input_row(owned, self._context.encrypter),
            first_steps=runner.start(await self._factory.history(owned), problem),
            by_worker=identity.kind == WORKER,
        )
        return runner, claim, attempt.opened_at

    async def fail(self, key: int, reason: str) -> bool:
        """Finish a queued run that cannot be started as failed; returns False if it is not queued any more."""
        return await self._finish(key, RunStatus.FAILED, reason)

    async def cancel(self, key: int) -> bool:
        """Finish a queued run that was requested to stop as aborted; returns False if it is not queued any more."""
        return await self._finish(key, RunStatus.ABORTED, "")

    async def _finish(self, key: int, status: RunStatus, reason: str) -> bool:
        def finish(connection: WriteConnection) -> bool:
            run = runs.get_complete(connection, key) if run_writes.lock_queued(connection, {key}) else None
            if run is None or not queue.remove_entries(connection, {key}):
                return False
            changes.add_queue_changes(connection, [run.queue])
            force_finish(connection, Fence(key, run.attempt, 0), status, reason, self._context.now())
            return True

        return await self._factory.database.write(finish)
