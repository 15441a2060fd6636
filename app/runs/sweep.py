"""Runs whose owner is gone are taken over, or end with the reason (house design section 7, recovery)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from app.db.database import Database, ReadConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import logs, runs
from app.db.repositories.logs import StreamKey
from app.db.repositories.reading import Row
from app.db.repositories.runs import OpenAttempt
from app.db.repositories.transitions import Fence
from app.engine.admission import fits
from app.engine.plan import Plan, rebuild_ready
from app.engine.state import RunState
from app.executors import proc
from app.executors.proc import ProcessId
from app.runs import rows, stored
from app.runs.casualties import Casualty
from app.runs.concealment import read_facts
from app.runs.decoding import State
from app.runs.ground import Ground, Identity
from app.runs.masking import Masker
from app.runs.run import OwnedRun
from app.runs.runner import Runner
from app.runs.spool import STDERR, STDOUT, Position
from app.spec.library import Library
from app.spec.model import Dag

_log = logging.getLogger(__name__)
_RESTARTED = "the machine was restarted while the step ran"
_LOST_MACHINE = "the machine that ran the step is lost"
_HEAD_START = timedelta(seconds=15)
_ACCEPTING = timedelta(seconds=10)  # a run that was accepted just now is about to get its driver


class NodeResume(msgspec.Struct, frozen=True):
    """How far the log of a node is stored."""

    positions: dict[int, Position]
    ordinal: int


class TakenOver(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is ours now, as its rows tell it."""

    run: OwnedRun
    dag: Dag
    state: RunState
    facts: dict[int, rows.NodeFacts]
    logs: dict[int, NodeResume]

    def resume_logs(self, runner: Runner) -> None:
        """Let the runner go on where the stored logs end."""
        for key, resume in self.logs.items():
            runner.resume_log(key, resume.positions, resume.ordinal)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of the sweep brought: runs taken over, runs of ours that others own or ended, runs beyond help."""

    lost: list[Fence]
    taken: list[TakenOver] = []
    broken: list[Casualty] = []


def lost_reason(attempt: OpenAttempt, me: Identity, now: datetime, grace: timedelta) -> str | None:
    """Say why an attempt may be taken over; None while its owner may live. Pure but for a look at /proc."""
    if attempt.owner is None or attempt.owner_pid is None:
        return "no owner" if me.labels is None else None
    if attempt.owner == me.id:
        return "nobody drives it" if attempt.opened_at + _ACCEPTING < now else None
    if attempt.owner_host != me.host:
        return _far_reason(attempt, me, now, grace)
    if attempt.owner_boot_id != me.boot_id:
        return "machine restarted"
    if attempt.owner_pid_namespace != me.pid_namespace:
        lease = attempt.lease_until
        return "owner in another container is lost" if lease is None or lease < now else None
    owner = ProcessId(attempt.owner_pid, attempt.owner_pid_started or 0)
    return None if attempt.stopped_at is None and proc.is_alive(owner) else "owner process gone"


def _far_reason(attempt: OpenAttempt, me: Identity, now: datetime, grace: timedelta) -> str | None:
    """Say why the run of another machine may be taken over.

    What a worker drove is for a worker that has all its labels, so that what is left of the run has what it asked for;
    a server takes it when there is none. What a server drove is for servers.
    """
    if attempt.owner_labels is None:
        waits = grace if me.labels is None else None
    elif me.labels is None:
        waits = grace + _HEAD_START
    else:
        waits = grace if fits(attempt.owner_labels, me.labels) else None
    if waits is None:
        return None
    lease = attempt.lease_until
    return "owner on another machine is lost" if lease is None or lease + waits < now else None


class Sweep:
    """Looks for runs without a living owner."""

    def __init__(self, database: Database, library: Library, ground: Ground) -> None:
        self._database = database
        self._library = library
        self._me = ground.identity
        self._grace = timedelta(seconds=ground.orphan_grace_seconds)
        self._now = ground.now
        self._sealer = ground.sealer
        self._with_origin = State(ground.machine.encoding).remembers

    async def run_once(self, known: Iterable[Fence]) -> Found:
        """Take over every run that nobody drives; ``known`` are the fences of those that this process drives."""
        attempts = await self._database.read(runs.find_open_attempts)
        held = {Fence(a.run, a.number, a.token) for a in attempts if a.owner == self._me.id}
        found = Found(lost=[fence for fence in known if fence not in held])
        driven = {fence.run for fence in known}
        for attempt in attempts:
            reason = lost_reason(attempt, self._me, self._now(), self._grace)
            if attempt.run in driven or reason is None:
                continue
            match await self._take(attempt, reason):
                case TakenOver() as run:
                    found.taken.append(run)
                case Casualty() as casualty:
                    found.broken.append(casualty)
        return found

    async def _take(self, attempt: OpenAttempt, reason: str) -> TakenOver | Casualty | None:
        won = await self._database.write(
            lambda connection: runs.take_over(connection, attempt, self._me.id, self._me.place)
        )
        if not won:
            return None
        _log.info("taking over run %s: %s", attempt.run, reason)
        try:
            return await self._database.read(lambda connection: self._load(connection, attempt))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this run, the others are to be taken up
            return Casualty(Fence(attempt.run, attempt.number, attempt.token + 1), error)

    def _load(self, connection: ReadConnection, attempt: OpenAttempt) -> TakenOver:
        found = stored.load(connection, self._library, self._sealer, attempt.run, attempt.number)
        run, definition, nodes = found.run, found.loaded.definition, found.nodes
        owned = OwnedRun(
            key=attempt.run,
            dag_name=run["dag_name"],
            run_id=run["run_id"],
            attempt=attempt.number,
            token=attempt.token + 1,
            definition=definition,
            inputs=found.inputs,
            masker=Masker(found.inputs.to_hide),
            last_seq=found.last_seq,
            queue=run["queue"],
            machine=self._machine(attempt),
            parentage=found.parentage,
        )
        return TakenOver(
            run=owned,
            dag=definition.dag,
            state=rebuild_ready(Plan.of(definition.dag), found.state),
            facts={row["position"]: read_facts(row, self._sealer) for row in nodes},
            logs={
                row["position"]: _log_end(connection, attempt, row, with_origin=self._with_origin)
                for row in nodes
                if row["execution"]
            },
        )

    def _machine(self, attempt: OpenAttempt) -> str:
        """Say why processes of the run cannot be found here, when they cannot."""
        if attempt.owner_host not in (None, self._me.host):
            return _LOST_MACHINE
        return "" if attempt.owner_boot_id in (None, self._me.boot_id) else _RESTARTED


def _log_end(connection: ReadConnection, attempt: OpenAttempt, node: Row, *, with_origin: bool) -> NodeResume:
    positions, position = {}, node["position"]
    for stream in (STDOUT, STDERR):
        key = StreamKey(attempt.run, attempt.number, position, stream)
        end = logs.get_end(connection, key)
        origin = logs.find_origin(connection, key, node["execution"]) if with_origin else None
        positions[stream] = Position(
            seq=end.next_seq,
            first_line=end.next_line,
            byte_offset=end.next_byte,
            origin=end.next_byte if origin is None else origin,
        )
    return NodeResume(positions, logs.next_ordinal(connection, attempt.run, attempt.number, position))
