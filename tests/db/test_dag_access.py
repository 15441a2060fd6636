"""What follows from grants is kept: names that patterns match on both engines, unused names, and concurrent changes."""

from __future__ import annotations

import asyncio
import itertools
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.models import Dag, DagAccess, Grant
from dagbook.db.repositories.accounts import dag_access
from tests.db.rows import NOW, add, add_dag, add_definition, add_run, add_token, add_user, rehearse, run_sql

NAMES = ("etl-load", "etl_load", "etlxload", "ETL-load", "etl.load", "etl", "a", "load-etl", "x" * 40)
PATTERNS = ("etl-load", "etl_load", "etl?load", "etl*", "*load", "*-*", "?", "*", "e*l*d", "etl.load", "E*", "*" * 40)
SIGHT = (("user:u",),)


def add_grant(connection: WriteConnection, grant: str = "g", subject: str = "user:u", **values: Any) -> None:
    user = None if "user_id" in values or "token_id" in values else "u"
    row = {"id": grant, "subject": subject, "user_id": user, "role": "viewer", "created_at": NOW, **values}
    add(connection, Grant, **row)
    dag_access.fill(connection, grant)


def ranks(connection: ReadConnection) -> dict[str, int]:
    return {row.dag_name: row.rank for row in connection.execute(select(DagAccess.dag_name, DagAccess.rank))}


