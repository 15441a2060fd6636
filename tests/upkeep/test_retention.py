"""Which runs go, what goes with them, and what never goes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from app.auth.audit_context import ANONYMOUS
from app.db.database import Database, ReadConnection, WriteConnection
from app.db.models import DagRetention, Definition, Node, QueueEntry, Run, RunTag
from app.db.repositories import changes, removal, transitions
from app.db.repositories.removal import Bound
from app.db.url import sqlite_path
from app.errors import UnavailableError
from app.spec.definition_cache import DefinitionCache
from app.upkeep import retention as retention_module
from app.upkeep.choice import Choice, Moment, Reason
from app.upkeep.doctor import find_broken
from app.upkeep.limits import Limits, Said, Totals
from app.upkeep.policies import Defaults, Policies, Policy
from app.upkeep.removing import Gone, Remover
from app.upkeep.retention import Retention, Wish
from tests.db.plans import plans, scanned
from tests.db.rows import add_dag, add_revision, rehearse
from tests.upkeep.history import DAY, NOW, SPEC, Past, add_past, count_rows, left
from tests.waiting import come_true


def _retention(
    database: Database, said: Said | None = None, totals: Totals | None = None, interval: float = 3600
) -> Retention:
    defaults = Defaults(said=said or Said(days=30), totals=totals or Totals())
    policies = Policies(database, DefinitionCache(), lambda: "", defaults)
    return Retention(database, policies, lambda: NOW, interval)


async def _add(database: Database, *runs: Past) -> None:
    await database.write(lambda connection: add_past(connection, runs))


async def _write(database: Database, statement: Any) -> None:
    await database.write(lambda connection: connection.execute(statement))


async def _store_dag(database: Database, spec: str = SPEC, **values: Any) -> int:
    """Store the DAG etl with a text that a run has already."""
    text = Past(key=0, spec=spec).hash

    return await database.write(lambda connection: add_dag(connection, definition_hash=text, **values))


# -- by age ----------------------------------------------------------------------------------------------------------


async def test_runs_that_ended_longer_ago_go_even_if_their_dag_never_runs_again(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=31), Past(key=2, days_ago=29), Past(key=3, name="gone", days_ago=400))
    gone = await _retention(database).run_once()
    assert (gone.runs, await database.read(left)) == (2, [2])


async def test_the_live_feed_tells_of_runs_that_go(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=31), Past(key=2, days_ago=29))
    await _retention(database).run_once()
    batch = await database.read(lambda connection: changes.find_after(connection, changes.Place(), 10))
    assert [(told.kind, told.dag_name, told.data) for told in batch.changes] == [("run", "etl", {"what": "removed"})]


async def test_what_is_to_be_kept_for_ever_is_kept(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=4000))
    await _retention(database, Said(days=-1)).run_once()
    assert await database.read(left) == [1]


@pytest.mark.parametrize(
    ("written", "kept"), [("histRetentionDays: 5\n", [1]), ("histRetentionDays: -1\n", [1, 2, 3]), ("", [1, 2])]
)
async def test_the_text_of_a_dag_counts_before_the_settings(database: Database, written: str, kept: list[int]) -> None:
    spec = written + SPEC
    await _add(database, *(Past(key=key, days_ago=age, spec=spec) for key, age in ((1, 1), (2, 10), (3, 40))))
    await _store_dag(database, spec)
    await _retention(database).run_once()
    assert await database.read(left) == kept


async def test_the_text_of_its_newest_run_counts_for_a_dag_that_was_deleted(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=10), Past(key=2, days_ago=9, spec=f"histRetentionDays: 5\n{SPEC}"))
    await _retention(database).run_once()
    assert await database.read(left) == []


async def test_what_is_set_for_a_dag_counts_before_its_text(database: Database) -> None:
    spec = f"histRetentionDays: 5\n{SPEC}"
    await _add(database, Past(key=1, days_ago=10, spec=spec))
    key = await _store_dag(database, spec)
    await _write(database, insert(DagRetention).values(dag_id=key, days=20, set_at=NOW))
    await _retention(database).run_once()
    assert await database.read(left) == [1]


async def test_a_history_of_no_days_goes_with_the_next_run(database: Database) -> None:
    spec = f"histRetentionDays: 0\n{SPEC}"
    await _add(database, Past(key=1, days_ago=3, spec=spec), Past(key=2, days_ago=2, spec=spec))
    await _retention(database).run_once()
    assert await database.read(left) == [2]


async def test_the_base_configuration_may_say_it(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=10))
    await _store_dag(database)
    policies = Policies(database, DefinitionCache(), lambda: "histRetentionDays: 5\n", Defaults())
    await Retention(database, policies, lambda: NOW, 1).run_once()
    assert await database.read(left) == []


async def test_a_text_that_nobody_understands_keeps_its_runs(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=400))
    await _store_dag(database)
    policies = Policies(database, DefinitionCache(), lambda: "histRetentionDays: [\n", Defaults())
    await Retention(database, policies, lambda: NOW, 1).run_once()
    assert await database.read(left) == [1]


async def test_a_run_that_somebody_edited_lately_stays(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=40), Past(key=2, days_ago=40))
    await _write(database, update(Node).where(Node.run_id == 1).values(status=2, edited_at=NOW - DAY, edited_by="ann"))
    await _retention(database).run_once()
    assert await database.read(left) == [1]


# -- by number and bytes ---------------------------------------------------------------------------------------------


async def test_the_newest_runs_of_each_dag_are_kept(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key) for key in range(1, 6)), Past(key=9, name="other"))
    await _retention(database, Said(runs=2)).run_once()
    assert await database.read(left) == [1, 2, 9]


async def test_the_newest_run_stays_when_none_are_to_be_kept_by_number(database: Database) -> None:
    await _add(database, Past(key=1), Past(key=2, days_ago=2))
    await _retention(database, Said(runs=0)).run_once()
    assert await database.read(left) == [1]


async def test_the_newest_runs_whose_logs_fit_are_kept(database: Database) -> None:
    await _add(
        database,
        *(Past(key=key, days_ago=key, log_bytes=100) for key in range(1, 4)),  # of each of two steps
        Past(key=4, days_ago=2, log_bytes=100, root=2, name="called"),
    )
    await _retention(database, Said(log_bytes=600)).run_once()
    assert await database.read(left) == [1, 2, 4]
    await _retention(database, Said(log_bytes=599)).run_once()
    assert await database.read(left) == [1]


async def test_the_newest_run_stays_however_long_its_logs_are(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=100), Past(key=2, days_ago=2, log_bytes=100))
    await _retention(database, Said(log_bytes=10)).run_once()
    assert await database.read(left) == [1]


async def test_the_oldest_of_all_runs_go_when_there_are_too_many_together(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key, name=f"d{key}") for key in range(1, 6)))
    await _retention(database, Said(), Totals(runs=3)).run_once()
    assert await database.read(left) == [1, 2, 3]


async def test_the_oldest_of_all_runs_go_when_their_logs_are_too_long_together(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key, name=f"d{key}", log_bytes=100) for key in range(1, 6)))
    await _retention(database, Said(), Totals(log_bytes=500)).run_once()
    assert await database.read(left) == [1, 2]


async def test_what_goes_anyway_makes_room_for_the_others(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key * 10) for key in range(1, 6)))
    await _retention(database, Said(days=25), Totals(runs=2)).run_once()
    assert await database.read(left) == [1, 2]


# -- what never goes -------------------------------------------------------------------------------------------------


async def test_a_run_stays_until_it_is_over_and_all_that_it_called(database: Database) -> None:
    await _add(
        database,
        Past(key=1, days_ago=99, status=1),
        Past(key=2, days_ago=98),
        Past(key=3, days_ago=98, root=2, status=1),
        Past(key=4, days_ago=97),
        Past(key=5, days_ago=97, root=4),
    )
    said = Said(days=1, runs=0, log_bytes=0)
    await _retention(database, said, Totals(runs=0, log_bytes=0)).run_once()
    assert await database.read(left) == [1, 2, 3]


async def test_a_run_that_waits_in_a_queue_stays(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=99))
    await _write(database, insert(QueueEntry).values(run_id=1, queue="etl", priority=1, queued_at=NOW))
    await _retention(database).run_once()
    assert await database.read(left) == [1]


async def test_a_run_that_was_retried_meanwhile_stays(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=99))
    choice = Choice(database, Moment(at=NOW, settled=0 * DAY), 10)
    await choice.of_dags(await _retention(database).policies.find())
    assert list(choice.doomed) == [1]
    await _write(database, update(Run).where(Run.id == 1).values(status=1, attempt=2, finished_at=None))
    remover = Remover(database, lambda: True)
    await remover.remove(list(choice.doomed), NOW, NOW)
    assert (remover.gone, await database.read(left)) == (Gone(), [1])


async def test_a_run_that_ended_just_now_stays_unless_somebody_asks(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=0.0001))
    retention = _retention(database, Said(days=-1, runs=0), Totals(runs=0))
    await retention.run_once()
    assert await database.read(left) == [1]
    await retention.clean(Wish(name="etl", limits=Limits(seconds=0, newest=True)), ANONYMOUS)
    assert await database.read(left) == []


# -- what goes with a run --------------------------------------------------------------------------------------------


async def test_everything_goes_that_belongs_to_a_run(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=99, log_bytes=50), Past(key=2, days_ago=99, root=1, log_bytes=50))
    gone = await _retention(database).run_once()
    assert gone == Gone(runs=2, log_bytes=200, chunks=4, definitions=1)
    assert await database.read(count_rows) == {}


async def test_texts_stay_that_somebody_names_and_marks_of_redacted_ones(database: Database) -> None:
    specs = [f"{SPEC}# {number}\n" for number in range(5)]
    await _add(database, *(Past(key=number + 1, days_ago=99, spec=spec) for number, spec in enumerate(specs)))
    await _add(database, Past(key=9, spec=specs[0]))  # it stays
    hashes = [Past(key=0, spec=spec).hash for spec in specs]

    def work(connection: WriteConnection) -> None:
        dag = add_dag(connection, definition_hash=hashes[1])
        add_revision(connection, dag, 1, definition_hash=hashes[2])
        of_redacted = update(Definition).where(Definition.hash == hashes[3])
        connection.execute(of_redacted.values(spec=None, redacted_at=NOW, redacted_by="ann"))

    await database.write(work)
    gone = await _retention(database).run_once()
    assert gone.definitions == 1
    kept = await database.read(lambda connection: set(connection.execute(select(Definition.hash)).scalars()))
    assert kept == set(hashes[:4])


async def test_nothing_is_wrong_in_what_is_left(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=20 + key, log_bytes=100, chunks=4) for key in range(1, 20)))
    await _retention(database).run_once()
    findings = await database.read(lambda connection: find_broken(connection, NOW, DAY))
    assert [finding for finding in findings if finding.count] == []


async def test_all_rows_that_go_with_a_run_are_counted_before(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=100), Past(key=2, root=1))
    await _write(database, insert(RunTag).values(run_id=1, tag="nightly", created_at=NOW))
    before = await database.read(count_rows)
    sizes = await database.read(lambda connection: removal.measure(connection, [1]))
    await database.write(lambda connection: removal.remove(connection, [1]))
    after = await database.read(count_rows)
    assert sum(before.values()) - sum(after.values()) == sizes[1].rows + sizes[1].chunks


# -- in pieces, so that nothing waits --------------------------------------------------------------------------------


class _Watched:
    """A database that notes how many rows each of its transactions removes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read, self.glance = database.read, database.glance
        self.removed: list[int] = []
        self.bytes: list[int] = []

    async def write(self, work: Callable[[WriteConnection], Any], *, durable: bool = True) -> Any:
        assert not durable, "a removal need not wait for the disk"

        def counted(connection: WriteConnection) -> Any:
            before, bytes_before = sum(count_rows(connection).values()), _log_bytes(connection)
            done = work(connection)
            self.removed.append(before - sum(count_rows(connection).values()))
            self.bytes.append(bytes_before - _log_bytes(connection))
            return done

        return await self._database.write(counted, durable=durable)


