"""Blocks of runs: a list made of them is the list of the runs themselves, whatever happens to these."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import msgspec
import pytest
from sqlalchemy import func, select

from app.db.database import Database, ReadConnection, WriteConnection
from app.db.models import RunBlock
from app.db.repositories import block_store, run_blocks, run_list
from app.db.repositories.block_store import Stale, Writer
from app.db.repositories.run_blocks import BETWEEN
from app.db.repositories.run_filter import Page, RunFilter
from app.db.repositories.run_list import Found
from app.engine.status import RunStatus
from app.upkeep.invariants.blocks import CHECKS
from tests.db.rows import NOW, add_definition, add_run, bring_run_to, rehearse, run_sql, stored

FULL, LEAST = 4, 2
LATER = NOW + timedelta(days=1)
LONG = "x" * block_store.MOST_BYTES


def write(runs: Sequence[Sequence[Any]]) -> list[bytes]:
    return [msgspec.json.encode([str(value) for value in run]) for run in runs]


WRITER = Writer(form="test", write=write)
OTHER = Writer(form="other", write=write)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Let few runs be many."""
    with (
        mock.patch.object(block_store, "FULL", FULL),
        mock.patch.object(block_store, "LEAST", LEAST),
        mock.patch.object(run_blocks, "FULL", FULL),
    ):
        yield


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def add_at(connection: WriteConnection, number: float, status: RunStatus = RunStatus.SUCCEEDED, **values: Any) -> int:
    key = add_run(connection, **{"run_id": f"r{number}", "created_at": seconds(number), **values})
    bring_run_to(connection, key, status)
    return key


def fill(connection: WriteConnection, number: int = 2 * FULL) -> list[int]:
    """Store runs of successive seconds, and blocks of them."""
    add_definition(connection)
    keys = [add_at(connection, second) for second in range(number)]
    write_blocks(connection)
    return keys


def write_blocks(connection: WriteConnection, before: datetime = LATER) -> None:
    """Do all that there is to do."""
    while stale := block_store.find_stale(connection, 1):
        assert block_store.renew(connection, stale[0], WRITER)
    for name in block_store.find_due(connection, before):
        while block_store.extend(connection, name, before, WRITER):
            pass


def blocks(connection: ReadConnection, name: str = "etl") -> list[int]:
    """Return how many runs the blocks have, from the oldest on; 0 for those without text."""
    text = func.coalesce(func.length(RunBlock.items), 0)
    rows = connection.execute(
        select(RunBlock.runs, text).where(RunBlock.dag_name == name).order_by(RunBlock.newest)
    ).all()
    return [runs if length else 0 for runs, length in rows]


def texts(found: Found) -> list[bytes]:
    listed, done = [], 0
    for place, written in found.written:
        listed += [*write(found.runs[done:place]), *written.items.split(BETWEEN)]
        done = place
    return listed + write(found.runs[done:])


def compare(connection: ReadConnection, wanted: RunFilter, limit: int = 1000) -> int:
    """See that a list with blocks is that without them, and tell how many of its runs came from blocks."""
    plain = run_list.find_page(connection, wanted, Page(limit=limit))
    found = run_list.find_page(connection, wanted, Page(limit=limit, form=WRITER.form))
    assert texts(found) == texts(plain)
    assert found.next == plain.next
    return sum(len(written) for _, written in found.written)


async def look(database: Database, work: Callable[[WriteConnection], object]) -> None:
    await rehearse(database, work)


async def test_a_list_is_read_from_blocks_as_far_as_there_are_any(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection, 2 * FULL + 1)
        assert blocks(connection) == [FULL, FULL]
        for wanted in (RunFilter(name="etl"), RunFilter(name_part="tl"), RunFilter(name="etl", since=NOW)):
            assert compare(connection, wanted) == 2 * FULL

    await look(shared_database, work)


@pytest.mark.parametrize("limit", range(1, 2 * FULL + 3))
async def test_a_list_that_is_cut_goes_on_behind_its_last_run(shared_database: Database, limit: int) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection, 2 * FULL + 1)
        compare(connection, RunFilter(name="etl"), limit)

    await look(shared_database, work)


