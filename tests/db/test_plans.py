"""Every list has the index it needs: no statement of it goes through all runs or nodes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.db.database import Database, ReadConnection, WriteConnection
from app.db.repositories import dags, figures, history, revisions, runs, services, transitions
from app.db.repositories.dags import DagFilter
from app.engine.status import RunStatus
from tests.db.plans import plans, scanned
from tests.db.rows import (
    NOW,
    add_attempt,
    add_dag,
    add_definition,
    add_node,
    add_revision,
    add_run,
    bring_run_to,
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


@pytest.mark.parametrize(
    "work",
    [
        lambda connection: runs.get(connection, "etl", "r1"),
        lambda connection: runs.find(connection, runs.RunFilter(since=NOW)),
        lambda connection: runs.find(connection, runs.RunFilter(name="etl")),
        lambda connection: runs.find_live(connection, "etl"),
        lambda connection: history.find_newest(connection, "etl", 30),
        lambda connection: history.find_nodes(connection, [1, 2, 3]),
        lambda connection: history.find_specs(connection, ["a" * 64]),
        lambda connection: history.find_latest(connection, ["etl"]),
        lambda connection: dags.get_dag_name(connection, "etl"),
        lambda connection: dags.count(connection, DagFilter()),
        lambda connection: revisions.find_page(connection, 1, newest=5, limit=5),
        lambda connection: revisions.find(connection, 1, [1, 2]),
        lambda connection: revisions.find_user(connection, ["a" * 64]),
        lambda connection: revisions.find_run_under_way(connection, ["a" * 64]),
        figures.count_active,
        figures.count_dags,
        lambda connection: services.find_tasks(connection, ["one"]),
    ],
)
async def test_a_list_goes_by_an_index(shared_database: Database, work: _Work) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        plan = plans(connection, work)
        assert plan
        assert not scanned(plan), plan

    await rehearse(shared_database, look)


async def test_a_start_does_not_look_through_the_history_of_its_dag(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        plan = plans(connection, lambda c: transitions.count_active(c, ["etl"]))
        if connection.dialect.name == "sqlite":  # PostgreSQL goes by what it knows of the rows
            assert "ix_runs_active" in plan, plan
        assert transitions.count_active(connection, ["etl", "x"])["etl"].live == 4

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
        assert history.find_latest(connection, ["etl"])["etl"]["run_id"] == "r15"

    await rehearse(shared_database, look)


async def test_a_statement_without_an_index_is_seen_here(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert scanned(plans(connection, lambda c: c.exec_driver_sql("SELECT * FROM runs WHERE error = 'x'"))) == {
            "runs"
        }

    await rehearse(shared_database, look)
