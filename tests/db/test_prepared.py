"""Statements that are made ready once mean what they mean when SQLAlchemy executes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, literal_column, select
from sqlalchemy.exc import IntegrityError

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.models import RunInput, Service
from dagbook.db.prepared import Prepared, parameters, update_by
from tests.db.rows import add_whole_run, rehearse
from tests.statements import noting_statements

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


def _service(name: str, **values: Any) -> dict[str, Any]:
    text = dict.fromkeys(("kind", "host", "boot_id", "pid_namespace", "address", "version"), "x")
    times = dict.fromkeys(("started_at", "heartbeat_at", "lease_until"), NOON)
    return {"id": name, "pid": 1, "pid_started": 2**40, **text, **times, **values}


def _names(connection: WriteConnection) -> list[str]:
    return sorted(connection.execute(select(Service.id)).scalars())


async def test_rows_are_stored_as_their_types_want_them(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        Prepared(insert(Service)).execute_many(connection, [_service("a"), _service("b", kind="it's")])
        row = connection.execute(select(Service.started_at, Service.kind, Service.pid_started).order_by(Service.id))
        assert row.all() == [(NOON, "x", 2**40), (NOON, "it's", 2**40)]

    await rehearse(shared_database, look)


async def test_json_and_truth_are_stored_as_their_types_want_them(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        key = add_whole_run(connection)
        row = {
            "run_id": key,
            "params": {"z": [1], "a": None},
            "env": [],
            "dotenv": [],
            "work_dir": "/",
            "keep_dir": True,
        }
        Prepared(insert(RunInput)).execute_many(connection, [row])
        found = connection.execute(select(RunInput.params, RunInput.keep_dir).where(RunInput.run_id == key)).one()
        assert (list(found.params.items()), found.keep_dir) == ([("z", [1]), ("a", None)], True)

    await rehearse(shared_database, look)


async def test_rows_of_other_columns_are_another_statement(shared_database: Database) -> None:
    prepared = Prepared(insert(Service))

    def look(connection: WriteConnection) -> None:
        prepared.execute_many(connection, [_service("a")])
        prepared.execute_many(connection, [_service("b", stopped_at=NOON)])
        found = connection.execute(select(Service.stopped_at).order_by(Service.id)).scalars().all()
        assert found == [None, NOON]

    await rehearse(shared_database, look)


async def test_nothing_is_executed_for_no_rows(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        Prepared(insert(Service)).execute_many(connection, [])
        assert _names(connection) == []

    await rehearse(shared_database, look)


async def test_each_dialect_has_its_statement(shared_database: Database) -> None:
    row = _service("a")
    del row["kind"]
    values = parameters(Service, row).values()
    prepared = Prepared(
        {
            name: insert(Service).from_select(["kind", *row], select(literal_column(f"'{name}'"), *values))
            for name in ("sqlite", "postgresql")
        }
    )

    def look(connection: WriteConnection) -> None:
        prepared.execute_many(connection, [row])
        assert connection.scalar(select(Service.kind)) == connection.dialect.name

    await rehearse(shared_database, look)


async def test_of_several_versions_of_a_row_each_is_stored_and_the_last_one_stays(shared_database: Database) -> None:
    changing = Prepared(update_by(Service, ["kind"], "id"))
    texts: list[str] = []

    def look(connection: WriteConnection) -> None:
        Prepared(insert(Service)).execute_many(connection, [_service(name) for name in "abc"])
        versions = [{"b_id": name, "kind": f"{name}{number}"} for number, name in enumerate("abacba")]
        with noting_statements(lambda statement, *_: texts.append(statement)):
            changing.execute_many(connection, versions)
        assert connection.scalars(select(Service.kind).order_by(Service.id)).all() == ["a5", "b4", "c3"]

    await rehearse(shared_database, look)
    assert len(texts) == (3 if shared_database.dialect == "postgresql" else 1)


async def test_any_number_of_rows_is_one_statement(shared_database: Database) -> None:
    adding = Prepared(insert(Service))
    texts: list[str] = []

    def look(connection: WriteConnection) -> None:
        with noting_statements(lambda statement, *_: texts.append(statement)):
            adding.execute_many(connection, [_service(f"one of many {number}") for number in range(50)])
            adding.execute_many(connection, [_service("alone")])
        assert len(_names(connection)) == 51

    await rehearse(shared_database, look)
    assert len(texts) == 2
    assert len(set(texts)) == 1


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_a_statement_of_a_write_by_keys_is_planned_once(database_url: str) -> None:
    changing = Prepared(update_by(Service, ["kind"], "id"))

    def change(connection: WriteConnection) -> None:
        changing.execute_many(connection, [{"b_id": "nobody", "kind": "x"}])

    def plans(connection: WriteConnection) -> list[tuple[int, int, str]]:
        found = "SELECT custom_plans, generic_plans, current_setting('plan_cache_mode') FROM pg_prepared_statements "
        rows = connection.exec_driver_sql(f"{found} WHERE statement LIKE 'UPDATE services%'").all()
        return [(custom, generic, mode) for custom, generic, mode in rows]

    opened = await Database.open(database_url, pool_size=1)
    for _ in range(10):
        await opened.write(change, by_keys=True)
    assert await opened.write(plans, by_keys=True) == [(0, 10, "force_generic_plan")]
    assert await opened.write(plans) == [(0, 10, "auto")]
    await opened.close()


async def test_what_the_database_refuses_is_told_as_ever(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        with pytest.raises(IntegrityError):
            Prepared(insert(Service)).execute_many(connection, [_service("a"), _service("a")])

    await rehearse(shared_database, look)


async def test_a_row_that_lacks_a_column_is_refused(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        with pytest.raises(KeyError):
            Prepared(insert(Service)).execute_many(connection, [_service("a"), {"id": "b"}])

    await rehearse(shared_database, look)


async def test_after_a_refused_statement_the_connection_is_as_good_as_before(shared_database: Database) -> None:
    adding = Prepared(insert(Service))

    def twice(connection: WriteConnection) -> None:
        adding.execute_many(connection, [_service("refused")])
        adding.execute_many(connection, [_service("refused")])

    with pytest.raises(Conflict):
        await shared_database.write(twice)

    def look(connection: WriteConnection) -> None:
        assert "refused" not in _names(connection)

    await rehearse(shared_database, look)