def _log_bytes(connection: ReadConnection) -> int:
    return int(connection.exec_driver_sql("SELECT coalesce(sum(byte_count), 0) FROM log_chunks").scalar() or 0)


def _remover(
    database: Database, bound: Bound, may_go_on: Callable[[], bool] = lambda: True
) -> tuple[Remover, _Watched]:
    watched = _Watched(database)
    return Remover(watched, may_go_on, bound), watched  # type: ignore[arg-type]  # as much of one as it needs


async def test_no_transaction_removes_more_than_its_bound(database: Database) -> None:
    small = [Past(key=key, days_ago=40, log_bytes=40, chunks=2) for key in range(1, 40)]
    large = Past(key=50, days_ago=50, log_bytes=6_000, chunks=30)
    called = [Past(key=60 + number, days_ago=50, root=50, log_bytes=600, chunks=30) for number in range(3)]
    await _add(database, *small, large, *called)
    remover, watched = _remover(database, Bound(rows=25, log_bytes=2_000))
    await remover.remove([*range(1, 40), 50], NOW, NOW)
    await remover.remove_unused_definitions()
    assert await database.read(count_rows) == {}
    assert max(watched.removed) <= 25
    assert max(watched.bytes) <= 2_000 + 200  # the last chunk may be one too many
    assert remover.gone.runs == 43
    assert remover.gone.log_bytes == 39 * 80 + 12_000 + 3 * 1_200