async def test_a_pattern_matches_the_same_names_on_both_engines(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_user(connection, id="u")
        add_definition(connection)
        for name in NAMES:
            add_dag(connection, file_name=name, dag_name=name)
        for number, pattern in enumerate(PATTERNS):
            add_grant(connection, f"g{number}", pattern=pattern)
            found = set(dag_access.find_covered(connection, f"g{number}"))
            assert found == {name for name in NAMES if fnmatchcase(name, pattern)}, pattern
            assert all(
                (f"g{number}" in dag_access.find_covering(connection, name, ())) is (name in found) for name in NAMES
            )

    await rehearse(shared_database, work)


async def test_the_patterns_of_a_token_match_the_same_names_without_rows(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_user(connection, id="u")
        add_definition(connection)
        for name in NAMES[:-1]:
            add_dag(connection, file_name=f"file-{name}", dag_name=name)
        add_run(connection, dag_name=NAMES[-1], run_id="r1")
        add_grant(connection, pattern="*l*")
        for patterns in [*itertools.combinations(PATTERNS, 1), *itertools.pairwise(PATTERNS)]:
            token = tuple(map(dag_access.pattern_subject, patterns))
            wanted = {name for name in NAMES if any(fnmatchcase(name, pattern) for pattern in patterns)}
            granted = {name for name in wanted if "l" in name}
            for visibility, found in (((token,), wanted), ((*SIGHT, token), granted)):
                assert dag_access.find_visible(connection, NAMES, visibility) == found, visibility
                assert sorted(dag_access.find_names(connection, visibility, 99)) == sorted(found), visibility
                names = select(Dag.dag_name).where(*dag_access.narrow(Dag.dag_name, visibility))
                assert set(connection.scalars(names)) == found - {NAMES[-1]}
                seen = {name for name in NAMES if dag_access.get_rank(connection, name, visibility) is not None}
                by_file = {
                    name
                    for name in NAMES[:-1]
                    if dag_access.get_rank_of_file(connection, f"file-{name}", visibility) is not None
                }
                assert (seen, by_file) == (found, found - {NAMES[-1]}), visibility
            assert {name for name in NAMES if dag_access.is_named_by(connection, name, (token,))} == wanted
        assert set(ranks(connection)) == {name for name in NAMES if "l" in name}
        assert dag_access.get_rank(connection, "etl", ((dag_access.pattern_subject("e*"),),)) == 2
        assert dag_access.get_rank(connection, "etl", (*SIGHT, (dag_access.pattern_subject("e*"),))) == 0

    await rehearse(shared_database, work)


async def test_what_limits_a_token_makes_no_rows_and_those_of_before_are_found(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_user(connection, id="u")
        add_token(connection, id="t", user_id="u")
        add_definition(connection)
        add_dag(connection, file_name="etl-load", dag_name="etl-load")
        limit = {"id": "g", "subject": "token:t", "token_id": "t", "role": "manager", "pattern": "*", "created_at": NOW}
        add(connection, Grant, **limit)
        dag_access.refresh_name(connection, "etl-load")
        assert ranks(connection) == {}
        assert dag_access.find_covering(connection, "etl-load", ()) == set()
        assert dag_access.find_token(connection) is None
        add(connection, DagAccess, dag_name="etl-load", subject="token:t", rank=2)
        add(connection, DagAccess, dag_name="etl-load", subject="user:u", rank=0)
        assert dag_access.find_token(connection) == "token:t"
        dag_access.remove_subject(connection, "token:t")
        assert dag_access.find_token(connection) is None
        assert ranks(connection) == {"etl-load": 0}

    await rehearse(shared_database, work)


async def test_names_of_dags_and_of_root_runs_are_covered(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_user(connection, id="u")
        add_definition(connection)
        add_dag(connection, file_name="stored", dag_name="etl-stored", tags=["nightly"])
        add_run(connection, dag_name="etl-run", run_id="r1")
        add_grant(connection, "g1", pattern="etl-*")
        add_grant(connection, "g2", role="operator", tag="nightly")
        assert ranks(connection) == {"etl-stored": 1, "etl-run": 0}
        dag_access.add_unknown(connection, {"etl-new", "etl-run", "other"})
        assert ranks(connection) == {"etl-stored": 1, "etl-run": 0, "etl-new": 0}
        assert dag_access.has_unused(connection), "no run of the new name was stored"
        dag_access.remove_unused(connection)
        assert ranks(connection) == {"etl-stored": 1, "etl-run": 0}
        run_sql(connection, "DELETE FROM runs")
        dag_access.refresh_name(connection, "etl-run")
        dag_access.remove_unused(connection)
        assert ranks(connection) == {"etl-stored": 1}

    await rehearse(shared_database, work)


@pytest.mark.parametrize(
    "values",
    [
        {"pattern": None},
        {"pattern": "a", "tag": "b"},
        {"pattern": "a", "role": "admin"},
        {"pattern": "a", "user_id": None},
        {"pattern": "a", "user_id": "u", "token_id": "t"},
    ],
)
async def test_a_grant_that_makes_no_sense_is_refused(shared_database: Database, values: dict[str, Any]) -> None:
    def work(connection: WriteConnection) -> None:
        add_user(connection, id="u")
        add_token(connection, id="t", user_id="u")
        with pytest.raises(IntegrityError):
            add_grant(connection, **{"user_id": "u", **values})

    await rehearse(shared_database, work)


@pytest.mark.both_engines
async def test_a_name_that_appears_beside_a_new_grant_is_covered(database: Database) -> None:
    """Each commits while the other has not: one of the two sees the other's row, or waits for it."""

    def prepare(connection: WriteConnection) -> None:
        add_user(connection, id="u")
        add_definition(connection)

    def run(connection: WriteConnection, number: int) -> None:
        dag_access.add_unknown(connection, {f"etl-{number}"})
        add_run(connection, dag_name=f"etl-{number}", run_id="r1")

    def grant(connection: WriteConnection, number: int) -> None:
        dag_access.lock(connection)
        add_grant(connection, f"g{number}", pattern=f"etl-{number}")

    await database.write(prepare)
    for number in range(20):
        works = [run, grant] if number % 2 else [grant, run]
        await asyncio.gather(*(database.write(partial(work, number=number)) for work in works))
    assert await database.read(ranks) == {f"etl-{number}": 0 for number in range(20)}
