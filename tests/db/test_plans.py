"""Every list has the index it needs: no statement of it goes through all runs or nodes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, dags, queue, revisions, services
from dagbook.db.repositories.audit import AuditFilter
from dagbook.db.repositories.dags import DagFilter
from dagbook.db.repositories.runs import run_history, run_list, run_writes, runs
from dagbook.db.repositories.runs.run_filter import Page, RunCursor, RunFilter
from dagbook.db.types import Base
from dagbook.engine.status import RunStatus
from tests.db.plans import plans, scanned, selects
from tests.db.rows import (
    NOW,
    add_attempt,
    add_dag,
    add_definition,
    add_entry,
    add_node,
    add_revision,
    add_run,
    bring_run_to,
    find_runs,
    rehearse,
)

_Work = Callable[[ReadConnection], object]


def _fill(connection: WriteConnection) -> None:
    add_definition(connection)
    dag = add_dag(connection)
    add_revision(connection, dag, 1)
    for number in range(20):
        key = add_run(connection, run_id=f"r{number}", created_at=NOW + timedelta(seconds=number))
        add_attempt(connection, key)
        add_node(connection, key)
        bring_run_to(connection, key, RunStatus.SUCCEEDED if number % 5 else RunStatus.RUNNING)
        add_entry(connection)


SEARCHES = (
    RunFilter(tags=("x",)),
    RunFilter(params=(("B", "1"),)),
    RunFilter(error="full"),
    RunFilter(trigger="manual"),
    RunFilter(actor="ann"),
    RunFilter(name="etl", revision=3),
    RunFilter(status=2),
    RunFilter(name="etl", shortest_seconds=5),
    RunFilter(longest_seconds=5),
    RunFilter(run_id_part="r" * 40),
    RunFilter(revision=3),
    RunFilter(sub_runs="only"),
)
LEADS = (
    "ix_run_tags_tag",
    "ix_run_params_name",
    "ix_run_errors_created_at",
    "ix_runs_trigger",
    "ix_runs_actor",
    "ix_runs_revision",
    "ix_runs_status",
    "ix_runs_duration",
    "ix_runs_duration",
    "ix_runs_long_id",
    "ix_runs_root",
    "ix_runs_child",
)


def searched(wanted: RunFilter) -> _Work:
    return lambda connection: run_list.find_page(connection, wanted, Page(bounded=True, after=RunCursor(NOW, "r9", 1)))


@pytest.mark.parametrize(
    "work",
    [
        lambda connection: runs.get(connection, "etl", "r1"),
        lambda connection: find_runs(connection, RunFilter(since=NOW)),
        lambda connection: find_runs(connection, RunFilter(name="etl")),
        lambda connection: find_runs(connection, RunFilter(name="etl", since=NOW)),
        lambda connection: runs.find_active(connection, "etl"),
        lambda connection: run_history.find_newest(connection, "etl", 30),
        lambda connection: run_history.find_nodes(connection, [1, 2, 3]),
        lambda connection: run_history.find_specs(connection, ["a" * 64]),
        lambda connection: run_history.find_latest(connection, ["etl"]),
        lambda connection: dags.get_dag_name(connection, "etl"),
        lambda connection: dags.count(connection, DagFilter()),
        lambda connection: revisions.find_page(connection, 1, newest=5, limit=5),
        lambda connection: revisions.find(connection, 1, [1, 2]),
        lambda connection: revisions.find_user(connection, ["a" * 64]),
        lambda connection: revisions.find_active_run(connection, ["a" * 64]),
        run_history.count_active,
        run_history.count_dags,
        lambda connection: services.find_active_runs(connection, ["one"]),
        lambda connection: find_runs(connection, RunFilter(status=2)),
        lambda connection: find_runs(connection, RunFilter(name_part="t")),
        lambda connection: find_runs(connection, RunFilter(run_id_part="r1")),
        lambda connection: run_list.find_names(connection, "t"),
        lambda connection: run_history.find_finished(connection, "etl", 100, NOW),
        lambda connection: run_history.count_by_quarter(connection, "etl", 100, NOW),
        *(searched(wanted) for wanted in SEARCHES),
        lambda connection: run_writes.count_active(connection, ["etl"]),
        queue.find_active,
        queue.find_pauses,
        lambda connection: queue.find_blocked(connection, ["etl"]),
        lambda connection: queue.find_items(connection, "etl", 0, 9),
        lambda connection: queue.count_items(connection, "etl"),
        lambda connection: queue.find_active_runs(connection, ["etl"]),
        lambda connection: queue.find_batch(connection, "etl", last=9, most=9),
        lambda connection: queue.last_entry_id(connection, "etl"),
        lambda connection: queue.find_front(connection, "etl", 0),
        queue.find_queued,
        lambda connection: queue.find_next(connection, "etl", 9),
        lambda connection: queue.count_active(connection, ["etl"]),
        audit.get_last_seal,
        audit.get_last_signature,
        lambda connection: runs.find_seal_heads(connection, 5, 9),
        audit.last_id,
        lambda connection: audit.read_range(connection, 3, 9, 5),
        lambda connection: audit.find_seals(connection, 3, 9),
        lambda connection: audit.count_after(connection, 3),
    ],
)
async def test_a_list_goes_by_an_index(shared_database: Database, work: _Work) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        plan = plans(connection, work)
        assert plan
        assert not scanned(plan) & Base.metadata.tables.keys(), plan

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda connection: runs.find_active(connection, "etl"), "ix_runs_active_name"),
        (lambda connection: run_writes.count_active(connection, ["etl"]), "ix_runs_active_name"),
        (lambda connection: run_history.find_latest(connection, ["etl"]), "ix_runs_active_name"),
        (lambda connection: queue.count_active(connection, ["etl"]), "ix_runs_active_queue"),
        (run_history.count_active, "ix_runs_status"),
        (queue.find_active, "ix_runs_status"),
        (run_history.count_runs, "ix_runs_status"),
        (lambda connection: find_runs(connection, RunFilter(status=2)), "ix_runs_status"),
        (lambda connection: queue.find_next(connection, "etl", 9), "ix_queue_entries_queue"),
        (lambda connection: find_runs(connection, RunFilter(since=NOW)), "ix_runs_root"),
        (lambda connection: find_runs(connection, RunFilter(name="etl")), "ix_runs_root_name"),
        (lambda connection: find_runs(connection, RunFilter(name="etl", status=2)), "ix_runs_root_name"),
        (lambda connection: find_runs(connection, RunFilter(name_part="etl", status=2)), "ix_runs_root_name"),
        (lambda connection: run_history.find_finished(connection, "etl", 100, None), "ix_runs_root_name"),
        (lambda connection: run_history.count_by_quarter(connection, "etl", 100, NOW), "ix_runs_root_name"),
        (lambda connection: run_history.find_last_success(connection, "etl"), "ix_runs_root_name"),
        (
            lambda connection: find_runs(connection, RunFilter(name="etl", run_id_part="1")),
            "uq_runs_root (dag_name=? AND run_id>?)",
        ),
        *((searched(wanted), index) for wanted, index in zip(SEARCHES, LEADS, strict=True)),
    ],
)
async def test_what_is_active_or_of_a_status_is_found_without_a_look_at_the_rest(
    shared_database: Database, work: _Work, index: str
) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        if connection.dialect.name == "postgresql":
            pytest.skip("PostgreSQL chooses among indexes by statistics, which so few rows do not give")
        assert index in (plan := plans(connection, work)), plan

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    ("work", "own"),
    [(queue.find_queues, "names"), (lambda connection: queue.find_positions(connection, ["etl"], [1]), "anon_1")],
)
async def test_a_statement_goes_through_nothing_but_what_it_has_found_itself(
    shared_database: Database, work: _Work, own: str
) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        plan = plans(connection, work)
        assert scanned(plan) <= {own}, plan

    await rehearse(shared_database, look)


async def test_a_page_of_dags_goes_through_dags_alone(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        wanted = DagFilter(name_part="e", tag="x")
        plan = plans(connection, lambda c: dags.find_page(c, wanted, descending=False, offset=0, limit=50))
        assert scanned(plan) <= {"dags", "json_each", "anon_1"}, plan

    await rehearse(shared_database, look)


async def test_the_latest_run_of_a_dag_is_its_running_one_before_newer_ones(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert run_history.find_latest(connection, ["etl"])["etl"].run_id == "r15"

    await rehearse(shared_database, look)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(
    "after", [None, RunCursor(NOW + timedelta(seconds=15), "r15", 1), RunCursor(NOW + timedelta(days=1))]
)
@pytest.mark.parametrize(
    "wanted",
    [RunFilter(revision=5), RunFilter(tags=("x",), status=2), RunFilter(name_part="t", status=4)],
    ids=str,
)
async def test_a_list_is_bounded_by_one_time_on_each_side_so_that_sqlite_goes_by_the_right_one(
    shared_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    wanted: RunFilter,
    after: RunCursor | None,
    bounded: bool,
) -> None:
    monkeypatch.setattr(run_list, "MAX_SCANNED", 3)
    between = replace(wanted, since=NOW, before=NOW + timedelta(hours=1))

    def look(connection: WriteConnection) -> None:
        _fill(connection)
        add_run(connection, dag_name="tools", run_id="other")
        page = Page(limit=2, after=after, bounded=bounded)
        asked = selects(connection, lambda c: run_list.find_page(c, between, page))
        assert any("created_at >" in select for select in asked), asked
        for select in asked:
            assert len(re.findall("created_at >", select)) <= 1, select
            assert len(re.findall("created_at <", select)) <= 1, select

    await rehearse(shared_database, look)


async def test_a_statement_without_an_index_is_seen_here(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert scanned(plans(connection, lambda c: c.exec_driver_sql("SELECT * FROM runs WHERE error = 'x'"))) == {
            "runs"
        }

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (AuditFilter(), "ix_audit_at"),
        (AuditFilter(before=9), "ix_audit_at"),
        (AuditFilter(since=NOW, until=NOW), "ix_audit_at"),
        (AuditFilter(actor="ann"), "ix_audit_actor"),
        (AuditFilter(actor="ann", since=NOW, before=9), "ix_audit_actor"),
        (AuditFilter(actions=["dag.create"]), "ix_audit_action"),
        (AuditFilter(actions=["dag.create", "dag.update"], until=NOW), "ix_audit_action"),
        (AuditFilter(name="etl"), "ix_audit_name"),
        (AuditFilter(request_id="q1"), "ix_audit_request_id"),
    ],
)
async def test_a_page_of_the_audit_is_read_from_an_index_in_order(
    shared_database: Database, wanted: AuditFilter, index: str
) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        plan = plans(connection, lambda c: audit.find(c, wanted, 5))
        assert "audit" not in scanned(plan), plan
        if connection.dialect.name == "sqlite":  # PostgreSQL chooses by statistics, which so few rows do not give
            assert f"{index} (" in plan or f"COVERING INDEX {index}" in plan, plan
            assert plan.count("TEMP B-TREE") <= 1 + len(wanted.actions), plan

    await rehearse(shared_database, look)
