"""Runs that were there before they could be looked for by tags, params and errors can be found afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.db.check import check
from app.db.database import Database, WriteConnection
from app.db.repositories import run_list
from app.db.repositories.run_filter import RunFilter
from app.db.upgrade import downgrade, upgrade
from app.engine.status import RunStatus
from tests.db.rows import NOW, add_attempt, add_definition, add_node, add_run, bring_run_to, run_sql, stored

BEFORE = "0009"
LONG = "y" * 3000


def _fill(connection: WriteConnection) -> None:
    add_definition(connection)
    tagged = add_run(connection, run_id="tagged", tags=["a", LONG, "a"], params=[["N", LONG], ["M", "x=y"]])
    failed = add_run(connection, run_id="failed", created_at=NOW + timedelta(seconds=1), params=[])
    for key in (tagged, failed):
        add_attempt(connection, key)
    for position, error in enumerate(("", "Disk is full", "Disk is full")):
        add_node(connection, failed, position=position, name=f"n{position}", error=error)
    bring_run_to(connection, failed, RunStatus.FAILED)
    over = stored(connection, NOW + timedelta(minutes=1))
    run_sql(connection, "UPDATE runs SET error = 'it broke', finished_at = :over WHERE id = :id", over=over, id=failed)


async def _found(url: str, **wanted: Any) -> list[str]:
    database = await Database.open(url)
    found = await database.read(lambda connection: run_list.find(connection, RunFilter(**wanted)))
    await database.close()
    return [run.run_id for run in found]


async def test_what_runs_had_before_finds_them(empty_url: str) -> None:
    await upgrade(empty_url, BEFORE)
    database = await Database.open(empty_url)
    await database.write(_fill)
    await database.close()
    await upgrade(empty_url)
    for wanted in ({"tags": ("a", LONG)}, {"params": (("N", LONG),)}, {"params": (("M", "x=y"),)}):
        assert await _found(empty_url, **wanted) == ["tagged"]
    for error in ("disk is full", "it broke"):
        assert await _found(empty_url, error=error) == ["failed"]
    assert await _found(empty_url) == ["failed", "tagged"]
    assert await check(empty_url) == []


async def test_looking_for_runs_goes_and_comes_again_with_all_they_had(empty_url: str) -> None:
    await upgrade(empty_url)
    database = await Database.open(empty_url)
    await database.write(_fill)
    await database.close()
    await downgrade(empty_url, BEFORE)
    await upgrade(empty_url)
    assert await _found(empty_url, tags=("a",)) == ["tagged"]
    assert await _found(empty_url, error="full") == ["failed"]
