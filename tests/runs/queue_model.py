"""A model of queues, and a state machine that compares the database, the recorder and the dispatcher with it.

Runs are not executed: a claimed run finishes when the test says so.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.database import Database, ReadConnection
from dagbook.db.models.run import Run
from dagbook.db.repositories import queue
from dagbook.db.repositories.queue import QueuedRunRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.run_rows import AttemptChange, EvaluatedInputs
from dagbook.db.repositories.runs.run_writes import Claim, Fence, NewRun
from dagbook.engine.admission import Admission, QueueConfig, WaitCause
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.queues.dispatcher import Dispatcher
from dagbook.queues.service import DequeueService, MoveRequest, QueueService
from dagbook.queues.wait_reasons import QueuePosition, queue_positions
from dagbook.queues.worker.transport import NullTransport
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.store.new_run import as_queued, check_start, with_queue_limit
from dagbook.runs.store.recorder import Recorder, RunRefusedError
from dagbook.runs.wakeups import QueueSignal
from tests.runs.scene import IDENTITY, again, ended, new_run, now, running, told

QUEUED, LIVE, OVER, GONE, REFUSED = "queued", "live", "over", "gone", "max_run_reached"
LIMIT = 2
STATUSES = {5: QUEUED, 0: LIVE, 1: LIVE, 2: OVER}


class Known(msgspec.Struct, kw_only=True):
    """A run as the model knows it; of those that wait in a queue the one with the least ``turn`` is next."""

    dag: str
    queue: str
    most: int
    status: str = QUEUED
    attempt: int = 1
    priority: int = 0
    place: int = 0
    number: int = 0

    @property
    def turn(self) -> tuple[int, int, int]:
        return (-self.priority, self.place, self.number)


class Model:
    """Runs and queues; ``shared`` has a limit of its own."""

    def __init__(self, shared: str) -> None:
        self.shared = shared
        self.runs: dict[str, Known] = {}
        self.paused: set[str] = set()
        self._numbers = itertools.count(1)

    def waiting(self, name: str) -> list[str]:
        found = [key for key, run in self.runs.items() if run.status == QUEUED and run.queue == name]
        return sorted(found, key=lambda key: self.runs[key].turn)

    def live(self, run: Known) -> int:
        """Count what runs in the queue of a run: of its own DAG alone, if the queue has that name."""
        alone = run.queue == run.dag and run.queue != self.shared
        found = [one for one in self.runs.values() if one.status == LIVE and one.queue == run.queue]
        return sum(not alone or one.dag == run.dag for one in found)

    def limit(self, run: Known) -> int | None:
        if run.queue == self.shared:
            return LIMIT
        return None if run.most < 0 else run.most

    def is_full(self, run: Known) -> bool:
        alike = [one.status for one in self.runs.values() if (one.dag, one.queue) == (run.dag, run.queue)]
        return 0 < run.most <= alike.count(LIVE) + alike.count(QUEUED)

    def has_no_room(self, run: Known) -> bool:
        limit = self.limit(run)
        if run.most < 0 or (run.queue == run.dag and run.queue != self.shared) or limit is None:
            return False
        return self.live(run) >= limit or bool(self.waiting(run.queue)) or run.queue in self.paused

    def enqueue(self, key: str, run: Known) -> str:
        if run.queue != run.dag and run.most > 1 and self.is_full(run):
            return REFUSED
        return self._add(key, run, QUEUED)

    def start(self, key: str, run: Known, *, singleton: bool) -> str:
        lives = any((one.dag, one.queue, one.status) == (run.dag, run.queue, LIVE) for one in self.runs.values())
        if (lives and (singleton or run.most == 1)) or self.is_full(run):
            return REFUSED
        if not self.has_no_room(run):
            return self._add(key, run, LIVE)
        return REFUSED if singleton else self._add(key, run, QUEUED)

    def retry(self, key: str) -> str:
        run = self.runs[key]
        if self.is_full(run):
            return REFUSED
        run.status, run.priority, run.place = (QUEUED if self.has_no_room(run) else LIVE), 0, 0
        run.attempt += 1
        run.number = next(self._numbers)
        return run.status

    def _add(self, key: str, run: Known, status: str) -> str:
        run.status, run.number = status, next(self._numbers)
        self.runs[key] = run
        return status

    def take_out(self, key: str) -> None:
        run = self.runs[key]
        if run.attempt == 1:
            del self.runs[key]
        else:
            run.status, run.attempt = OVER, run.attempt - 1

    def serve(self) -> None:
        for name in {run.queue for run in self.runs.values()} - self.paused:
            for key in self.waiting(name):
                limit = self.limit(self.runs[key])
                if limit is not None and self.live(self.runs[key]) >= limit:
                    break
                self.runs[key].status = LIVE

    def to_front(self, key: str) -> None:
        run = self.runs[key]
        others = [self.runs[other] for other in self.waiting(run.queue)]
        if others[0] is run:
            return
        run.priority = max(other.priority for other in others)
        run.place = min(0, *(other.place for other in others if other.priority == run.priority)) - 1

    def behind(self, key: str, other: str) -> None:
        """MoveRequest one right behind another: that one and those before it make room."""
        run, above = self.runs[key], self.runs[other]
        order = [name for name in self.waiting(run.queue) if self.runs[name].priority == above.priority]
        place = above.place - 1
        for name in order[: order.index(other) + 1]:
            self.runs[name].place -= 2
        run.priority, run.place = above.priority, place
        whole = self.waiting(run.queue)
        assert whole.index(key) == whole.index(other) + 1

    def cause(self, name: str) -> WaitCause:
        """Say what the first one in a queue waits for."""
        first = self.runs[self.waiting(name)[0]]
        limit = self.limit(first)
        if name in self.paused:
            return WaitCause.PAUSED
        return WaitCause.LIMIT if limit is not None and self.live(first) >= limit else WaitCause.TURN


class QueuedRuns:
    """Claims runs as real drivers do, and starts nothing."""

    def __init__(self, database: Database, recorder: Recorder, known: dict[int, NewRun]) -> None:
        self._database = database
        self._recorder = recorder
        self._known = known
        self.context = SimpleNamespace(now=lambda: datetime.now(UTC))

    async def start_queued(self, keys: Sequence[int]) -> list[BaseException | None]:
        claims = await self._database.read(lambda connection: [self._claim(connection, key) for key in keys])
        return await asyncio.gather(*(self._recorder.claim(claim) for claim in claims), return_exceptions=True)

    def _claim(self, connection: ReadConnection, key: int) -> Claim:
        run, stored, last = self._known[key], runs.get_complete(connection, key), runs.last_seq(connection, key)
        assert stored is not None
        begun = told(run, last + 1)
        event = msgspec.structs.replace(begun.events[0], attempt=stored.attempt)
        fence = Fence(key, stored.attempt, 1)
        attempt = AttemptChange(run_id=key, number=stored.attempt, status=RunStatus.RUNNING, state={}, closed_at=None)
        return Claim(
            fence=fence,
            last_seq=last,
            queue=run.queue,
            owner=IDENTITY.id,
            host=IDENTITY.host_key,
            inputs=EvaluatedInputs(msgspec.structs.replace(run.inputs, params=()), ""),
            first_steps=msgspec.structs.replace(
                begun, fence=fence, events=[event], run=running(run, started_at=now()), attempt=attempt
            ),
        )

    async def fail_queued(self, key: int, reason: str) -> None:
        raise AssertionError(f"run {key}: {reason}")


class QueueMachine(RuleBasedStateMachine):
    """Does the same to the model and to the real parts, and compares all they say after each step.

    ``database`` and ``wait``, which lets work be done, are set by whoever runs it; names are of one example alone.
    """

    database: Database
    wait: Callable[[Awaitable[Any]], Any]
    _examples = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        prefix = f"x{next(self._examples)}"
        self.dags = [f"{prefix}d{most}" for most in ("1", "2", "-1")]
        self.queues = [f"{prefix}shared", f"{prefix}free", "", self.dags[1]]
        self.names = {*self.dags, *self.queues} - {""}
        self.model = Model(self.queues[0])
        self.settings = QueueConfig(limits={self.queues[0]: LIMIT})
        self.recorder = Recorder(self.database, IDENTITY.id, check_start, self.settings)
        self.known: dict[int, NewRun] = {}
        signal = QueueSignal()
        self.dispatcher = Dispatcher(
            self.database,
            cast("ActiveRuns", QueuedRuns(self.database, self.recorder, self.known)),
            signal,
            self.settings,
            NullTransport(),
        )
        self.people = DequeueService(self.database, signal, self.settings, now)
        self.order = QueueService(self.database, signal, now)
        self._do(self._start())

    async def _start(self) -> None:
        self.recorder.start()

    def _do(self, work: Awaitable[Any]) -> Any:
        return type(self).wait(work)

    def teardown(self) -> None:
        for name in self.names:
            self._do(self.people.clear(name, name, ANONYMOUS))
        self._do(self.recorder.stop())

    # -- what is done ------------------------------------------------------------------------------------------------

    @rule(dag=st.integers(0, 2), name=st.integers(0, 3), priority=st.integers(-1, 1))
    def enqueue(self, dag: int, name: int, priority: int) -> None:
        run, known = self._new(dag, name, priority=priority)
        assert self._accepted(as_queued(run)) == self.model.enqueue(run.run_id, known)

    @rule(dag=st.integers(0, 2), name=st.integers(0, 3), singleton=st.booleans())
    def start(self, dag: int, name: int, singleton: bool) -> None:
        run, known = self._new(dag, name, admission=Admission.SINGLETON if singleton else Admission.START)
        accepted = self._accepted(with_queue_limit(run, self.settings))
        assert accepted == self.model.start(run.run_id, known, singleton=singleton)

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def enqueue_a_used_id(self, data: st.DataObject) -> None:
        key = self._choose(data, QUEUED, LIVE, OVER)
        known = self.model.runs[key]
        run = new_run(known.dag, key, f"maxActiveRuns: {known.most}\nsteps: []\n")
        assert self._accepted(as_queued(run)) == "already_exists"

    @precondition(lambda self: self._some(LIVE))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = self._choose(data, LIVE)
        run, known = self._real(key), self.model.runs[key]
        last = self._do(self.database.read(lambda connection: runs.last_seq(connection, run.key)))
        self._do(self.recorder.record(ended(run, last + 1, attempt=known.attempt)))
        known.status = OVER

    @precondition(lambda self: self._some(OVER))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        key = self._choose(data, OVER)
        run, known = self._real(key), self.model.runs[key]
        last = self._do(self.database.read(lambda connection: runs.last_seq(connection, run.key)))
        attempt = with_queue_limit(again(run, last, previous=known.attempt), self.settings)
        assert self._told(self.recorder.accept(attempt)) == self.model.retry(key)

    @rule()
    def serve(self) -> None:
        self._do(self.dispatcher.run_once(self.names))
        self.model.serve()

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def dequeue(self, data: st.DataObject) -> None:
        key = self._choose(data, QUEUED, LIVE, OVER)
        known = self.model.runs[key]
        row = self._do(self.database.read(lambda connection: runs.get(connection, known.dag, key)))
        try:
            self._do(self.people.dequeue(row, ANONYMOUS))
        except BadRequestError:
            assert known.status != QUEUED
        else:
            assert known.status == QUEUED
            self.model.take_out(key)

    @rule(name=st.integers(0, 1))
    def clear(self, name: int) -> None:
        waiting = self.model.waiting(self.queues[name])
        assert self._do(self.people.clear(self.queues[name], self.queues[name], ANONYMOUS)) == len(waiting)
        for key in waiting:
            self.model.take_out(key)

    @rule(name=st.integers(0, 1))
    def pause(self, name: int) -> None:
        self._do(self.order.pause(self.queues[name], ANONYMOUS))
        self.model.paused.add(self.queues[name])

    @rule(name=st.integers(0, 1))
    def resume(self, name: int) -> None:
        self._do(self.order.resume(self.queues[name], ANONYMOUS))
        self.model.paused.discard(self.queues[name])

    @precondition(lambda self: self._some(QUEUED))
    @rule(data=st.data(), priority=st.integers(-1, 1))
    def prioritise(self, data: st.DataObject, priority: int) -> None:
        key = self._choose(data, QUEUED)
        known = self.model.runs[key]
        self._move(key, priority=priority)
        if priority != known.priority:
            known.priority, known.place = priority, 0

    @precondition(lambda self: self._some(QUEUED))
    @rule(data=st.data())
    def move_to_front(self, data: st.DataObject) -> None:
        key = self._choose(data, QUEUED)
        self._move(key, to_front=True)
        self.model.to_front(key)

    @precondition(lambda self: self._some(QUEUED))
    @rule(data=st.data())
    def move_behind(self, data: st.DataObject) -> None:
        key = self._choose(data, QUEUED)
        others = [name for name in self.model.waiting(self.model.runs[key].queue) if name != key]
        if others:
            other = data.draw(st.sampled_from(others))
            self._move(key, after=self._item(other))
            self.model.behind(key, other)

    # -- what has to be the same -------------------------------------------------------------------------------------

    @invariant()
    def runs_are_what_the_model_says(self) -> None:
        found = self._do(self.database.read(self._read_runs))
        assert found == {key: (run.status, run.attempt) for key, run in self.model.runs.items()}

    @invariant()
    def every_run_that_waits_stands_where_the_model_says_and_says_why(self) -> None:
        rows, standings = self._do(self.database.read(self._read_waiting))
        for name in {run.queue for run in self.model.runs.values()}:
            expected = self.model.waiting(name)
            assert [row.run_id for row in rows if row.queue == name] == expected
            found = [standings[self._real(key).key] for key in expected]
            assert [one.position for one in found] == list(range(1, len(expected) + 1))
            assert [one.priority for one in found] == [self.model.runs[key].priority for key in expected]
            assert {one.wait.cause for one in found} <= ({self.model.cause(name)} if expected else set())
            assert all(one.wait.text and len(one.wait.active_runs) == one.wait.active for one in found)

    def _read_runs(self, connection: ReadConnection) -> dict[str, tuple[str, int]]:
        statement = select(Run.run_id, Run.status, Run.attempt).where(Run.dag_name.in_(self.dags))
        return {row.run_id: (STATUSES[row.status], row.attempt) for row in connection.execute(statement)}

    def _read_waiting(self, connection: ReadConnection) -> tuple[list[QueuedRunRow], dict[int, QueuePosition]]:
        rows = [row for row in queue.find_queued(connection) if row.dag_name in self.dags]
        return rows, queue_positions(connection, self.settings, [row.id for row in rows])

    # -- names -------------------------------------------------------------------------------------------------------

    def _new(self, dag: int, name: int, **start: Any) -> tuple[NewRun, Known]:
        most = (1, 2, -1)[dag]
        own = f"queue: {self.queues[name]}\n" if self.queues[name] else ""
        run = new_run(self.dags[dag], f"r{len(self.known)}", f"maxActiveRuns: {most}\n{own}steps: []\n", **start)
        self.known[run.key] = run
        return run, Known(dag=run.dag_name, queue=run.queue, most=most, priority=start.get("priority", 0))

    def _accepted(self, run: NewRun) -> str:
        return self._told(self.recorder.accept(run))

    def _told(self, accepted: Awaitable[bool]) -> str:
        try:
            return QUEUED if self._do(accepted) else LIVE
        except RunRefusedError as error:
            return error.refusal.code

    def _move(self, key: str, **wanted: Any) -> None:
        self._do(self.order.move(self._real(key).queue, self._item(key), MoveRequest(**wanted), ANONYMOUS))

    def _item(self, key: str) -> int:
        run = self._real(key)
        rows = self._do(self.database.read(lambda connection: queue.find_positions(connection, [run.queue], [run.key])))
        (item,) = [row.id for row in rows if row.run_id == run.key]
        return int(item)

    def _some(self, status: str) -> bool:
        return any(run.status == status for run in self.model.runs.values())

    def _choose(self, data: st.DataObject, *statuses: str) -> str:
        return data.draw(st.sampled_from([key for key, run in self.model.runs.items() if run.status in statuses]))

    def _real(self, key: str) -> NewRun:
        return next(run for run in self.known.values() if run.run_id == key)
