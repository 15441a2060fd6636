"""Runs found by how their ids and params begin, and by their errors; and what users and DAGs are called."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.models import RunParam
from dagbook.db.repositories import dags
from dagbook.db.repositories.accounts import dag_access, users
from dagbook.db.repositories.logs import interleaved_logs, logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import run_search
from dagbook.db.repositories.runs.search_index import index_key
from tests.db.plans import plans, scanned
from tests.db.rows import (
    NOW,
    add,
    add_attempt,
    add_chunk,
    add_dag,
    add_definition,
    add_node,
    add_run,
    add_user,
    rehearse,
)

LONG_ID = "0192f0c1-7a3b-7e4d-9c5f-000000000001"
ETL = ((dag_access.pattern_subject("etl"),),)


def _add(connection: WriteConnection, run_id: str, minute: int, param: str = "", **values: object) -> int:
    key = add_run(connection, run_id=run_id, created_at=NOW + timedelta(minutes=minute), **values)
    if param:
        name, _, value = param.partition("=")
        row = {"name": index_key(name), "value": index_key(value), "created_at": NOW + timedelta(minutes=minute)}
        add(connection, RunParam, run_id=key, position=0, **row)
    return key


def _fill(connection: WriteConnection) -> None:
    add_definition(connection)
    _add(connection, LONG_ID, 0, "DAY=2026-03-01")
    _add(connection, "nightly-1", 1, "DAY=2026-03-02")
    _add(connection, "nightly-2", 2, "REGION=eu", dag_name="load")
    root = _add(connection, "nightly-3", 3, "NOTE=" + "x" * 300)
    _add(connection, "nightly-sub", 4, "DAY=2026-03-03", root_id=root, parent_id=root)
    _add(connection, "Nightly-4", 5)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("nightly-", ["nightly-3", "nightly-2", "nightly-1"]),
        ("nightly-2", ["nightly-2"]),
        ("ightly", []),
        ("0192f0c1", [LONG_ID]),
        (LONG_ID, [LONG_ID]),
        (LONG_ID[:-1] + "2", []),
        ("night%", []),
        ("n_ghtly", []),
        ("é" * 200, []),
    ],
)
async def test_runs_are_found_by_how_their_ids_begin_the_newest_first(
    shared_database: Database, prefix: str, expected: list[str]
) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert [run.run_id for run in run_search.find_by_id(connection, prefix, (), 8)] == expected

    await rehearse(shared_database, look)


async def test_only_so_many_runs_are_looked_at_but_a_whole_id_is_found(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_search, "_AT_A_TIME", 2)
    monkeypatch.setattr(run_search, "MAX_RUNS", 2)

    def look(connection: WriteConnection) -> None:
        _fill(connection)
        found = run_search.find_by_id(connection, "nightly-", (), 8)
        assert [run.run_id for run in found] == ["nightly-3", "nightly-2"]
        assert run_search.find_by_id(connection, "0192", (), 8) == []
        assert [run.run_id for run in run_search.find_by_id(connection, LONG_ID, (), 8)] == [LONG_ID]

    await rehearse(shared_database, look)


async def test_params_are_those_of_so_many_runs(shared_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_search, "MAX_PARAMS", 4)
    monkeypatch.setattr(run_search, "_AT_A_TIME", 2)

    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert [run.run_id for run in run_search.find_by_param(connection, "REGION=", (), 8)] == ["nightly-2"]
        assert run_search.find_by_param(connection, "2026-03-01", (), 8) == []

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-0", ["nightly-1", LONG_ID]),
        ("2026-03-02", ["nightly-1"]),
        ("DAY=2026", ["nightly-1", LONG_ID]),
        ("day=2026", ["nightly-1", LONG_ID]),
        ("REGION=2026", []),
        ("REGION=", ["nightly-2"]),
        ("=eu", []),
        ("x" * 200, ["nightly-3"]),
        ("NOTE=" + "x" * 195, ["nightly-3"]),
        ("y", []),
    ],
)
async def test_params_are_found_by_how_their_values_begin(
    shared_database: Database, text: str, expected: list[str]
) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert [param.run_id for param in run_search.find_by_param(connection, text, (), 8)] == expected

    await rehearse(shared_database, look)


async def test_only_so_many_are_found_and_only_what_is_visible(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        assert [run.run_id for run in run_search.find_by_id(connection, "nightly", (), 2)] == ["nightly-3", "nightly-2"]
        visible = [run.run_id for run in run_search.find_by_id(connection, "nightly", ETL, 8)]
        assert visible == ["nightly-3", "nightly-1"]
        assert [param.run_id for param in run_search.find_by_param(connection, "2026", (), 1)] == ["nightly-1"]
        assert run_search.find_by_param(connection, "eu", ETL, 8) == []

    await rehearse(shared_database, look)


def _add_errors(connection: WriteConnection) -> list[int]:
    """Add a run of which a step failed, one of which a sub-run did, and one that failed by itself."""
    add_definition(connection)
    keys = [
        _add(connection, f"r{number}", number, error="Disk is full" if number != 1 else None) for number in range(3)
    ]
    below = _add(connection, "below", 9, error="other", root_id=keys[1], parent_id=keys[1])
    for key in (*keys, below):
        add_attempt(connection, key)
    for position in range(9):
        add_node(connection, below, position=position, name=f"s{position}", error=f"disk is FULL {position}")
    add_node(connection, keys[0], name="a", error="Disk is full")
    add_node(connection, keys[2], name="a", error="")
    return keys


async def test_errors_are_found_of_steps_before_those_of_their_runs(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        first, second, third = _add_errors(connection)
        found = run_search.find_errors(connection, [first, second, third], "disk IS", 2)
        assert [(row.root, row.run_id, row.step, row.error) for row in found] == [
            (third, "r2", None, "Disk is full"),
            (second, "below", "s0", "disk is FULL 0"),
            (second, "below", "s1", "disk is FULL 1"),
            (first, "r0", "a", "Disk is full"),
        ]
        assert [row.error for row in run_search.find_errors(connection, [second], "ther", 2)] == ["other"]
        assert run_search.find_errors(connection, [third], "disk_is", 2) == []

    await rehearse(shared_database, look)


async def test_the_output_of_many_nodes_is_read_at_once(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        add_definition(connection)
        keys = [_add(connection, f"r{number}", number) for number in range(2)]
        for key in keys:
            add_attempt(connection, key)
            add_node(connection, key)
        for seq in range(3):
            add_chunk(connection, keys[0], seq)
        add_chunk(connection, keys[0], 0, stream=2, ordinal=3)
        add_chunk(connection, keys[1], 0)
        nodes = interleaved_logs.find_nodes(connection, keys)
        assert sorted((node.top, node.stdout, node.stderr, node.bytes) for node in nodes) == [
            (keys[0], 2, 0, 24),
            (keys[1], 0, None, 6),
        ]
        chunks = logs.find_all(connection, [(keys[0], 1, 0)])
        assert {key: len(rows) for key, rows in chunks.items()} == {
            StreamKey(keys[0], 1, 0, 1): 3,
            StreamKey(keys[0], 1, 0, 2): 1,
        }
        assert logs.find_all(connection, []) == {}

    await rehearse(shared_database, look)


async def test_dags_and_users_are_found_by_a_part_of_their_names_first_by_how_these_begin(
    shared_database: Database,
) -> None:
    of_a = ((dag_access.pattern_subject("a-*"),),)

    def look(connection: WriteConnection) -> None:
        add_definition(connection)
        for file_name, dag_name in (("a-load", "a-load"), ("load", "Load"), ("other", "reload"), ("none", "none")):
            add_dag(connection, file_name=file_name, dag_name=dag_name)
        assert [dag.file_name for dag in dags.find_named(connection, "LOAD", (), 8)] == ["load", "a-load", "other"]
        assert [dag.file_name for dag in dags.find_named(connection, "load", (), 1)] == ["load"]
        assert [dag.file_name for dag in dags.find_named(connection, "load", of_a, 8)] == ["a-load"]
        assert dags.find_named(connection, "l%d", (), 8) == []
        add_user(connection, id="u1", username="Joann")
        add_user(connection, id="u2", username="Ännchen")
        add_user(connection, id="u3", username="anna")
        assert [user.username for user in users.find_named(connection, "ANN", 8)] == ["anna", "Joann"]
        assert [user.id for user in users.find_named(connection, "Änn", 8)] == ["u2"]

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    ("work", "indexes"),
    [
        (lambda connection: run_search.find_by_id(connection, "nightly", (), 8), ["ix_runs_root"]),
        (lambda connection: run_search.find_by_id(connection, LONG_ID, (), 8), ["uq_runs_root", "ix_runs_long_id"]),
        (lambda connection: run_search.find_by_param(connection, "A=1", (), 8), []),
        (lambda connection: run_search.find_errors(connection, [1, 2], "full", 5), ["uq_runs_child"]),
        (lambda connection: interleaved_logs.find_nodes(connection, [1, 2], sub_runs=True), ["ix_runs_parent_id"]),
        (lambda connection: logs.find_all(connection, [(1, 1, 0), (2, 1, 0)]), []),
    ],
)
async def test_a_search_goes_by_indexes(
    shared_database: Database, work: Callable[[ReadConnection], object], indexes: list[str]
) -> None:
    def look(connection: WriteConnection) -> None:
        _fill(connection)
        plan = plans(connection, work)
        assert not scanned(plan) & {"runs", "run_params", "nodes", "log_chunks", "run_attempts"}, plan
        if connection.dialect.name == "sqlite":  # PostgreSQL chooses by statistics, which so few rows do not give
            assert all(index in plan for index in indexes), plan

    await rehearse(shared_database, look)
