"""Which statuses of a node the database accepts, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.engine.status import NODE_TRANSITIONS, NodeStatus, RunStatus
from tests.db.rows import (
    NOW,
    accepted,
    add_attempt,
    add_node,
    add_run_in,
    add_whole_run,
    bring_node_to,
    rehearse,
    run_sql,
    stored,
)

PAIRS = list(product(NodeStatus, NodeStatus))
UNEDITED = {(before, after) for before, after in PAIRS if before is after} | NODE_TRANSITIONS
REFUSED = "a node cannot go from its status to this one"
EDIT = "UPDATE nodes SET status = :after, edited_at = :at, edited_by = 'ann' WHERE run_id = :id"

Work = Callable[[WriteConnection], None]


def change(before: NodeStatus, after: int) -> Work:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        bring_node_to(connection, run_id, before)
        run_sql(connection, "UPDATE nodes SET status = :after WHERE run_id = :id", after=after, id=run_id)

    return work


def edit(before: NodeStatus, after: NodeStatus, run: RunStatus) -> Work:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, run)
        add_attempt(connection, run_id)
        add_node(connection, run_id)
        bring_node_to(connection, run_id, before)
        run_sql(connection, EDIT, after=after, at=stored(connection, NOW), id=run_id)

    return work


def edit_twice(later: timedelta) -> Work:
    def work(connection: WriteConnection) -> None:
        edit(NodeStatus.FAILED, NodeStatus.SUCCEEDED, RunStatus.FAILED)(connection)
        at = stored(connection, NOW + later)
        run_sql(connection, "UPDATE nodes SET status = 2, edited_at = :at, edited_by = 'ann'", at=at)

    return work


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("status", NodeStatus, ids=lambda status: status.label)
async def test_a_node_begins_as_not_started_and_in_a_retry_also_settled(
    shared_database: Database, status: NodeStatus, attempt: int
) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id, number=attempt)
        add_node(connection, run_id, attempt=attempt, status=status)

    if status is NodeStatus.NOT_STARTED or (attempt > 1 and status.is_final):
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="a node begins as not started, or in a retry with the status it keeps"):
            await rehearse(shared_database, work)


async def test_a_node_follows_the_table(shared_database: Database) -> None:
    works = {pair: change(*pair) for pair in PAIRS}
    assert await accepted(shared_database, works, REFUSED) == UNEDITED


async def test_an_edit_takes_a_node_that_does_not_run_to_any_status_but_running(shared_database: Database) -> None:
    works = {pair: edit(*pair, RunStatus.FAILED) for pair in PAIRS}
    editable = {pair for pair in PAIRS if NodeStatus.RUNNING not in pair}
    assert await accepted(shared_database, works, REFUSED) == UNEDITED | editable


@pytest.mark.parametrize("run", RunStatus, ids=lambda status: status.label)
async def test_nodes_of_a_run_that_somebody_drives_are_not_edited(shared_database: Database, run: RunStatus) -> None:
    work = edit(NodeStatus.FAILED, NodeStatus.SUCCEEDED, run)
    if run in (RunStatus.NOT_STARTED, RunStatus.RUNNING):
        with pytest.raises(Conflict, match=REFUSED):
            await rehearse(shared_database, work)
    else:
        await rehearse(shared_database, work)


async def test_a_node_may_be_edited_again(shared_database: Database) -> None:
    await rehearse(shared_database, edit_twice(timedelta(seconds=1)))


async def test_an_earlier_edit_does_not_open_the_node_for_good(shared_database: Database) -> None:
    with pytest.raises(Conflict, match=REFUSED):
        await rehearse(shared_database, edit_twice(timedelta(0)))


async def test_an_edit_to_not_started_may_leave_the_end_as_it_is(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        edit(NodeStatus.SUCCEEDED, NodeStatus.FAILED, RunStatus.FAILED)(connection)
        run_sql(connection, "UPDATE nodes SET finished_at = :at", at=stored(connection, NOW))
        later = stored(connection, NOW + timedelta(seconds=1))
        run_sql(connection, "UPDATE nodes SET status = 0, edited_at = :at", at=later)

    await rehearse(shared_database, work)


@pytest.mark.parametrize(("log", "allowed"), [(None, True), (1, True), (2, False), (3, False)])
async def test_a_kept_log_is_that_of_an_earlier_attempt(
    shared_database: Database, log: int | None, allowed: bool
) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id, number=2)
        add_node(connection, run_id, attempt=2, status=4, log_attempt=log)

    if allowed:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="the log that a node has kept is that of an earlier attempt"):
            await rehearse(shared_database, work)


async def test_whose_log_a_node_shows_is_settled_when_it_begins(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id, number=2)
        add_node(connection, run_id, attempt=2, status=4, log_attempt=1)
        run_sql(connection, "UPDATE nodes SET log_attempt = NULL")

    with pytest.raises(Conflict, match="whose log a node shows is settled when it begins"):
        await rehearse(shared_database, work)


async def test_an_edit_names_who_did_it(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        at = stored(connection, NOW)
        run_sql(connection, "UPDATE nodes SET edited_at = :at WHERE run_id = :id", at=at, id=run_id)

    with pytest.raises(Conflict, match="edited_by_somebody"):
        await rehearse(shared_database, work)


@pytest.mark.parametrize("status", [-1, 7])
async def test_a_status_outside_the_set_is_refused(shared_database: Database, status: int) -> None:
    with pytest.raises(Conflict):
        await rehearse(shared_database, change(NodeStatus.NOT_STARTED, status))


@pytest.mark.parametrize("status", NodeStatus, ids=lambda status: status.label)
async def test_only_a_settled_node_has_an_end(shared_database: Database, status: NodeStatus) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        bring_node_to(connection, run_id, status)
        at = stored(connection, NOW)
        run_sql(connection, "UPDATE nodes SET finished_at = :at WHERE run_id = :id", at=at, id=run_id)

    if status.is_final:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="finished_only_when_settled"):
            await rehearse(shared_database, work)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET status = 2, started_at = :started, finished_at = :finished",
        "UPDATE nodes SET status = 2, started_at = :started, finished_at = :finished",
    ],
)
async def test_nothing_ends_before_it_started(shared_database: Database, statement: str) -> None:
    def work(connection: WriteConnection) -> None:
        bring_node_to(connection, add_whole_run(connection), NodeStatus.RUNNING)
        started, finished = stored(connection, NOW), stored(connection, NOW - timedelta(microseconds=1))
        run_sql(connection, statement, started=started, finished=finished)

    with pytest.raises(Conflict, match="finished_after_started"):
        await rehearse(shared_database, work)


@pytest.mark.parametrize(("position", "handler"), [(-1, False), (0, True), (-7, True)])
async def test_handlers_and_only_they_stand_below_zero(shared_database: Database, position: int, handler: bool) -> None:
    def work(connection: WriteConnection) -> None:
        add_node(connection, add_whole_run(connection), position=position, handler=handler, name="other")

    with pytest.raises(Conflict, match="handlers_below_zero"):
        await rehearse(shared_database, work)


@pytest.mark.parametrize(
    ("position", "run", "accepted_again"),
    [(-6, RunStatus.RUNNING, True), (-5, RunStatus.RUNNING, False), (-6, RunStatus.SUCCEEDED, False)],
    ids=["wait handler", "another handler", "of a finished run"],
)
async def test_only_the_wait_handler_of_an_active_run_runs_again(
    shared_database: Database, position: int, run: RunStatus, *, accepted_again: bool
) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        add_node(connection, run_id, position=position, handler=True, name="other")
        for status in (1, 4):
            run_sql(
                connection,
                "UPDATE nodes SET status = :status WHERE run_id = :id AND position = :position",
                status=status,
                id=run_id,
                position=position,
            )
        if run is not RunStatus.RUNNING:
            run_sql(connection, "UPDATE runs SET status = :status WHERE id = :id", status=int(run), id=run_id)
        again = "UPDATE nodes SET status = 1 WHERE run_id = :id AND position = :position"
        run_sql(connection, again, id=run_id, position=position)

    if accepted_again:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match=REFUSED):
            await rehearse(shared_database, work)