async def test_nobody_can_retry_a_run_of_which_a_part_is_gone(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=600, chunks=30))
    pieces = iter([True] * 4)
    remover, _ = _remover(database, Bound(rows=10), lambda: next(pieces, False))
    await remover.remove([1], NOW, NOW)
    assert (remover.was_cut, remover.gone.chunks > 0, await database.read(left)) == (True, True, [1])
    assert await database.write(lambda connection: transitions.lock_over(connection, {1})) == {}


async def test_the_next_round_goes_on_with_a_run_of_which_a_part_is_gone(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=600, chunks=30))
    await database.write(lambda connection: removal.mark(connection, 1, NOW))
    gone = await _retention(database, Said(days=-1)).run_once()
    assert (gone.runs, await database.read(left)) == (1, [])


async def test_a_run_that_is_not_over_is_not_begun_to_be_removed(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=600, chunks=30, status=1))
    remover, watched = _remover(database, Bound(rows=10))
    await remover.remove([1], NOW, NOW)
    assert (watched.removed, await database.read(removal.find_marked)) == ([0], [])


async def test_a_sqlite_file_becomes_smaller_step_by_step(database: Database, database_url: str) -> None:
    path = sqlite_path(database_url)
    if path is None:
        pytest.skip("PostgreSQL's autovacuum sees to its files")
    runs = [Past(key=key, days_ago=99, log_bytes=100_000) for key in range(1, 100)]
    await _add(database, *runs)
    pages = await database.read(_count_pages)
    gone = await _retention(database).run_once()
    assert gone.pages > 256
    assert await database.read(_count_pages) <= pages - gone.pages


