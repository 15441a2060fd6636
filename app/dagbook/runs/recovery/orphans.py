"""Adoption of runs whose owner is lost (house design section 7, recovery)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

import msgspec

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs, status_overrides
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.runs.runs import NodeRow, OpenAttempt, StopRequest
from dagbook.engine.plan import Plan, rebuild_ready
from dagbook.engine.state import RunState
from dagbook.runs.active_runs import RunnerFailure
from dagbook.runs.model import ClaimedRun, RunInputs, SpoolMatch
from dagbook.runs.output.decoding import DecoderState
from dagbook.runs.output.output_follower import STDERR, STDOUT, StreamOffset
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.recovery.crash_loop import Orphan
from dagbook.runs.recovery.ownership import origin_of, spool_match
from dagbook.runs.recovery.row_ends import OrphanEnder
from dagbook.runs.runner.runner import Runner
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import row_mapping, run_loading
from dagbook.runs.store.row_mapping import read_record
from dagbook.spec.model import Dag
from dagbook.spec.reading.definition_cache import DefinitionCache

_log = logging.getLogger(__name__)


class NodeResume(msgspec.Struct, frozen=True):
    """End of the stored output of a node: the offset of each stream, the next ordinal, the time of the last chunk."""

    positions: dict[int, StreamOffset]
    ordinal: int
    received_at: datetime | None


class AdoptedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Run that this server has adopted, as stored."""

    run: ClaimedRun
    dag: Dag
    state: RunState
    records: dict[int, row_mapping.NodeRecord]
    logs: dict[int, NodeResume]
    requests: list[StopRequest]

    def resume_logs(self, runner: Runner) -> None:
        """Let the runner continue each log at the end of its stored part."""
        for key, resume in self.logs.items():
            runner.resume_log(key, resume.positions, resume.ordinal, resume.received_at)


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one sweep: ``lost`` fences of this process, and attempts whose owner is lost."""

    lost: list[Fence]
    orphans: list[Orphan] = []


class OrphanSweeper:
    """Finds and adopts runs whose owner is lost."""

    def __init__(
        self, database: Database, library: DefinitionCache, context: ServerContext, ender: OrphanEnder
    ) -> None:
        self._database = database
        self._library = library
        self._ender = ender
        self._without_runner: set[Fence] = set()  # attempts of this process, in the last round
        self._identity = context.identity
        self._spool = context.spool
        self._encrypter = context.encrypter
        self._credentials = context.machine.credentials
        self._account = context.machine.account
        self._with_origin = DecoderState(context.machine.encoding).remembers

    async def run_once(self, known: Iterable[Fence]) -> SweepResult:
        """Find orphaned runs; ``known`` are the fences of the runners of this process."""
        attempts = await self._database.read(runs.find_open_attempts)
        held = {Fence(a.run, a.number, a.token) for a in attempts if a.owner == self._identity.id}
        found = SweepResult(lost=[fence for fence in known if fence not in held])
        active = {fence.run for fence in known}
        # One whose runner is being made was claimed after ``known`` was asked for: it has its runner in the next round.
        new = {fence for fence in held if fence.run not in active} - self._without_runner
        self._without_runner = {fence for fence in held if fence.run not in active}
        for attempt in attempts:
            if attempt.run in active or Fence(attempt.run, attempt.number, attempt.token) in new:
                continue
            orphan = self._ender.find_orphan(attempt)
            if orphan is not None and (not orphan.loss.if_silent or await self._ender.is_silent(attempt)):
                found.orphans.append(orphan)
        return found

    async def adopt(self, orphan: Orphan) -> AdoptedRun | RunnerFailure | None:
        """Take over a run; returns None if another process was faster, and the error if the run cannot be loaded."""
        attempt = orphan.attempt
        if not await self._database.write(lambda connection: self._claim(connection, orphan)):
            return None
        dag_name, run_id = await self._database.read(lambda connection: runs.get_name(connection, attempt.run))
        if orphan.crashes:  # said before anything is loaded, which may be what they died of
            message = "the last %d owners of run %s/%s died when they continued it"
            _log.warning(message, orphan.crashes, dag_name, run_id)
        _log.info("adopting run %s/%s: %s", dag_name, run_id, orphan.loss.reason)
        try:
            return await self._database.read(lambda connection: self._load(connection, attempt))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one broken run must not block the adoption of the others
            return RunnerFailure(Fence(attempt.run, attempt.number, attempt.token + 1), error)

    def _claim(self, connection: WriteConnection, orphan: Orphan) -> bool:
        attempt, identity = orphan.attempt, self._identity
        if not runs.adopt(connection, attempt, identity.id, identity.host_key, takeovers=orphan.crashes + 1):
            return False
        # In the same commit: after it the rows name this server, whose spool never had files of these executions.
        spool = spool_match(attempt, self._identity)
        if spool is not SpoolMatch.OWN:
            kept = self._spool if spool is SpoolMatch.UNKNOWN else None
            status_overrides.clear_spools(connection, attempt.run, attempt.number, kept=kept)
        return True

    def _load(self, connection: ReadConnection, attempt: OpenAttempt) -> AdoptedRun:
        found = run_loading.load(connection, self._library, self._encrypter, attempt.run, attempt.number)
        definition, nodes = found.loaded.definition, found.nodes
        owned = found.claimed(
            token=attempt.token + 1,
            inputs=self._localize(found.inputs, attempt),
            masker=Masker(found.inputs.to_hide, self._credentials),
            origin=origin_of(attempt, self._identity),
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
            # Before it continues, so that it starts no further step.
            requests=runs.find_stop_requests(connection, self._identity.id, attempt.run),
        )

    def _localize(self, inputs: RunInputs, attempt: OpenAttempt) -> RunInputs:
        """Move a private working directory to the spool of this server: the stored path may be in another spool."""
        if inputs.keep_dir or inputs.run_as or self._account:
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
    last = logs.find_last_chunk(connection, attempt.run, attempt.number, position)
    return NodeResume(positions, last.ordinal + 1, last.received_at)
