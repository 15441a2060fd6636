"""The runs alive in this process: started, adopted, stopped, let go of; and the lease that says we live."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import msgspec

from app.db.database import Database, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import runs, services
from app.db.repositories.runs import StopRequest
from app.engine.plan import Plan, initial_state
from app.engine.state import RunState
from app.executors import proc
from app.runs.accept import Wanted, new_run, queued, with_room
from app.runs.again import Retries, Retry
from app.runs.beginning import Beginnings
from app.runs.casualties import Casualties, Casualty
from app.runs.children import Exchange
from app.runs.environment import RunEnvironment
from app.runs.files import RunFiles
from app.runs.ground import Ground, Identity
from app.runs.kept import KeptLogs
from app.runs.log import RunLogFile, is_read_by
from app.runs.notify import Notifier
from app.runs.recorder import FenceLostError, Recorder
from app.runs.release import Releases
from app.runs.remains import remove_remains
from app.runs.rows import NodeFacts
from app.runs.run import OwnedRun, Spool
from app.runs.runner import Runner
from app.runs.secrets import unlock
from app.runs.signal import QueueSignal
from app.runs.sweep import Sweep, TakenOver
from app.runs.workshop import Workshop
from app.spec.definition_cache import DefinitionCache
from app.spec.model import Dag

_log = logging.getLogger(__name__)
_BEAT_SECONDS = 3.0
_INSIDE_GRACE_SECONDS = 30.0


class Supervisor:
    """Owner of all runners of this process."""

    def __init__(
        self, database: Database, recorder: Recorder, sweep: Sweep, library: DefinitionCache, ground: Ground
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._sweep = sweep
        self._ground = ground
        self._identity = ground.identity
        self._now = ground.now
        self._runners: dict[int, Runner] = {}
        self._drives: set[asyncio.Task[None]] = set()
        self._beat: asyncio.Task[None] | None = None
        self._notifier = Notifier(database, ground.zone)
        self._exchange = Exchange(database, library, ground, self)
        beginnings = Beginnings(database, recorder, library, ground, self._runner)
        self._retries = Retries(beginnings)
        self._releases = Releases(beginnings)
        self._casualties = Casualties(database, ground)
        self._given_up: list[Casualty] = []
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._settling = False
        self.changed = QueueSignal()  # tells of runs that come, go or end

    # -- life cycle ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register this server, take up what others left, and begin to beat. Starting twice is harmless."""
        if self._beat is not None:
            return
        now = self._now()
        row = {**msgspec.structs.asdict(self._identity), "started_at": now, "heartbeat_at": now}
        row["lease_until"] = now + timedelta(seconds=self._ground.lease_seconds)
        await self._database.write(lambda connection: services.add(connection, row))
        self._recorder.start()
        await self.run_once()
        await remove_remains(self._database, self._ground.spool)
        self._beat = asyncio.create_task(self._beat_on(), name="supervisor")

    async def stop(self) -> None:
        """Let go of all runs in order: their steps go on, and whoever comes next takes them over."""
        await self._settle()
        self._stopping.set()
        self._hurried.set()
        if self._beat is not None:
            await self._beat
            self._beat = None
        for runner in self._runners.values():
            runner.detach()
        await asyncio.gather(*self._drives, return_exceptions=True)
        self._exchange.ends.stop()
        await self._recorder.stop()
        now = self._now()
        # Steps end with their container: then none goes on that the lease would have to cover.
        in_container = self._identity.pid_namespace != proc.INITIAL_PID_NAMESPACE
        until = now + timedelta(seconds=0 if in_container else self._ground.detached_lease_seconds)
        await self._database.write(lambda connection: services.stop(connection, self._identity.id, now, until))
        await self._notifier.stop()

    async def _settle(self) -> None:
        """Give steps that cannot outlive this process a moment to end; the others need none."""
        self._settling = True
        waits = [asyncio.create_task(runner.settle()) for runner in self._runners.values()]
        if not waits:
            return
        _, late = await asyncio.wait(waits, timeout=0)
        if late:
            _log.info("waiting %g s at most for steps that would end with this server", _INSIDE_GRACE_SECONDS)
            _, late = await asyncio.wait(late, timeout=_INSIDE_GRACE_SECONDS)
        for wait in late:
            wait.cancel()

    async def _beat_on(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_SECONDS):
                    await self._hurried.wait()
            self._hurried.clear()
            if not self._stopping.is_set():
                await self._beat_once()

    def hurry(self) -> None:
        """Look now for runs that nobody drives: somebody knows that a server has died."""
        self._hurried.set()

    async def _beat_once(self) -> None:
        try:
            await self.run_once()
        except DatabaseUnavailable as error:
            _log.warning("no heartbeat: %s", error)
        except Exception:  # noqa: BLE001 - the beat must go on, whatever one round met
            _log.exception("a round of the supervisor failed")

    async def run_once(self) -> None:
        """Renew the lease, take over what has no owner, tell runs that were asked to stop."""
        await self._database.write(self._renew)
        await self._bury()
        found = await self._sweep.run_once([runner.fence for runner in self._runners.values()])
        self._given_up += found.broken
        await self._bury()
        for fence in found.lost:
            runner = self._runners.get(fence.run)
            if runner is not None and runner.fence == fence:  # else it drives the run's next attempt by now
                runner.lose(FenceLostError("it was taken over or ended by another server"))
        # A run that was asked to stop hears of it before it is driven on: no step of it may begin any more.
        resumed = {taken.run.key: self._resume(taken) for taken in found.taken}
        asked = await self._database.read(lambda connection: runs.find_stop_requests(connection, self._identity.id))
        for request in asked:
            if runner := resumed.get(request.run) or self._runners.get(request.run):
                runner.request_stop(request)
        for runner in resumed.values():
            self.drive(runner)

    def _renew(self, connection: WriteConnection) -> None:
        services.end_sleepers(connection)  # first of all: whatever comes next may have to wait for one
        now = self._now()
        services.renew(connection, self._identity.id, now, now + timedelta(seconds=self._ground.lease_seconds))

    async def _bury(self) -> None:
        """See to the runs that this process has stopped to drive since the last round."""
        while self._given_up:
            casualty = self._given_up[0]
            if isinstance(casualty.error, FenceLostError):
                await remove_remains(self._database, self._ground.spool, [casualty.fence.run])
            else:
                await self._casualties.note(casualty)
                self.changed.tell()
            del self._given_up[0]

    @property
    def load(self) -> int:
        """How many runs this process drives that no other run of its own has called."""
        return sum(runner.run.parentage is None for runner in self._runners.values())

    # -- runs ------------------------------------------------------------------------------------------------

    async def accept(self, wanted: Wanted, run: OwnedRun) -> bool:
        """Store a new run with the first thing its driver does, and drive it.

        Where its queue has no room for it, it waits there instead, and this returns True. Raises RunRefusedError, and
        SealError when its secrets cannot be kept.
        """
        if self._ground.queues.sends_to_worker(run.definition.dag.worker_selector):
            await self.enqueue(wanted, _in_queue_of_its_own(run))
            return True
        run, problem = await unlock(run, self._ground.machine)
        dag = run.definition.dag
        runner = self._runner(run, dag, initial_state(Plan.of(dag)), {})
        new = with_room(new_run(wanted, run, self._ground), self._ground.queues)
        waits = await self._recorder.accept(msgspec.structs.replace(new, first=runner.begin(new.events, problem)))
        if waits:
            self.changed.tell(run.queue)
        else:
            self.drive(runner)
        return waits

    async def enqueue(self, wanted: Wanted, run: OwnedRun) -> None:
        """Store a new run that waits in its queue; raises as ``accept`` does.

        Its secrets are looked up for what is shown of it; what it gets of them is looked up when its turn comes.
        """
        run, _ = await unlock(run, self._ground.machine)
        await self._recorder.accept(queued(new_run(wanted, run, self._ground)))
        self.changed.tell(run.queue)

    async def release(self, keys: Sequence[int]) -> list[BaseException | None]:
        """Take runs out of their queue and drive them; returns for each why not, as ``Releases.release`` does."""
        begun = await self._releases.release(keys)
        for runner in begun:
            if isinstance(runner, Runner):
                self.drive(runner)
        return [None if isinstance(one, Runner) else one for one in begun]

    async def withdraw(self, key: int) -> None:
        """End a run that waits as aborted, if it still does."""
        if await self._releases.withdraw(key):
            self._exchange.ends.tell(key)

    async def give_up(self, key: int, reason: str) -> None:
        """End a run that waits and cannot be begun as failed."""
        await self._releases.give_up(key, reason)

    async def retry(self, key: int, retry: Retry) -> None:
        """Begin the next attempt of a run that is over, and drive it; raises what ``Retries.reopen`` does.

        Where the run's queue has no room for it, it waits there instead.
        """
        runner = await self._retries.reopen(key, retry)
        if runner is None:
            self.changed.tell()
        else:
            self.drive(runner)

    async def reopen(self, key: int, *, attempt: int, directory: str) -> None:
        """Begin attempt ``attempt`` of a sub-run that is over, whatever limits its DAG has, and drive it."""
        await self.retry(key, Retry(counted=False, attempt=attempt, directory=directory))

    def drive(self, runner: Runner) -> None:
        """Let a run be driven until it is closed or let go of."""
        run = runner.run
        self._runners[run.key] = runner
        if self._settling:
            runner.hold()
        task = asyncio.create_task(runner.drive(), name=f"run {run.dag_name}/{run.run_id}")
        self._drives.add(task)
        task.add_done_callback(lambda done: self._forget(runner, done))

    def _resume(self, taken: TakenOver) -> Runner:
        runner = self._runner(taken.run, taken.dag, taken.state, taken.facts)
        taken.resume_logs(runner)
        return runner

    def tell_stop(self, request: StopRequest) -> None:
        """Tell a run of this process that it was asked to stop."""
        if runner := self._runners.get(request.run):
            runner.request_stop(request)

    def _runner(self, run: OwnedRun, dag: Dag, state: RunState, facts: dict[int, NodeFacts]) -> Runner:
        run.masker.learn(value for known in facts.values() for value in known.hidden)
        return Runner(run, state, self._recorder, self._workshop(run, dag), facts)

    def _forget(self, runner: Runner, task: asyncio.Task[None]) -> None:
        run = runner.run
        self._drives.discard(task)
        if self._runners.get(run.key) is runner:  # the run's next attempt may be under way already
            del self._runners[run.key]
        error = None if task.cancelled() else task.exception()
        if error is None and runner.is_over:
            self._exchange.ends.tell(run.key)
            if run.parentage is None:
                self.changed.tell(run.queue)
                self._count(runner)
        if isinstance(error, FenceLostError):
            _log.warning("run %s/%s has another owner now", run.dag_name, run.run_id)
        if error is not None and not isinstance(error, DatabaseUnavailable):
            self._given_up.append(Casualty(runner.fence, error, runner.run.masker))

    def _count(self, runner: Runner) -> None:
        state = runner.state
        if state.started_at is not None and state.finished_at is not None:
            seconds = (state.finished_at - state.started_at).total_seconds()
            self._ground.figures.note_end(runner.run.dag_name, seconds)

    def _workshop(self, run: OwnedRun, dag: Dag) -> Workshop:
        ground = self._ground
        files = RunFiles(ground.spool, run.key, run.attempt)
        about = {"dag_name": run.dag_name, "run_id": run.run_id}
        plan = Plan.of(dag)
        environment = RunEnvironment(run, dag, ground.machine.seen_from(run.inputs.base_environment), str(files.log))
        return Workshop(
            plan=plan,
            environment=environment,
            files=files,
            log_limit=ground.log_limit,
            log_file=RunLogFile(files.log, about, dag, ground.zone) if is_read_by(dag) else None,
            notify=self._notifier.for_run(run, plan, environment, run.masker.mask),
            kept=KeptLogs(self._database, files, plan, environment.encoding, lost=run.origin.spool is not Spool.OWN),
            now=self._now,
            exchange=self._exchange,
            sealer=ground.sealer,
        )


def _in_queue_of_its_own(run: OwnedRun) -> OwnedRun:
    """Let a sub-run wait for nothing but a worker: no queue and no limit counts it (runtime 25.4)."""
    return run if run.parentage is None else msgspec.structs.replace(run, queue=f"called run {run.run_id}")


def identify(kind: str, address: str, version: str) -> Identity:
    """Describe this process so that others can tell whether it is alive."""
    own = proc.identify(os.getpid())
    assert own is not None  # noqa: S101 - we are alive
    host = socket.gethostname()
    return Identity(
        id=f"{host}-{own.pid}-{own.started}-{proc.boot_id()[:8]}",
        kind=kind,
        host=host,
        boot_id=proc.boot_id(),
        pid_namespace=proc.pid_namespace(),
        pid=own.pid,
        pid_started=own.started,
        address=address,
        version=version,
    )
