"""Which runs are deleted, with which rows, and which are kept."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.models import AlertDelivery, DagRetention, Definition, Node, QueueEntry, Run, RunTag
from dagbook.db.repositories import changes, deletion
from dagbook.db.repositories.alerts import run_mails
from dagbook.db.repositories.deletion import BatchLimit
from dagbook.db.repositories.invariants.findings import find_broken
from dagbook.db.repositories.runs import run_writes
from dagbook.db.url import sqlite_path
from dagbook.errors import UnavailableError
from dagbook.maintenance.retention import retention as retention_module
from dagbook.maintenance.retention.deletion import DeletionResult, RunDeleter
from dagbook.maintenance.retention.limits import Limits, RetentionSettings, TotalLimits
from dagbook.maintenance.retention.planning import Deadline, DeletionPlanner, Reason
from dagbook.maintenance.retention.policies import Defaults, Policies, Policy
from dagbook.maintenance.retention.retention import CleanupRequest, Retention
from dagbook.spec.reading.definition_cache import DefinitionCache
from tests.db.plans import plans, scanned
from tests.db.rows import add_dag, add_revision, rehearse
from tests.maintenance.history import DAY, NOW, SPEC, Past, add_past, count_rows, left
from tests.waiting import wait_until


def _retention(
    database: Database, said: RetentionSettings | None = None, totals: TotalLimits | None = None, interval: float = 3600
) -> Retention:
    defaults = Defaults(settings=said or RetentionSettings(days=30), totals=totals or TotalLimits())
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


async def test_old_runs_are_deleted_even_if_their_dag_never_runs_again(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=31), Past(key=2, days_ago=29), Past(key=3, name="deleted", days_ago=400))
    deleted = await _retention(database).run_once()
    assert (deleted.runs, await database.read(left)) == (2, [2])


async def test_the_live_feed_has_deleted_runs(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=31), Past(key=2, days_ago=29))
    await _retention(database).run_once()
    batch = await database.read(lambda connection: changes.find_after(connection, changes.FeedCursor(), 10))
    assert [(told.kind, told.dag_name, told.data.what) for told in batch.changes] == [("run", "etl", "removed")]


async def test_without_limits_runs_are_kept(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=4000))
    await _retention(database, RetentionSettings(days=-1)).run_once()
    assert await database.read(left) == [1]


@pytest.mark.parametrize(
    ("written", "kept"), [("histRetentionDays: 5\n", [1]), ("histRetentionDays: -1\n", [1, 2, 3]), ("", [1, 2])]
)
async def test_the_definition_overrides_the_server_settings(database: Database, written: str, kept: list[int]) -> None:
    spec = written + SPEC
    await _add(database, *(Past(key=key, days_ago=age, spec=spec) for key, age in ((1, 1), (2, 10), (3, 40))))
    await _store_dag(database, spec)
    await _retention(database).run_once()
    assert await database.read(left) == kept


async def test_the_definition_of_its_newest_run_is_used_for_a_deleted_dag(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=10), Past(key=2, days_ago=9, spec=f"histRetentionDays: 5\n{SPEC}"))
    await _retention(database).run_once()
    assert await database.read(left) == []


async def test_the_settings_of_a_dag_override_its_definition(database: Database) -> None:
    spec = f"histRetentionDays: 5\n{SPEC}"
    await _add(database, Past(key=1, days_ago=10, spec=spec))
    key = await _store_dag(database, spec)
    await _write(database, insert(DagRetention).values(dag_id=key, days=20, set_at=NOW))
    await _retention(database).run_once()
    assert await database.read(left) == [1]


async def test_a_history_of_zero_days_is_deleted_after_the_next_run(database: Database) -> None:
    spec = f"histRetentionDays: 0\n{SPEC}"
    await _add(database, Past(key=1, days_ago=3, spec=spec), Past(key=2, days_ago=2, spec=spec))
    await _retention(database).run_once()
    assert await database.read(left) == [2]


async def test_the_base_configuration_may_set_the_retention(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=10))
    await _store_dag(database)
    policies = Policies(database, DefinitionCache(), lambda: "histRetentionDays: 5\n", Defaults())
    await Retention(database, policies, lambda: NOW, 1).run_once()
    assert await database.read(left) == []


async def test_an_invalid_definition_keeps_its_runs(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=400))
    await _store_dag(database)
    policies = Policies(database, DefinitionCache(), lambda: "histRetentionDays: [\n", Defaults())
    await Retention(database, policies, lambda: NOW, 1).run_once()
    assert await database.read(left) == [1]


async def test_a_recently_edited_run_is_kept(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=40), Past(key=2, days_ago=40))
    await _write(database, update(Node).where(Node.run_id == 1).values(status=2, edited_at=NOW - DAY, edited_by="ann"))
    await _retention(database).run_once()
    assert await database.read(left) == [1]


# -- the newest success, from which the next run begins --------------------------------------------------------------

MEMORY = "params: [{SINCE: '${DAG_LAST_OUTPUTS.lastId}'}]\nsteps:\n  - echo hello\n"
_PAST = (  # by age: two successes, then failures
    *(Past(key=key, days_ago=100 - key, spec=MEMORY, log_bytes=10) for key in (1, 2)),
    *(Past(key=key, days_ago=100 - key, spec=MEMORY, status=2, log_bytes=10) for key in (3, 4)),
)


@pytest.mark.parametrize(
    ("said", "totals", "kept"),
    [
        (RetentionSettings(days=30), TotalLimits(), [2]),
        (RetentionSettings(days=-1, runs=1), TotalLimits(), [2, 4]),
        (RetentionSettings(days=-1, log_bytes=0), TotalLimits(), [2, 4]),
        (RetentionSettings(days=-1), TotalLimits(runs=2), [2, 4]),
    ],
    ids=["days", "runs", "bytes", "total"],
)
async def test_the_newest_success_is_kept_if_the_next_run_begins_from_it(
    database: Database, said: RetentionSettings, totals: TotalLimits, kept: list[int]
) -> None:
    await _add(database, *_PAST)
    await _store_dag(database, MEMORY)
    await _retention(database, said, totals).run_once()
    assert await database.read(left) == kept


async def test_the_newest_success_of_a_deleted_dag_is_not_kept(database: Database) -> None:
    await _add(database, *_PAST)
    await _retention(database).run_once()
    assert await database.read(left) == []


async def test_runs_that_are_left_out_do_not_end_a_round(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await _add(database, *(Past(key=key, days_ago=100 - key, spec=MEMORY) for key in range(1, 30)))
    await _store_dag(database, MEMORY)
    monkeypatch.setattr(retention_module, "_MAX_PER_SLICE", 5)
    assert ((await _retention(database).run_once()).runs, await database.read(left)) == (28, [29])


# -- by number and bytes ---------------------------------------------------------------------------------------------


async def test_the_newest_runs_of_each_dag_are_kept(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key) for key in range(1, 6)), Past(key=9, name="other"))
    await _retention(database, RetentionSettings(runs=2)).run_once()
    assert await database.read(left) == [1, 2, 9]


async def test_with_a_limit_of_zero_runs_the_newest_is_kept(database: Database) -> None:
    await _add(database, Past(key=1), Past(key=2, days_ago=2))
    await _retention(database, RetentionSettings(runs=0)).run_once()
    assert await database.read(left) == [1]


async def test_the_newest_runs_whose_logs_fit_are_kept(database: Database) -> None:
    await _add(
        database,
        *(Past(key=key, days_ago=key, log_bytes=100) for key in range(1, 4)),  # of each of two steps
        Past(key=4, days_ago=2, log_bytes=100, root=2, name="called"),
    )
    await _retention(database, RetentionSettings(log_bytes=600)).run_once()
    assert await database.read(left) == [1, 2, 4]
    await _retention(database, RetentionSettings(log_bytes=599)).run_once()
    assert await database.read(left) == [1]


async def test_the_newest_run_is_kept_whatever_its_log_bytes(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=100), Past(key=2, days_ago=2, log_bytes=100))
    await _retention(database, RetentionSettings(log_bytes=10)).run_once()
    assert await database.read(left) == [1]


async def test_the_oldest_runs_beyond_the_total_number_are_deleted(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key, name=f"d{key}") for key in range(1, 6)))
    await _retention(database, RetentionSettings(), TotalLimits(runs=3)).run_once()
    assert await database.read(left) == [1, 2, 3]


async def test_the_oldest_runs_beyond_the_total_log_bytes_are_deleted(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key, name=f"d{key}", log_bytes=100) for key in range(1, 6)))
    await _retention(database, RetentionSettings(), TotalLimits(log_bytes=500)).run_once()
    assert await database.read(left) == [1, 2]


async def test_runs_deleted_by_policy_count_for_the_total_limits(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=key * 10) for key in range(1, 6)))
    await _retention(database, RetentionSettings(days=25), TotalLimits(runs=2)).run_once()
    assert await database.read(left) == [1, 2]


# -- what never goes -------------------------------------------------------------------------------------------------


async def test_a_run_is_kept_until_it_and_its_sub_runs_are_finished(database: Database) -> None:
    await _add(
        database,
        Past(key=1, days_ago=99, status=1),
        Past(key=2, days_ago=98),
        Past(key=3, days_ago=98, root=2, status=1),
        Past(key=4, days_ago=97),
        Past(key=5, days_ago=97, root=4),
    )
    said = RetentionSettings(days=1, runs=0, log_bytes=0)
    await _retention(database, said, TotalLimits(runs=0, log_bytes=0)).run_once()
    assert await database.read(left) == [1, 2, 3]


async def test_a_queued_run_is_kept(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=99))
    await _write(database, insert(QueueEntry).values(run_id=1, queue="etl", priority=1, queued_at=NOW))
    await _retention(database).run_once()
    assert await database.read(left) == [1]


async def test_a_run_is_kept_while_a_mail_about_it_or_a_sub_run_is_not_sent(database: Database) -> None:
    await _add(
        database,
        Past(key=1, days_ago=99),
        Past(key=2, days_ago=98),
        Past(key=3, days_ago=98, root=2),
        Past(key=4, days_ago=97),
    )
    for key, run in enumerate((1, 3, 4)):
        mail = run_mails.new(f"mail-{key}", (run, 1), "failure", "mail.example", "here", NOW)
        await database.write(run_mails.add, [mail])
    sent = {"status": "sent", "sent_at": NOW, "lease_owner": None, "lease_until": None}
    await _write(database, update(AlertDelivery).where(AlertDelivery.run_id == 4).values(sent))
    await _retention(database, RetentionSettings(days=1, runs=0, log_bytes=0)).run_once()
    assert await database.read(left) == [1, 2, 3]


async def test_a_run_that_was_retried_meanwhile_is_kept(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=99))
    planner = DeletionPlanner(database, Deadline(at=NOW, min_age=0 * DAY), 10)
    await planner.of_dags(await _retention(database).policies.find())
    assert list(planner.to_delete) == [1]
    await _write(database, update(Run).where(Run.id == 1).values(status=1, attempt=2, finished_at=None))
    deleter = RunDeleter(database, lambda: True)
    await deleter.delete(list(planner.to_delete), NOW, NOW)
    assert (deleter.deleted, await database.read(left)) == (DeletionResult(), [1])


async def test_a_run_that_ended_just_now_is_deleted_only_on_request(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=0.0001))
    retention = _retention(database, RetentionSettings(days=-1, runs=0), TotalLimits(runs=0))
    await retention.run_once()
    assert await database.read(left) == [1]
    await retention.clean(CleanupRequest(name="etl", limits=Limits(seconds=0, newest=True)), ANONYMOUS)
    assert await database.read(left) == []


# -- what goes with a run --------------------------------------------------------------------------------------------


async def test_all_rows_of_a_run_are_deleted(database: Database) -> None:
    await _add(database, Past(key=1, days_ago=99, log_bytes=50), Past(key=2, days_ago=99, root=1, log_bytes=50))
    deleted = await _retention(database).run_once()
    assert deleted == DeletionResult(runs=2, log_bytes=200, chunks=4, definitions=1)
    assert await database.read(count_rows) == {}


async def test_referenced_definitions_and_redaction_marks_are_kept(database: Database) -> None:
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
    deleted = await _retention(database).run_once()
    assert deleted.definitions == 1
    kept = await database.read(lambda connection: set(connection.execute(select(Definition.hash)).scalars()))
    assert kept == set(hashes[:4])


async def test_the_database_is_healthy_after_a_deletion(database: Database) -> None:
    await _add(database, *(Past(key=key, days_ago=20 + key, log_bytes=100, chunks=4) for key in range(1, 20)))
    await _retention(database).run_once()
    findings = await database.read(lambda connection: find_broken(connection, NOW, DAY))
    assert [finding for finding in findings if finding.count] == []


async def test_the_size_of_a_run_counts_all_its_rows(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=100), Past(key=2, root=1))
    await _write(database, insert(RunTag).values(run_id=1, tag="nightly", created_at=NOW))
    before = await database.read(count_rows)
    sizes = await database.read(lambda connection: deletion.size_of(connection, [1]))
    await database.write(lambda connection: deletion.remove(connection, [1]))
    after = await database.read(count_rows)
    assert sum(before.values()) - sum(after.values()) == sizes[1].rows + sizes[1].chunks


# -- in pieces, so that nothing waits --------------------------------------------------------------------------------


class _Watched:
    """A database that notes how many rows each of its transactions removes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read, self.glance = database.read, database.read_inline
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
    database: Database, bound: BatchLimit, may_continue: Callable[[], bool] = lambda: True
) -> tuple[RunDeleter, _Watched]:
    watched = _Watched(database)
    return RunDeleter(watched, may_continue, bound), watched  # type: ignore[arg-type]  # as much of one as it needs