async def test_a_block_that_begins_before_the_list_does_is_not_used(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        assert compare(connection, RunFilter(name="etl", since=seconds(1))) == FULL
        assert compare(connection, RunFilter(name="etl", before=seconds(6))) == FULL
        assert compare(connection, RunFilter(name="etl", since=seconds(5), before=seconds(7))) == 0
        assert compare(connection, RunFilter(name="etl", since=seconds(7), before=seconds(5))) == 0

    await look(shared_database, work)


async def test_who_names_another_form_gets_the_runs_themselves(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        found = run_list.find_page(connection, RunFilter(name="etl"), Page(form=OTHER.form))
        assert (len(found.runs), found.written) == (2 * FULL, [])

    await look(shared_database, work)


@pytest.mark.parametrize("wanted", [RunFilter(name="etl", status=4), RunFilter(name="etl", sub_runs="include")])
async def test_lists_that_are_narrowed_otherwise_have_no_blocks(shared_database: Database, wanted: RunFilter) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        assert compare(connection, wanted) == 0

    await look(shared_database, work)


# -- writing ---------------------------------------------------------------------------------------------------------


async def test_runs_join_the_last_block_until_it_is_full(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection, LEAST)
        assert blocks(connection) == [LEAST]
        add_at(connection, 10)
        write_blocks(connection)
        assert blocks(connection) == [LEAST]  # one run is not worth it
        add_at(connection, 11)
        write_blocks(connection)
        assert blocks(connection) == [FULL]
        assert compare(connection, RunFilter(name="etl")) == FULL

    await look(shared_database, work)


async def test_runs_that_may_not_be_settled_stay_out(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for second in range(FULL):
            add_at(connection, second)
        write_blocks(connection, before=seconds(LEAST))
        assert blocks(connection) == [LEAST]

    await look(shared_database, work)


async def test_settled_is_by_the_clock_that_is_behind(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        assert block_store.find_settled(connection, NOW) == NOW - block_store.SETTLED
        if connection.dialect.name == "postgresql":
            assert block_store.find_settled(connection, NOW + timedelta(days=36500)) < NOW + timedelta(days=3650)

    await look(shared_database, work)


async def test_a_run_that_goes_on_holds_up_those_behind_it_until_a_block_is_full(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection, LEAST)
        goes_on = add_at(connection, 10, RunStatus.RUNNING)
        for second in range(11, 10 + FULL):
            add_at(connection, second)
        write_blocks(connection)
        assert blocks(connection) == [LEAST, 0]
        assert compare(connection, RunFilter(name="etl")) == LEAST
        run_sql(connection, "UPDATE runs SET status = 4 WHERE id = :id", id=goes_on)
        write_blocks(connection)
        assert blocks(connection) == [LEAST, FULL]
        assert compare(connection, RunFilter(name="etl")) == LEAST + FULL

    await look(shared_database, work)


async def test_runs_before_one_that_goes_on_need_not_wait_for_it(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for second in range(LEAST):
            add_at(connection, second)
        add_at(connection, LEAST, RunStatus.NOT_STARTED)
        write_blocks(connection)
        assert blocks(connection) == [LEAST]

    await look(shared_database, work)


async def test_runs_of_the_same_moment_are_not_parted(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for number in range(FULL + 2):
            add_at(connection, 1, run_id=f"same{number}")
        add_at(connection, 0)
        write_blocks(connection)
        assert blocks(connection) == [FULL + 3]
        for limit in range(1, FULL + 4):
            compare(connection, RunFilter(name="etl"), limit)

    await look(shared_database, work)


@pytest.mark.parametrize("values", [{"params_text": LONG}, {}])
async def test_what_would_be_too_long_is_left_to_the_runs(shared_database: Database, values: dict[str, Any]) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for number in range(FULL if values else 4 * FULL + 1):
            add_at(connection, 1, run_id=f"long{number}", **values)
        with mock.patch.object(block_store, "_MOST_RUNS", 4 * FULL):
            write_blocks(connection)
            assert blocks(connection) == [0]
            assert not block_store.find_stale(connection, 1)  # or it would be tried again and again
        assert compare(connection, RunFilter(name="etl")) == 0

    await look(shared_database, work)


async def test_blocks_in_another_form_are_found_and_written_anew(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        foreign = block_store.find_foreign(connection, OTHER.form, 10)
        assert [block.newest for block in sorted(foreign)] == [seconds(FULL - 1), seconds(2 * FULL - 1)]
        assert all(block_store.renew(connection, block, OTHER) for block in foreign)
        assert block_store.find_foreign(connection, OTHER.form, 10) == []
        found = run_list.find_page(connection, RunFilter(name="etl"), Page(form=OTHER.form))
        assert sum(len(written) for _, written in found.written) == 2 * FULL

    await look(shared_database, work)


# -- what happens to runs --------------------------------------------------------------------------------------------

_RETRY = "UPDATE runs SET status = 0, attempt = 2, started_at = NULL, finished_at = NULL WHERE id = :id"
CHANGES = {
    "retried": _RETRY,
    "removed": "DELETE FROM runs WHERE id = :id",
    "renamed": "UPDATE runs SET dag_name = 'other' WHERE id = :id",
    "moved": "UPDATE runs SET created_at = :at WHERE id = :id",
    "given other params": "UPDATE runs SET params_text = 'C=3' WHERE id = :id",
    "given other times": "UPDATE runs SET queued_at = :at WHERE id = :id",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_run_of_a_block_that_changes_is_listed_as_it_is_now(shared_database: Database, change: str) -> None:
    def work(connection: WriteConnection) -> None:
        changed = fill(connection)[1]
        at = {"at": stored(connection, seconds(5.5))} if ":at" in change else {}
        run_sql(connection, change, id=changed, **at)
        assert blocks(connection)[0] == 0
        assert compare(connection, RunFilter(name="etl")) <= FULL
        write_blocks(connection)
        compare(connection, RunFilter(name="etl"))

    await look(shared_database, work)


@pytest.mark.parametrize("second", [-5, 1.5, 3, 7])
async def test_a_run_of_an_earlier_time_takes_its_place(shared_database: Database, second: float) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        add_at(connection, second, run_id="late")
        assert sum(blocks(connection)) == FULL
        assert compare(connection, RunFilter(name="etl")) == FULL
        write_blocks(connection)
        assert sorted(blocks(connection)) == [FULL, FULL + 1]
        assert compare(connection, RunFilter(name="etl")) == 2 * FULL + 1

    await look(shared_database, work)


async def test_many_runs_of_an_earlier_time_make_several_blocks(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        for number in range(2 * FULL):
            add_at(connection, 1 + number / 100, run_id=f"late{number}")
        write_blocks(connection)
        assert blocks(connection) == [FULL, FULL, FULL, FULL]
        assert compare(connection, RunFilter(name="etl")) == 4 * FULL

    await look(shared_database, work)


async def test_a_block_goes_with_its_last_run(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        for key in fill(connection)[:FULL]:
            run_sql(connection, "DELETE FROM runs WHERE id = :id", id=key)
        write_blocks(connection)
        assert blocks(connection) == [FULL]

    await look(shared_database, work)


async def test_what_happens_to_sub_runs_and_to_runs_under_way_leaves_blocks_alone(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        root = fill(connection)[-1]
        called = {"root_id": root, "parent_id": root, "created_at": seconds(2)}
        child = add_run(connection, run_id="child", **called)
        bring_run_to(connection, child, RunStatus.FAILED)
        run_sql(connection, _RETRY, id=child)
        run_sql(connection, "DELETE FROM runs WHERE id = :id", id=child)
        add_at(connection, 20)
        assert blocks(connection) == [FULL, FULL]

    await look(shared_database, work)


async def test_a_block_that_another_server_has_renewed_meanwhile_may_be_renewed_again(
    shared_database: Database,
) -> None:
    def work(connection: WriteConnection) -> None:
        first, *_ = fill(connection)
        run_sql(connection, "DELETE FROM runs WHERE id = :id", id=first)
        (stale,) = block_store.find_stale(connection, 9)
        assert block_store.renew(connection, stale, WRITER)
        assert block_store.renew(connection, stale, WRITER)
        assert block_store.renew(connection, Stale("nothing", NOW), WRITER)
        assert blocks(connection) == [FULL - 1, FULL]

    await look(shared_database, work)


@pytest.mark.parametrize("seed", range(15))
async def test_lists_stay_the_same_whatever_happens_in_whatever_order(shared_database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret

    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        keys: list[int] = []
        for step in range(60):
            _do_something(connection, chance, keys, step)
            if step % 4 == 0:
                write_blocks(connection, before=seconds(chance.choice([20, 40, 100])))
            for name in ("etl", "other"):
                begin, end = (seconds(second) for second in sorted(chance.sample(range(-1, 45), 2)))
                since, before = chance.choice([begin, None]), chance.choice([end, None])
                compare(connection, RunFilter(name=name, since=since, before=before), chance.choice([1, 3, 7, 1000]))
        run_sql(connection, "UPDATE runs SET status = 4 WHERE status IN (0, 1)")
        write_blocks(connection)
        assert compare(connection, RunFilter(name="etl")) >= FULL
        assert connection.execute(CHECKS[0].broken).all() == []

    await look(shared_database, work)


def _do_something(connection: WriteConnection, chance: random.Random, keys: list[int], step: int) -> None:
    what = chance.random()
    if what < 0.7 or not keys:
        status = chance.choice([RunStatus.SUCCEEDED] * 6 + [RunStatus.FAILED, RunStatus.RUNNING])
        name, at = chance.choice(["etl", "etl", "other"]), chance.randrange(40)
        keys.append(add_at(connection, at, status, run_id=f"r{step}", dag_name=name))
        return
    key = chance.choice(keys)
    if what < 0.8:
        keys.remove(key)
        run_sql(connection, "DELETE FROM runs WHERE id = :id", id=key)
    elif what < 0.9:
        run_sql(connection, "UPDATE runs SET status = 4 WHERE id = :id AND status = 1", id=key)
    else:
        retry = "UPDATE runs SET status = 1, attempt = attempt + 1 WHERE id = :id AND status IN (2, 3, 4, 6)"
        run_sql(connection, retry, id=key)
