"""Adoption of orphaned runs, whose owner is lost (house design section 7, recovery)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import force_finish, runs
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.runs.runs import NodeRow, OpenAttempt
from dagbook.engine.plan import Plan, rebuild_ready
from dagbook.engine.state import RunState
from dagbook.executors.process import process
from dagbook.runs.output.decoding import DecoderState
from dagbook.runs.output.output_follower import STDERR, STDOUT, StreamOffset
from dagbook.runs.output.spool_paths import RunSpool
from dagbook.runs.recovery.runner_failures import RunnerFailure
from dagbook.runs.recovery.takeover import Loss, loss_of, origin_of, spool_match
from dagbook.runs.runner.runner import Runner
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import row_mapping, run_loading
from dagbook.runs.store.claimed_run import ClaimedRun, RunInputs, SpoolMatch
from dagbook.runs.store.secret_columns import read_record
from dagbook.spec.model import Dag
from dagbook.spec.reading.definition_cache import DefinitionCache

_log = logging.getLogger(__name__)


class NodeResume(msgspec.Struct, frozen=True):
    """End of the stored output of a node: the offset of each stream, and the next ordinal."""

    positions: dict[int, StreamOffset]
    ordinal: int


class AdoptedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Run that this server has adopted, as stored."""

    run: ClaimedRun
    dag: Dag
    state: RunState
    records: dict[int, row_mapping.NodeRecord]
    logs: dict[int, NodeResume]

    def resume_logs(self, runner: Runner) -> None:
        """Let the runner continue each log at the end of its stored part."""
        for key, resume in self.logs.items():
            runner.resume_log(key, resume.positions, resume.ordinal)


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one sweep: adopted runs, ``lost`` fences of this process, and adopted runs that cannot be loaded."""

    lost: list[Fence]
    adopted: list[AdoptedRun] = []
    broken: list[RunnerFailure] = []


class OrphanSweeper:
    """Finds and adopts runs whose owner is lost."""

    def __init__(self, database: Database, library: DefinitionCache, context: ServerContext) -> None:
        self._database = database
        self._library = library
        self._identity = context.identity
        self._spool = context.spool
        self._sole = database.dialect == "sqlite"  # the lock file excludes other servers
        self._grace = timedelta(seconds=context.orphan_grace_seconds)
        self._now = context.now
        self._encrypter = context.encrypter
        self._with_origin = DecoderState(context.machine.encoding).remembers

    async def run_once(self, known: Iterable[Fence]) -> SweepResult:
        """Adopt every orphaned run; ``known`` are the fences of the runners of this process."""
        attempts = await self._database.read(runs.find_open_attempts)
        held = {Fence(a.run, a.number, a.token) for a in attempts if a.owner == self._identity.id}
        found = SweepResult(lost=[fence for fence in known if fence not in held])
        active = {fence.run for fence in known}
        for attempt in attempts:
            if attempt.run in active:
                continue
            loss = loss_of(attempt, self._identity, self._now(), self._grace, sole=self._sole)
            if loss is None or (loss.if_silent and not await self._is_silent(attempt)):
                continue
            match await self._adopt(attempt, loss):
                case AdoptedRun() as run:
                    found.adopted.append(run)
                case RunnerFailure() as failure:
                    found.broken.append(failure)
        return found

    async def _is_silent(self, attempt: OpenAttempt) -> bool:
        """Whether certainly no process writes to the files of the attempt's running steps."""
        fence = Fence(attempt.run, attempt.number, attempt.token)
        spools = await self._database.read(lambda connection: force_finish.find_spools(connection, fence))
        found = (process.execution_files(self._spool, spool) for spool in spools)
        return not any(process.may_have_writers(files) for files in found)

    async def _adopt(self, attempt: OpenAttempt, loss: Loss) -> AdoptedRun | RunnerFailure | None:
        if not await self._database.write(lambda connection: self._claim(connection, attempt)):
            return None
        _log.info("adopting run %s: %s", attempt.run, loss.reason)
        try:
            return await self._database.read(lambda connection: self._load(connection, attempt))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one broken run must not block the adoption of the others
            return RunnerFailure(Fence(attempt.run, attempt.number, attempt.token + 1), error)

    def _claim(self, connection: WriteConnection, attempt: OpenAttempt) -> bool:
        if not runs.adopt(connection, attempt, self._identity.id, self._identity.host_key):
            return False
        # In the same commit: after it the rows name this server, whose spool never had files of these executions.
        spool = spool_match(attempt, self._identity)
        if spool is not SpoolMatch.OWN:
            kept = self._spool if spool is SpoolMatch.UNKNOWN else None
            force_finish.clear_spools(connection, attempt.run, attempt.number, kept=kept)
        return True

    def _load(self, connection: ReadConnection, attempt: OpenAttempt) -> AdoptedRun:
        found = run_loading.load(connection, self._library, self._encrypter, attempt.run, attempt.number)
        run, definition, nodes = found.run, found.loaded.definition, found.nodes
        owned = ClaimedRun(
            key=attempt.run,
            dag_name=run.dag_name,
            run_id=run.run_id,
            attempt=attempt.number,
            token=attempt.token + 1,
            definition=definition,
            inputs=self._localize(found.inputs, attempt),
            masker=Masker(found.inputs.to_hide),
            last_seq=found.last_seq,
            queue=run.queue,
            origin=origin_of(attempt, self._identity),
            lineage=found.lineage,
        )
        return AdoptedRun(
            run=owned,
            dag=definition.dag,
            state=rebuild_ready(Plan.of(definition.dag), found.state),
            records={row.position: read_record(row, self._encrypter) for row in nodes},
            logs={
                row.position: _log_end(connection, attempt, row, with_origin=self._with_origin)
                for row in nodes
                if row.execution
            },
        )

    def _localize(self, inputs: RunInputs, attempt: OpenAttempt) -> RunInputs:
        """Move a private working directory to the spool of this server: the stored path may be in another spool."""
        if inputs.keep_dir:
            return inputs
        own = RunSpool(self._spool, attempt.run, attempt.number).work
        return msgspec.structs.replace(inputs, work_dir=str(own))


def _log_end(connection: ReadConnection, attempt: OpenAttempt, node: NodeRow, *, with_origin: bool) -> NodeResume:
    positions, position = {}, node.position
    for stream in (STDOUT, STDERR):
        key = StreamKey(attempt.run, attempt.number, position, stream)
        end = logs.get_end(connection, key)
        origin = logs.find_origin(connection, key, node.execution) if with_origin else None
        positions[stream] = StreamOffset(
            seq=end.next_seq,
            first_line=end.next_line,
            byte_offset=end.next_byte,
            origin=end.next_byte if origin is None else origin,
        )
    return NodeResume(positions, logs.next_ordinal(connection, attempt.run, attempt.number, position))