async def test_no_transaction_deletes_more_than_its_bound(database: Database) -> None:
    small = [Past(key=key, days_ago=40, log_bytes=40, chunks=2) for key in range(1, 40)]
    large = Past(key=50, days_ago=50, log_bytes=6_000, chunks=30)
    called = [Past(key=60 + number, days_ago=50, root=50, log_bytes=600, chunks=30) for number in range(3)]
    await _add(database, *small, large, *called)
    deleter, watched = _remover(database, BatchLimit(rows=25, log_bytes=2_000))
    await deleter.delete([*range(1, 40), 50], NOW, NOW)
    await deleter.delete_unused_definitions()
    assert await database.read(count_rows) == {}
    assert max(watched.removed) <= 25
    assert max(watched.bytes) <= 2_000 + 200  # the last chunk may be one too many
    assert deleter.deleted.runs == 43
    assert deleter.deleted.log_bytes == 39 * 80 + 12_000 + 3 * 1_200


async def test_a_partly_deleted_run_cannot_be_retried(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=600, chunks=30))
    pieces = iter([True] * 4)
    deleter, _ = _remover(database, BatchLimit(rows=10), lambda: next(pieces, False))
    await deleter.delete([1], NOW, NOW)
    assert (deleter.was_interrupted, deleter.deleted.chunks > 0, await database.read(left)) == (True, True, [1])
    assert await database.write(lambda connection: run_writes.lock_finished(connection, {1})) == {}


