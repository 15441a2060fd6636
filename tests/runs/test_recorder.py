"""The one writer of run states: groups, fences, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.backend import T
from dagbook.db.database import Arguments, Database, WriteConnection
from dagbook.db.errors import Conflict, DatabaseUnavailable
from dagbook.db.repositories import audit, queue
from dagbook.db.repositories.audit import AuditFilter
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import run_writes, runs, status_overrides
from dagbook.db.repositories.runs.run_rows import EvaluatedInputs
from dagbook.db.repositories.runs.run_writes import Claim, Fence, NewRun
from dagbook.db.repositories.runs.status_overrides import StepEdit
from dagbook.engine.admission import Admission
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.store import recorder as recorder_module
from dagbook.runs.store.new_run import as_queued, check_start
from dagbook.runs.store.recorder import FenceLostError, Recorder, RunRefusedError
from dagbook.spec.model import Pair
from tests.runs.scene import (
    IDENTITY,
    SPEC,
    again,
    asked,
    ended,
    new_run,
    now,
    register,
    running,
    sequences,
    told,
    written,
)
from tests.statements import noting_statements
from tests.waiting import wait_until

pytestmark = pytest.mark.always


class FaultyDatabase(Database):
    """A database whose next writes fail, before they are made or after they are committed."""

    def __init__(self, real: Database) -> None:
        super().__init__(real._backend)
        self.faults: list[str] = []
        self.writes = 0
        self.durable: list[bool] = []
        self.held = asyncio.Event()
        self.held.set()
        self.failed = asyncio.Event()

    async def write(
        self,
        work: Callable[[WriteConnection, *Arguments], T],
        *arguments: *Arguments,
        durable: bool = True,
        by_keys: bool = False,
    ) -> T:
        await self.held.wait()
        self.writes += 1
        self.durable.append(durable)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            self.failed.set()
            raise DatabaseUnavailable("the cable is out")
        result = await super().write(work, *arguments, durable=durable, by_keys=by_keys)
        if fault == "after":
            raise DatabaseUnavailable("the answer was lost")
        return result


@pytest.fixture
async def faulty(database: Database) -> FaultyDatabase:
    await register(database)
    return FaultyDatabase(database)


@pytest.fixture
async def recorder(faulty: FaultyDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recorder]:
    monkeypatch.setattr(recorder_module, "_FIRST_PAUSE_SECONDS", 0.001)
    opened = Recorder(faulty, IDENTITY.id, check_start)
    opened.start()
    yield opened
    faulty.faults.clear()
    await opened.stop()


async def _sequences(database: Database, run: NewRun) -> list[int]:
    return await database.read(lambda connection: sequences(connection, run))


async def _accepted(recorder: Recorder) -> NewRun:
    run = new_run()
    await recorder.accept(run)
    return run


async def test_what_waits_when_the_writer_is_free_is_one_write(recorder: Recorder, faulty: FaultyDatabase) -> None:
    runs = [new_run() for _ in range(10)]
    faulty.held.clear()
    waiting = asyncio.gather(*(recorder.accept(run) for run in runs))
    await asyncio.sleep(0)
    before = faulty.writes
    faulty.held.set()
    await waiting
    assert faulty.writes == before + 1


async def test_who_started_the_runs_of_a_group_is_noted_by_one_statement_in_its_write(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    statements: list[str] = []
    runs = [new_run(actor=ANONYMOUS) for _ in range(10)] + [new_run() for _ in range(3)]
    faulty.held.clear()
    waiting = asyncio.gather(*(recorder.accept(run) for run in runs))
    await asyncio.sleep(0)
    before = faulty.writes
    with noting_statements(lambda statement, *_: statements.append(statement)):
        faulty.held.set()
        await waiting
    assert faulty.writes == before + 1
    assert len([statement for statement in statements if statement.startswith("INSERT INTO audit ")]) == 1
    found = await faulty.read(lambda connection: audit.find(connection, AuditFilter(actions=["run.start"]), 100))
    assert {row.name for row in found} == {f"{run.dag_name}/{run.run_id}" for run in runs[:10]}


async def test_a_start_that_the_guard_refuses_is_no_entry(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = new_run(actor=ANONYMOUS)
    await recorder.accept(run)
    with pytest.raises(RunRefusedError):
        await recorder.accept(new_run(run.dag_name, actor=ANONYMOUS))
    assert len(await faulty.read(lambda connection: audit.find(connection, AuditFilter(), 100))) == 1


async def test_a_run_that_is_crowded_out_is_noted_with_its_queue(recorder: Recorder, faulty: FaultyDatabase) -> None:
    await recorder.accept(as_queued(new_run(actor=ANONYMOUS)))
    (entry,) = await faulty.read(lambda connection: audit.find(connection, AuditFilter(), 100))
    assert (entry.after or {})["queue"] == entry.name.partition("/")[0]


async def test_transitions_of_one_run_keep_their_order_in_a_group(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = await _accepted(recorder)
    await asyncio.gather(*(recorder.record(told(run, seq)) for seq in range(2, 30)))
    assert await _sequences(faulty, run) == list(range(1, 30))


async def test_runs_pass_every_status_and_chunk_although_their_transitions_share_a_group(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    group = [await _accepted(recorder) for _ in range(5)]
    faulty.held.clear()
    stored = [recorder.record(msgspec.structs.replace(told(run, 2), run=running(run))) for run in group]
    done = [msgspec.structs.replace(running(run), status=RunStatus.SUCCEEDED, finished_at=now()) for run in group]
    stored += [
        recorder.record(msgspec.structs.replace(told(run, 3), run=last)) for run, last in zip(group, done, strict=True)
    ]
    stored += [recorder.store_log(written(run, number)) for number in range(4) for run in group]
    waiting = asyncio.gather(*stored)
    await asyncio.sleep(0)
    before = faulty.writes
    faulty.held.set()
    await waiting  # the database refuses a run that has not begun and succeeds, and a chunk before another one
    assert faulty.writes == before + 1
    for run in group:
        found = await faulty.read(runs.get, run.dag_name, run.run_id)
        assert found is not None
        assert found.status == RunStatus.SUCCEEDED
        assert await _sequences(faulty, run) == [1, 2, 3]


async def test_a_bad_run_fails_alone(recorder: Recorder, faulty: FaultyDatabase) -> None:
    good, bad = await _accepted(recorder), await _accepted(recorder)
    results = await asyncio.gather(
        recorder.record(told(good, 2)),
        recorder.record(told(bad, 7)),  # the database refuses gaps
        recorder.record(told(good, 3)),
        recorder.accept(new_run()),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False, False]
    assert await _sequences(faulty, good) == [1, 2, 3]
    assert await _sequences(faulty, bad) == [1]


async def test_a_run_under_another_token_is_not_written_to(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run, other = await _accepted(recorder), await _accepted(recorder)
    lost, kept = await asyncio.gather(
        recorder.record(told(run, 2, token=9)), recorder.record(told(other, 2)), return_exceptions=True
    )
    assert isinstance(lost, FenceLostError)
    assert kept is None
    assert (await _sequences(faulty, run), await _sequences(faulty, other)) == ([1], [1, 2])


async def test_a_run_of_another_server_is_not_written_to(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = await _accepted(recorder)
    stranger = Recorder(faulty, "somebody else", check_start)
    stranger.start()
    with pytest.raises(FenceLostError):
        await stranger.record(told(run, 2))
    await stranger.stop()


@pytest.mark.parametrize("faults", [["before"], ["after"], ["before", "after"], ["after", "before"], ["before"] * 5])
async def test_a_transition_is_stored_once_whenever_the_database_was_away(
    recorder: Recorder, faulty: FaultyDatabase, faults: list[str]
) -> None:
    run = await _accepted(recorder)
    faulty.faults = list(faults)
    await recorder.record(told(run, 2))
    await recorder.record(told(run, 3))
    assert await _sequences(faulty, run) == [1, 2, 3]


@pytest.mark.parametrize("faults", [["before"], ["after"], ["after", "before"]])
async def test_a_chunk_is_stored_once_whenever_the_database_was_away(
    recorder: Recorder, faulty: FaultyDatabase, faults: list[str]
) -> None:
    run = await _accepted(recorder)
    faulty.faults = list(faults)
    await recorder.store_log(written(run, 0))
    await recorder.store_log(written(run, 1))
    key = StreamKey(run.key, 1, 0, 1)
    chunks = await faulty.read(lambda connection: logs.find_lines(connection, key, 1, 10))
    assert "".join(chunk.text for chunk in chunks) == "0\n1\n"


@pytest.mark.parametrize("faults", [["before"], ["after"], ["after", "before"]])
async def test_an_approval_is_asked_for_once_whenever_the_database_was_away(
    recorder: Recorder, faulty: FaultyDatabase, faults: list[str]
) -> None:
    run = await _accepted(recorder)
    faulty.faults = list(faults)
    await recorder.record(asked(run))
    assert await faulty.read(lambda connection: run_writes.has_approval(connection, Fence(run.key, 1, 1), 0))
    await recorder.record(told(run, 2))


async def test_only_output_of_running_steps_does_not_wait_for_the_disk(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    run = await _accepted(recorder)
    await recorder.store_log(written(run, 0))
    await recorder.record(told(run, 2))
    await asyncio.gather(recorder.record(told(run, 3)), recorder.store_log(written(run, 1)))
    await recorder.record(msgspec.structs.replace(written(run, 2), events=told(run, 4).events))
    assert faulty.durable == [True, False, True, True, True]


async def test_a_group_that_was_half_stored_is_finished(recorder: Recorder, faulty: FaultyDatabase) -> None:
    """A member is bad, so its group is written one by one, and the answer to the first of these is lost."""
    first, second, bad = [await _accepted(recorder) for _ in range(3)]
    faulty.faults = ["", "after", "before"]
    results = await asyncio.gather(
        recorder.record(told(first, 2)),
        recorder.record(told(second, 2)),
        recorder.record(told(bad, 9)),
        return_exceptions=True,
    )
    assert [result is None for result in results] == [True, True, False]
    assert (await _sequences(faulty, first), await _sequences(faulty, second)) == ([1, 2], [1, 2])


async def test_a_new_run_is_refused_at_once_while_the_database_is_away(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    faulty.faults = ["before"]
    with pytest.raises(DatabaseUnavailable):
        await recorder.accept(new_run())


async def test_a_start_takes_part_in_the_next_try_after_an_outage(
    recorder: Recorder, faulty: FaultyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await _accepted(recorder)
    monkeypatch.setattr(recorder_module, "_FIRST_PAUSE_SECONDS", 0.05)
    faulty.faults = ["before"]
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(recorder.record(told(run, 2)))
        await faulty.failed.wait()  # the writer pauses
        await recorder.accept(new_run())
    assert await _sequences(faulty, run) == [1, 2]


async def test_a_used_id_and_a_reached_limit_are_refused_even_inside_one_group(recorder: Recorder) -> None:
    first, twin, neighbour = new_run("same", "r1"), new_run("same", "r1"), new_run("same", "r2")
    results = await asyncio.gather(*(recorder.accept(run) for run in (first, twin, neighbour)), return_exceptions=True)
    codes = [result.refusal.code for result in results if isinstance(result, RunRefusedError)]
    assert (results[0], codes) == (False, ["already_exists", "max_run_reached"])


async def test_an_id_that_the_server_made_is_not_looked_up_and_is_used_once_all_the_same(recorder: Recorder) -> None:
    made = msgspec.structs.replace(new_run(), is_named=False, admission=Admission.UNLIMITED)
    texts: list[str] = []
    with noting_statements(lambda statement, *_: texts.append(statement)):
        await recorder.accept(made)
    assert not [text for text in texts if text.startswith("SELECT runs.dag_name, runs.run_id")]
    with pytest.raises(RunRefusedError, match="exists already"):
        await recorder.accept(made)


async def test_an_id_taken_behind_the_guard_s_back_is_refused_by_the_database(
    faulty: FaultyDatabase, recorder: Recorder
) -> None:
    """Another server may accept the same run between our look and our write."""
    taken = new_run("same", "r1")
    await recorder.accept(taken)
    blind: Callable[..., None] = lambda run, used, activity: None  # noqa: E731, ARG005
    unguarded = Recorder(faulty, IDENTITY.id, blind)
    unguarded.start()
    with pytest.raises(Conflict):
        await unguarded.accept(new_run("same", "r1"))
    await unguarded.stop()


async def test_stopping_writes_what_waits(faulty: FaultyDatabase) -> None:
    opened = Recorder(faulty, IDENTITY.id, check_start)
    run = new_run()
    waiting = asyncio.create_task(opened.accept(run))
    await asyncio.sleep(0)
    opened.start()
    opened.start()  # harmless
    await opened.stop()
    await opened.stop()  # harmless
    await waiting
    assert await _sequences(faulty, run) == [1]


async def test_stopping_gives_up_on_a_database_that_stays_away(
    faulty: FaultyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(recorder_module, name, 0.001)
    opened = Recorder(faulty, IDENTITY.id, check_start)
    opened.start()
    run = new_run()
    await opened.accept(run)
    faulty.faults = ["before"] * 10_000
    waiting = asyncio.create_task(opened.record(told(run, 2)))
    await asyncio.sleep(0)
    await opened.stop()
    with pytest.raises(DatabaseUnavailable):
        await waiting


# -- later attempts ------------------------------------------------------------------------------------------------


async def _ended(recorder: Recorder, name: str = "", run_id: str = "r1") -> NewRun:
    """Accept a run and end it; it has two events then."""
    run = new_run(name, run_id)
    await recorder.accept(run)
    await recorder.record(ended(run, 2))
    return run


async def test_a_later_attempt_is_stored_whole(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = await _ended(recorder)
    await recorder.accept(again(run, 2))
    row = await faulty.read(lambda connection: runs.get_complete(connection, run.key))
    assert row is not None
    assert (row.attempt, row.status, row.finished_at, row.error) == (2, 0, None, None)
    assert (row.dotenv, row.work_dir, row.created_at) == ([["A", "again"]], "/again", run.run.created_at)
    assert await _sequences(faulty, run) == [1, 2, 3]


async def test_a_run_that_is_not_over_is_not_tried_again(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = await _accepted(recorder)
    with pytest.raises(RunRefusedError, match="has not finished"):
        await recorder.accept(again(run, 1))
    assert await _sequences(faulty, run) == [1]


async def test_of_two_retries_in_one_group_the_second_is_refused(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = await _ended(recorder)
    results = await asyncio.gather(*(recorder.accept(again(run, 2)) for _ in range(2)), return_exceptions=True)
    assert results[0] is False  # it does not wait
    assert isinstance(results[1], RunRefusedError)
    assert await _sequences(faulty, run) == [1, 2, 3]


async def test_a_retry_that_comes_after_a_whole_other_one_is_refused(recorder: Recorder) -> None:
    run = await _ended(recorder)
    late = again(run, 2)
    await recorder.accept(again(run, 2))
    await recorder.record(ended(run, 4, attempt=2))
    with pytest.raises(RunRefusedError, match="was retried just now"):
        await recorder.accept(late)
    await recorder.accept(again(run, 4, previous=2))


async def test_a_retry_made_from_what_has_changed_since_is_to_be_made_anew(recorder: Recorder) -> None:
    run = await _ended(recorder)
    with pytest.raises(RunRefusedError) as refused:
        await recorder.accept(again(run, 1))
    assert refused.value.refusal.code == "changed"


async def test_a_start_and_a_retry_in_one_group_count_against_the_same_limit(recorder: Recorder) -> None:
    run = await _ended(recorder, "same", "r1")
    results = await asyncio.gather(
        recorder.accept(new_run("same", "r2")), recorder.accept(again(run, 2)), return_exceptions=True
    )
    assert results[0] is False  # it does not wait
    assert isinstance(results[1], RunRefusedError)


async def test_a_sub_run_is_tried_again_whatever_the_limit_of_its_dag(recorder: Recorder) -> None:
    run = await _ended(recorder, "same", "r1")
    await recorder.accept(new_run("same", "r2"))
    await recorder.accept(again(run, 2, admission=Admission.UNLIMITED))


async def test_a_retry_is_refused_at_once_while_the_database_is_away(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    run = await _ended(recorder)
    faulty.faults = ["before"]
    with pytest.raises(DatabaseUnavailable):
        await recorder.accept(again(run, 2))
    assert await _sequences(faulty, run) == [1, 2]


async def test_two_servers_that_retry_one_run_at_once_open_one_attempt(
    recorder: Recorder, faulty: FaultyDatabase, database_url: str
) -> None:
    run = await _ended(recorder)
    other_database = await Database.open(database_url)
    other = Recorder(other_database, IDENTITY.id, check_start)
    other.start()
    results = await asyncio.gather(*(one.accept(again(run, 2)) for one in (recorder, other)), return_exceptions=True)
    await other.stop()
    await other_database.close()
    assert sorted(type(result).__name__ for result in results) == ["RunRefusedError", "bool"]
    assert await _sequences(faulty, run) == [1, 2, 3]


# -- queues ----------------------------------------------------------------------------------------------------------


async def _waiting(recorder: Recorder, name: str, run_id: str, *, spec: str = SPEC) -> NewRun:
    run = as_queued(new_run(name, run_id, spec))
    assert await recorder.accept(run)
    return run


def _claim(run: NewRun, *, last_seq: int = 1) -> Claim:
    fence = Fence(run.key, 1, 1)
    return Claim(
        fence=fence,
        last_seq=last_seq,
        queue=run.queue,
        owner=IDENTITY.id,
        host=IDENTITY.host_key,
        inputs=EvaluatedInputs(
            msgspec.structs.replace(run.inputs, params=[Pair("A", "now")], dotenv=[Pair("B", "now")]), "A=now"
        ),
        first_steps=msgspec.structs.replace(told(run, 2), run=running(run)),
    )


async def _refusal(recorder: Recorder, claim: Claim) -> str:
    try:
        await recorder.claim(claim)
    except RunRefusedError as error:
        return error.refusal.code
    return ""


async def test_a_queued_run_is_claimed_and_begun_in_one_write(recorder: Recorder, faulty: FaultyDatabase) -> None:
    run = await _waiting(recorder, "q1", "r1")
    before = faulty.writes
    await recorder.claim(_claim(run))
    assert faulty.writes == before + 1
    stored = await faulty.read(lambda connection: runs.get(connection, "q1", "r1"))
    attempt = await faulty.read(lambda connection: runs.get_attempt(connection, run.key, 1))
    assert stored is not None
    assert attempt is not None
    assert (stored.status, attempt.owner, attempt.token) == (1, IDENTITY.id, 1)
    whole = await faulty.read(lambda connection: runs.get_complete(connection, run.key))
    assert whole is not None
    assert (whole.params_text, whole.dotenv) == ("A=now", [["B", "now"]])
    assert await _sequences(faulty, run) == [1, 2]
    assert await faulty.read(queue.find_queues) == []


async def test_a_run_is_claimed_once(recorder: Recorder) -> None:
    run = await _waiting(recorder, "q2", "r1")
    refusals = await asyncio.gather(*(_refusal(recorder, _claim(run)) for _ in range(2)))
    assert refusals == ["", "not_next"]
    assert await _refusal(recorder, _claim(run)) == "not_next"


async def test_nobody_is_claimed_before_those_who_came_first(recorder: Recorder) -> None:
    first, second = await _waiting(recorder, "q3", "r1"), await _waiting(recorder, "q3", "r2")
    assert await _refusal(recorder, _claim(second)) == "not_next"
    assert await _refusal(recorder, _claim(first)) == ""
    assert await _refusal(recorder, _claim(second)) == "not_next"  # one run of the DAG is under way


async def test_of_those_claimed_in_one_group_as_many_go_as_the_limit_allows(recorder: Recorder) -> None:
    spec = f"maxActiveRuns: 2\n{SPEC}"
    waiting = [await _waiting(recorder, "q4", f"r{number}", spec=spec) for number in range(4)]
    refusals = await asyncio.gather(*(_refusal(recorder, _claim(run)) for run in waiting))
    assert refusals == ["", "", "not_next", "not_next"]


async def test_a_run_that_was_changed_since_it_was_read_is_to_be_read_again(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    run = await _waiting(recorder, "q5", "r1")
    edit = StepEdit(step="a", status=NodeStatus.SUCCEEDED, actor="me", at=now())
    await faulty.write(lambda connection: status_overrides.edit_step(connection, run.key, 1, edit))
    assert await _refusal(recorder, _claim(run)) == "changed"
    claim = _claim(run, last_seq=2)
    assert await _refusal(recorder, msgspec.structs.replace(claim, first_steps=None)) == ""


async def test_a_claim_during_an_outage_is_refused_and_the_run_goes_on_waiting(
    recorder: Recorder, faulty: FaultyDatabase
) -> None:
    run = await _waiting(recorder, "q6", "r1")
    faulty.faults = ["before"]
    with pytest.raises(DatabaseUnavailable):
        await recorder.claim(_claim(run))

    async def claimed() -> bool:
        try:
            return await _refusal(recorder, _claim(run)) == ""
        except DatabaseUnavailable:
            return False

    assert await wait_until(claimed)