def _count_pages(connection: ReadConnection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)


# -- the service -----------------------------------------------------------------------------------------------------


async def test_old_runs_go_in_the_background_and_that_is_logged(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await _add(database, Past(key=1, days_ago=99))
    retention = _retention(database, interval=0.01)
    retention.start()

    async def look() -> bool:
        return await database.read(left) == []

    with caplog.at_level(logging.INFO, logger="app.upkeep.retention"):
        await come_true(look)
        await retention.stop()
    assert "removed 1 runs with 0 bytes of logs" in caplog.text
    assert retention.total.runs == 1


async def test_a_round_goes_on_however_long_it_takes_to_choose(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _add(database, *(Past(key=key, days_ago=40) for key in range(1, 31)))
    monkeypatch.setattr(retention_module, "_MOST_AT_ONCE", 10)
    monkeypatch.setattr(retention_module, "_SLICE_SECONDS", 0.005)
    assert (await _retention(database).run_once()).runs == 30


async def test_a_round_that_fails_does_not_end_the_rounds(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    retention, rounds = _retention(database, interval=0.01), []

    async def fail() -> Gone:
        rounds.append(1)
        raise RuntimeError("broken")

    monkeypatch.setattr(retention, "run_once", fail)
    retention.start()

    async def look() -> bool:
        return len(rounds) > 2

    await come_true(look)
    await retention.stop()
    assert "a round of the retention failed" in caplog.text


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Sequence[Database]]:
    opened = [await Database.open(database_url), await Database.open(database_url)]
    yield opened
    for one in opened:
        await one.close()


async def test_one_server_at_a_time_removes_runs(two: Sequence[Database]) -> None:
    first, second = two
    if first.dialect == "sqlite":
        pytest.skip("a SQLite file has one server")
    await _add(first, Past(key=1, days_ago=99))
    async with second.alone("dagbook retention") as is_alone:
        assert is_alone
        retention = _retention(first)
        assert await retention.run_once() == Gone()
        with pytest.raises(UnavailableError, match="another server"):
            await retention.clean(Wish(), ANONYMOUS)
    assert (await retention.run_once()).runs == 1


async def test_a_preview_tells_what_goes_why_and_removes_nothing(database: Database) -> None:
    await _add(
        database,
        Past(key=1, days_ago=40, log_bytes=100),
        Past(key=2, days_ago=2),
        Past(key=3, days_ago=1),
        Past(key=4, name="other", days_ago=1),
    )
    before = await database.read(count_rows)
    retention = _retention(database, Said(days=30, runs=1))
    preview = await retention.preview(Wish())
    told = [(going.policy.name, going.runs, going.log_bytes, going.reasons) for going in preview.going]
    assert told == [("etl", 2, 200, {Reason.AGE: 1, Reason.RUNS: 1})]
    assert (preview.more, await database.read(count_rows)) == (False, before)


async def test_a_preview_tells_exactly_what_a_round_removes(database: Database) -> None:
    await _add(database, *(Past(key=key, name=f"d{key % 3}", days_ago=key, log_bytes=10) for key in range(1, 60)))
    retention = _retention(database, Said(days=50, runs=15, log_bytes=250), Totals(runs=20, log_bytes=300))
    preview = await retention.preview(Wish())
    gone = await retention.run_once()
    assert sum(going.runs for going in preview.going) == gone.runs
    assert sum(going.log_bytes for going in preview.going) == gone.log_bytes


# -- every look goes by an index -------------------------------------------------------------------------------------


async def test_the_looks_for_what_goes_and_its_removal_go_by_indexes(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        add_past(connection, [Past(key=10**6 + key, days_ago=key, log_bytes=9) for key in range(40)])
        moment = Moment(at=NOW, settled=0 * DAY)
        choice = Choice(shared_database, moment, 100)
        limits = Limits(seconds=9, runs=3)
        keys = [10**6 + key for key in range(9)]
        for work in (
            lambda c: choice._of_group(c, [Policy(name="etl", limits=limits)]),
            lambda c: removal.measure(c, keys),
            lambda c: removal.lock(c, keys, NOW),
            lambda c: removal.cut_logs(c, keys, Bound()),
            lambda c: removal.find_called(c, 10**6),
            lambda c: removal.remove(c, keys),
            lambda c: removal.remove_unused(c, ["a", "b"]),
        ):
            plan = plans(connection, work)
            assert not scanned(plan) - {"tree", "anon_1"}, plan

    await rehearse(shared_database, look)
