"""Which statuses of a run the database accepts, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.engine.status import RUN_INSERTS, RUN_TRANSITIONS, RunStatus
from tests.db.rows import NOW, accepted, add_attempt, add_definition, add_run, add_run_in, rehearse, run_sql, stored

pytestmark = pytest.mark.always

PAIRS = list(product(RunStatus, RunStatus))
REFUSED_STATUS = "a run cannot go from its status to this one in the same attempt"
REFUSED_ATTEMPT = "a run cannot change to this attempt with this status"
AFTER_A_RETRY = {RunStatus.NOT_STARTED, RunStatus.QUEUED, RunStatus.RUNNING}

Work = Callable[[WriteConnection], None]


def change(before: RunStatus, after: int, attempt: int = 1) -> Work:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, before)
        statement = "UPDATE runs SET status = :after, attempt = :attempt WHERE id = :id"
        run_sql(connection, statement, after=after, attempt=attempt, id=run_id)

    return work


def dequeue(kept: RunStatus, after: RunStatus) -> Work:
    """A run whose first attempt ended as ``kept`` was queued again and is now taken back."""

    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, kept)
        add_attempt(connection, run_id, status=kept, closed_at=NOW)
        run_sql(connection, "UPDATE runs SET status = 5, attempt = 2 WHERE id = :id", id=run_id)
        run_sql(connection, "UPDATE runs SET status = :after, attempt = 1 WHERE id = :id", after=after, id=run_id)

    return work


@pytest.mark.parametrize("status", RunStatus, ids=lambda status: status.label)
async def test_a_run_begins_as_not_started_or_queued(shared_database: Database, status: RunStatus) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        add_run(connection, status=status)

    if status in RUN_INSERTS:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="a run begins as not started or queued"):
            await rehearse(shared_database, work)


async def test_inside_an_attempt_a_run_follows_the_table(shared_database: Database) -> None:
    works = {pair: change(*pair) for pair in PAIRS}
    allowed = {(before, after) for before, after in PAIRS if before is after} | RUN_TRANSITIONS
    assert await accepted(shared_database, works, REFUSED_STATUS) == allowed


async def test_the_next_attempt_begins_after_the_end_of_the_one_before(shared_database: Database) -> None:
    works = {pair: change(*pair, attempt=2) for pair in PAIRS}
    allowed = {(before, after) for before, after in PAIRS if before.is_final and after in AFTER_A_RETRY}
    assert await accepted(shared_database, works, REFUSED_ATTEMPT) == allowed


async def test_a_dequeued_retry_goes_back_to_how_the_attempt_before_ended(shared_database: Database) -> None:
    ends = [status for status in RunStatus if status.is_final]
    works = {(kept, after): dequeue(kept, after) for kept in ends for after in RunStatus}
    assert await accepted(shared_database, works, REFUSED_ATTEMPT) == {(kept, kept) for kept in ends}


@pytest.mark.parametrize("attempt", [3, 4])
async def test_no_attempt_is_left_out(shared_database: Database, attempt: int) -> None:
    with pytest.raises(Conflict, match=REFUSED_ATTEMPT):
        await rehearse(shared_database, change(RunStatus.FAILED, RunStatus.QUEUED, attempt))


async def test_a_queued_run_cannot_go_back_to_an_attempt_that_never_was(shared_database: Database) -> None:
    with pytest.raises(Conflict, match=REFUSED_ATTEMPT):
        await rehearse(shared_database, change(RunStatus.QUEUED, RunStatus.FAILED, attempt=0))


@pytest.mark.parametrize("status", [-1, 7])
async def test_a_status_outside_the_set_is_refused(shared_database: Database, status: int) -> None:
    with pytest.raises(Conflict):
        await rehearse(shared_database, change(RunStatus.NOT_STARTED, status))


@pytest.mark.parametrize("status", RunStatus, ids=lambda status: status.label)
async def test_only_a_run_that_is_over_has_an_end(shared_database: Database, status: RunStatus) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, status)
        run_sql(connection, "UPDATE runs SET finished_at = :now WHERE id = :id", now=stored(connection, NOW), id=run_id)

    if status.is_final:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="finished_only_when_over"):
            await rehearse(shared_database, work)
