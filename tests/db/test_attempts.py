"""What the database refuses about attempts: who may write for a run."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.engine.status import RunStatus
from tests.db.rows import NOW, add_attempt, add_run_in, add_service, rehearse, run_sql, stored

PAIRS = list(product(RunStatus, repeat=2))
TOKENS = "the token of an attempt only grows, and grows with every change of owner"


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=[f"{before.label}-{after.label}" for before, after in PAIRS])
async def test_an_attempt_that_is_over_keeps_its_status(
    shared_database: Database, before: RunStatus, after: RunStatus
) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id, status=before)
        run_sql(connection, "UPDATE run_attempts SET status = :after WHERE run_id = :id", after=after, id=run_id)

    if before is after or not before.is_final:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="a closed attempt keeps its status"):
            await rehearse(shared_database, work)


async def test_a_run_has_one_open_attempt(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id)
        add_attempt(connection, run_id, number=2)

    with pytest.raises(Conflict, match=r"run_attempts\.run_id|uq_run_attempts_open"):
        await rehearse(shared_database, work)


async def test_the_next_attempt_opens_when_the_one_before_is_closed(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id, status=2, closed_at=NOW)
        add_attempt(connection, run_id, number=2)

    await rehearse(shared_database, work)


@pytest.mark.parametrize("status", RunStatus, ids=lambda status: status.label)
async def test_only_an_attempt_that_is_over_is_closed(shared_database: Database, status: RunStatus) -> None:
    def work(connection: WriteConnection) -> None:
        add_attempt(connection, add_run_in(connection, RunStatus.RUNNING), status=status, closed_at=NOW)

    if status.is_final:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match="closed_only_when_over"):
            await rehearse(shared_database, work)


@pytest.mark.parametrize("again", [None, NOW + timedelta(seconds=1)])
async def test_a_closed_attempt_stays_closed(shared_database: Database, again: object) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_attempt(connection, run_id, status=2, closed_at=NOW)
        at = stored(connection, NOW + timedelta(seconds=1)) if again else None
        run_sql(connection, "UPDATE run_attempts SET closed_at = :at WHERE run_id = :id", at=at, id=run_id)

    with pytest.raises(Conflict, match="a closed attempt stays closed"):
        await rehearse(shared_database, work)


@pytest.mark.parametrize(
    ("owner", "token", "allowed"),
    [
        pytest.param("a", 5, True, id="nothing changes"),
        pytest.param("a", 6, True, id="token grows"),
        pytest.param("b", 6, True, id="owner changes and token grows"),
        pytest.param("a", 4, False, id="token shrinks"),
        pytest.param("b", 5, False, id="owner changes with the same token"),
        pytest.param("b", 4, False, id="owner changes and token shrinks"),
        pytest.param(None, 5, False, id="owner goes with the same token"),
        pytest.param(None, 6, True, id="owner goes and token grows"),
    ],
)
async def test_a_change_of_owner_raises_the_token(
    shared_database: Database, owner: str | None, token: int, allowed: bool
) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_run_in(connection, RunStatus.RUNNING)
        add_service(connection, "a")
        add_service(connection, "b")
        add_attempt(connection, run_id, owner="a", token=5)
        statement = "UPDATE run_attempts SET owner = :owner, token = :token WHERE run_id = :id"
        run_sql(connection, statement, owner=owner, token=token, id=run_id)

    if allowed:
        await rehearse(shared_database, work)
    else:
        with pytest.raises(Conflict, match=TOKENS):
            await rehearse(shared_database, work)


async def test_taking_an_attempt_without_owner_raises_the_token(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_service(connection, "a")
        add_attempt(connection, add_run_in(connection, RunStatus.RUNNING))
        run_sql(connection, "UPDATE run_attempts SET owner = 'a'")

    with pytest.raises(Conflict, match=TOKENS):
        await rehearse(shared_database, work)


async def test_an_owner_is_a_known_service(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_attempt(connection, add_run_in(connection, RunStatus.RUNNING), owner="nobody")

    with pytest.raises(Conflict, match=r"FOREIGN KEY|fk_run_attempts_owner"):
        await rehearse(shared_database, work)