async def test_the_next_round_continues_with_a_partly_deleted_run(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=600, chunks=30))
    await database.write(lambda connection: deletion.mark_deleting(connection, 1, NOW))
    deleted = await _retention(database, RetentionSettings(days=-1)).run_once()
    assert (deleted.runs, await database.read(left)) == (1, [])


async def test_the_deletion_of_an_active_run_does_not_start(database: Database) -> None:
    await _add(database, Past(key=1, log_bytes=600, chunks=30, status=1))
    deleter, watched = _remover(database, BatchLimit(rows=10))
    await deleter.delete([1], NOW, NOW)
    assert (watched.removed, await database.read(deletion.find_deleting)) == ([0], [])


async def test_a_sqlite_file_shrinks_step_by_step(database: Database, database_url: str) -> None:
    path = sqlite_path(database_url)
    if path is None:
        pytest.skip("PostgreSQL's autovacuum sees to its files")
    runs = [Past(key=key, days_ago=99, log_bytes=100_000) for key in range(1, 100)]
    await _add(database, *runs)
    pages = await database.read(_count_pages)
    deleted = await _retention(database).run_once()
    assert deleted.pages > 256
    assert await database.read(_count_pages) <= pages - deleted.pages


def _count_pages(connection: ReadConnection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)


# -- the service -----------------------------------------------------------------------------------------------------


