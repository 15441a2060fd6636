"""Column types that mean the same on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import Node, Run
from tests.db.rows import add_definition, add_run, add_whole_run, rehearse, table_of

RUNS = table_of(Run)
INSTANTS = [
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 3, 1, 9, 0, 0, 1, tzinfo=timezone(timedelta(hours=9))),
    datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
async def test_an_instant_comes_back_as_the_same_instant_in_utc(shared_database: Database, instant: datetime) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        add_run(connection, created_at=instant)
        found = connection.execute(select(RUNS.c.created_at)).scalar_one()
        assert found == instant
        assert found.tzinfo is UTC

    await rehearse(shared_database, work)


async def test_instants_are_ordered_and_compared_as_instants(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for number, instant in enumerate(reversed(INSTANTS)):
            add_run(connection, run_id=str(number), created_at=instant)
        assert list(connection.scalars(select(RUNS.c.created_at).order_by(RUNS.c.created_at))) == sorted(INSTANTS)
        later = select(RUNS.c.run_id).where(RUNS.c.created_at > INSTANTS[2])
        assert connection.scalars(later).all() == ["0"]

    await rehearse(shared_database, work)


async def test_an_instant_without_zone_is_refused(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        add_run(connection, created_at=datetime(2026, 3, 1))  # noqa: DTZ001  # that is what is refused

    with pytest.raises(StatementError, match="has no time zone"):
        await rehearse(shared_database, work)


@pytest.mark.parametrize("value", [{"b": 1, "a": [None, True, "ä\n\x00"]}, [], "", 0, 1.5, False], ids=repr)
async def test_json_comes_back_with_its_keys_in_order(shared_database: Database, value: Any) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        add_run(connection, params=value)
        found = connection.execute(select(RUNS.c.params)).scalar_one()
        assert repr(found) == repr(value)

    await rehearse(shared_database, work)


async def test_a_new_node_has_done_nothing(shared_database: Database) -> None:
    nodes = table_of(Node)

    def work(connection: WriteConnection) -> None:
        add_whole_run(connection)
        columns = (nodes.c.execution, nodes.c.retry_count, nodes.c.done_count, nodes.c.repeated, nodes.c.error)
        assert tuple(connection.execute(select(*columns)).one()) == (0, 0, 0, False, "")

    await rehearse(shared_database, work)