async def test_old_runs_are_deleted_in_the_background_and_that_is_logged(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await _add(database, Past(key=1, days_ago=99))
    retention = _retention(database, interval=0.01)
    retention.start()

    async def look() -> bool:
        return await database.read(left) == []

    with caplog.at_level(logging.INFO, logger="dagbook.maintenance.retention.retention"):
        await wait_until(look)
        await retention.stop()
    assert "deleted 1 runs with 0 bytes of logs" in caplog.text
    assert retention.total.runs == 1


async def test_a_round_continues_however_slow_the_selection_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _add(database, *(Past(key=key, days_ago=40) for key in range(1, 31)))
    monkeypatch.setattr(retention_module, "_MAX_PER_SLICE", 10)
    monkeypatch.setattr(retention_module, "_SLICE_SECONDS", 0.005)
    assert (await _retention(database).run_once()).runs == 30


async def test_a_round_that_fails_does_not_end_the_rounds(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    retention, rounds = _retention(database, interval=0.01), []

    async def fail() -> list[Policy]:
        rounds.append(1)
        raise RuntimeError("broken")

    monkeypatch.setattr(retention.policies, "find", fail)
    retention.start()

    async def look() -> bool:
        return len(rounds) > 2

    await wait_until(look)
    await retention.stop()
    assert "old runs are not deleted for now" in caplog.text


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Sequence[Database]]:
    opened = [await Database.open(database_url), await Database.open(database_url)]
    yield opened
    for one in opened:
        await one.close()


async def test_one_server_at_a_time_deletes_runs(two: Sequence[Database]) -> None:
    first, second = two
    if first.dialect == "sqlite":
        pytest.skip("a SQLite file has one server")
    await _add(first, Past(key=1, days_ago=99))
    async with second.try_lock("dagbook retention") as is_alone:
        assert is_alone
        retention = _retention(first)
        assert await retention.run_once() == DeletionResult()
        with pytest.raises(UnavailableError, match="another server"):
            await retention.clean(CleanupRequest(), ANONYMOUS)
    assert (await retention.run_once()).runs == 1


async def test_a_preview_has_runs_and_reasons_and_deletes_nothing(database: Database) -> None:
    await _add(
        database,
        Past(key=1, days_ago=40, log_bytes=100),
        Past(key=2, days_ago=2),
        Past(key=3, days_ago=1),
        Past(key=4, name="other", days_ago=1),
    )
    before = await database.read(count_rows)
    retention = _retention(database, RetentionSettings(days=30, runs=1))
    preview = await retention.preview(CleanupRequest())
    told = [(going.policy.name, going.runs, going.log_bytes, going.reasons) for going in preview.planned]
    assert told == [("etl", 2, 200, {Reason.AGE: 1, Reason.RUNS: 1})]
    assert (preview.more, await database.read(count_rows)) == (False, before)


async def test_a_preview_has_exactly_what_a_round_deletes(database: Database) -> None:
    await _add(database, *(Past(key=key, name=f"d{key % 3}", days_ago=key, log_bytes=10) for key in range(1, 60)))
    retention = _retention(
        database, RetentionSettings(days=50, runs=15, log_bytes=250), TotalLimits(runs=20, log_bytes=300)
    )
    preview = await retention.preview(CleanupRequest())
    deleted = await retention.run_once()
    assert sum(going.runs for going in preview.planned) == deleted.runs
    assert sum(going.log_bytes for going in preview.planned) == deleted.log_bytes


# -- every look goes by an index -------------------------------------------------------------------------------------


async def test_selection_and_deletion_use_indexes(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        add_past(connection, [Past(key=10**6 + key, days_ago=key, log_bytes=9) for key in range(40)])
        deadline = Deadline(at=NOW, min_age=0 * DAY)
        planner = DeletionPlanner(shared_database, deadline, 100)
        limits = Limits(seconds=9, runs=3)
        keys = [10**6 + key for key in range(9)]
        for work in (
            lambda c: planner._of_group(c, [Policy(name="etl", limits=limits)]),
            lambda c: deletion.size_of(c, keys),
            lambda c: deletion.lock(c, keys, NOW),
            lambda c: deletion.delete_log_tail(c, keys, BatchLimit()),
            lambda c: deletion.find_called(c, 10**6),
            lambda c: deletion.remove(c, keys),
            lambda c: deletion.remove_unused(c, ["a", "b"]),
        ):
            plan = plans(connection, work)
            assert not scanned(plan) - {"tree", "anon_1"}, plan

    await rehearse(shared_database, look)
