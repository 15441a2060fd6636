"""Lists of runs: what they are narrowed to, and how they go on page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories.runs import run_filter, run_list, search_index
from dagbook.db.repositories.runs.run_filter import Page, RunCursor, RunFilter
from dagbook.db.repositories.runs.run_list import RunListRow
from dagbook.db.repositories.runs.run_rows import NewRunRow
from dagbook.db.repositories.runs.search_index import index_key
from dagbook.engine.status import RunStatus
from dagbook.spec.model import Pair
from tests.db.rows import NOW, add_definition, add_run, bring_run_to, find_runs, rehearse, run_sql, stored
from tests.statements import noting_statements

LONG = "x" * 5000


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def add_found(connection: WriteConnection, run_id: str, number: int, **values: Any) -> int:
    """Insert a run of a moment of its own, found by its tags and params."""
    row = {"tags": [], "params": [], "dag_name": "etl", **values}
    key = add_run(connection, run_id=run_id, created_at=seconds(number), **row)
    search_index.add(connection, [new_run_row(id=key, **row)])
    return key


def new_run_row(**values: Any) -> NewRunRow:
    """Make the row of a run, of which only the search index reads anything."""
    blank: dict[str, Any] = dict.fromkeys(NewRunRow.__struct_fields__)
    params = [Pair(*pair) for pair in values.pop("params")]
    return NewRunRow(**blank | {"params": params} | {name: values[name] for name in ("id", "tags")})


def end(connection: WriteConnection, key: int, status: RunStatus, lasted: float, error: str = "") -> None:
    bring_run_to(connection, key, status)
    begin, over = stored(connection, NOW), stored(connection, seconds(lasted))
    run_sql(connection, "UPDATE runs SET started_at = :b, finished_at = :o WHERE id = :id", b=begin, o=over, id=key)
    search_index.add_errors(connection, {key: error})


def fill(connection: WriteConnection) -> None:
    add_definition(connection)
    one = add_found(connection, "one", 1, tags=["a", "b"], params=[["1", "x"], ["N", LONG]], trigger="api")
    end(connection, one, RunStatus.SUCCEEDED, 10)
    two = add_found(connection, "two", 2, tags=["a"], params=[["N", "v=w"]], actor="Ann", trigger="schedule")
    end(connection, two, RunStatus.FAILED, 90, "Disk is FULL\nstep b: exit 1")
    three = add_found(connection, "three", 3, dag_name="other_etl", dag_revision=3, trigger="schedule")
    end(connection, three, RunStatus.ABORTED, 300.5, "stopped: 100% done")
    four = add_found(connection, "four", 4, dag_revision=3, tags=["b"], actor="O'Neil", trigger="api")
    bring_run_to(connection, four, RunStatus.RUNNING)
    add_found(connection, "sub", 5, tags=["a"], root_id=one, parent_id=one, dag_name="child", trigger="call")
    add_found(connection, "five", 6, dag_name="third", tags=[LONG], status=5, trigger="api")


def ids(rows: Sequence[RunListRow]) -> list[str]:
    return [row.run_id for row in rows]


ALL = ["five", "four", "three", "two", "one"]
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ALL),
    ({"tags": ("a",)}, ["two", "one"]),
    ({"tags": ("b", "a")}, ["one"]),
    ({"tags": ("c",)}, []),
    ({"tags": (LONG,)}, ["five"]),
    ({"tags": (LONG + "y",)}, []),
    ({"params": (("1", "x"),)}, ["one"]),
    ({"params": (("N", "v=w"),)}, ["two"]),
    ({"params": (("N", LONG), ("1", "x"))}, ["one"]),
    ({"params": (("n", "v=w"),)}, []),
    ({"trigger": "schedule"}, ["three", "two"]),
    ({"actor": "O'Neil"}, ["four"]),
    ({"actor": "ann"}, []),
    ({"revision": 3}, ["four", "three"]),
    ({"revision": 3, "name": "etl"}, ["four"]),
    ({"revision": 2, "name": "etl"}, []),
    ({"name": "etl"}, ["four", "two", "one"]),
    ({"name_part": "etl"}, ["four", "three", "two", "one"]),
    ({"name_part": "r_e"}, ["three"]),
    ({"name_part": "child"}, []),
    ({"name_part": "ETL"}, []),
    ({"run_id_part": "o"}, ["four", "two", "one"]),
    ({"run_id_part": "o", "name": "etl"}, ["four", "two", "one"]),
    ({"run_id_part": "o", "name": "etl", "status": 2, "since": seconds(2)}, ["two"]),
    ({"run_id_part": "o", "name": "third"}, []),
    ({"shortest_seconds": 90, "name": "etl"}, ["two"]),
    ({"shortest_seconds": 90, "before": seconds(3)}, ["two"]),
    ({"sub_runs": "include", "longest_seconds": 10}, ["one"]),
    ({"status": 2}, ["two"]),
    ({"status": 5}, ["five"]),
    ({"shortest_seconds": 90}, ["three", "two"]),
    ({"longest_seconds": 90}, ["two", "one"]),
    ({"shortest_seconds": 11, "longest_seconds": 300}, ["two"]),
    ({"error": "disk is full"}, ["two"]),
    ({"error": "EXIT"}, ["two"]),
    ({"error": "100%"}, ["three"]),
    ({"error": "_"}, []),
    ({"since": seconds(3)}, ["five", "four", "three"]),
    ({"before": seconds(3)}, ["two", "one"]),
    ({"sub_runs": "include"}, ["five", "sub", "four", "three", "two", "one"]),
    ({"sub_runs": "only"}, ["sub"]),
    ({"sub_runs": "include", "tags": ("a",)}, ["sub", "two", "one"]),
    ({"sub_runs": "include", "status": 0}, ["sub"]),
    ({"sub_runs": "include", "name_part": "il"}, ["sub"]),
    ({"tags": ("a",), "trigger": "schedule", "status": 2, "name": "etl", "error": "full"}, ["two"]),
    ({"tags": ("a",), "trigger": "api", "actor": "Ann"}, []),
    ({"name_part": "etl", "tags": ("b",), "since": seconds(2)}, ["four"]),
]


def wrong_filters(find: Callable[[RunFilter], list[str]]) -> dict[str, list[str]]:
    """Return what is found with the filters that do not find what they should."""
    found = [(wanted, expected, find(RunFilter(**wanted))) for wanted, expected in FILTERS]
    return {str(wanted): ids for wanted, expected, ids in found if ids != expected}


@pytest.mark.parametrize("bounded", [False, True])
async def test_a_filter_keeps_the_runs_that_have_what_is_wanted(shared_database: Database, bounded: bool) -> None:
    def look(connection: WriteConnection) -> None:
        def find(wanted: RunFilter) -> list[str]:
            page = run_list.find_page(connection, wanted, Page(bounded=bounded))
            assert page.next is None
            return ids(page.runs)

        fill(connection)
        assert wrong_filters(find) == {}

    await rehearse(shared_database, look)


async def test_pages_of_one_run_bring_every_run_once(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill(connection)
        assert wrong_filters(lambda wanted: walk(connection, wanted, limit=1)) == {}

    await rehearse(shared_database, look)


def walk(connection: WriteConnection, wanted: RunFilter, limit: int) -> list[str]:
    """Gather all pages; a list that does not end fails."""
    found, after = [], None
    for _ in range(100):
        page = run_list.find_page(connection, wanted, Page(limit=limit, after=after, bounded=True))
        found += ids(page.runs)
        after = page.next
        if after is None:
            return found
    pytest.fail("the list has no end")


async def test_pages_that_may_look_at_one_run_come_to_the_same_end(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "MAX_SCANNED", 1)

    def look(connection: WriteConnection) -> None:
        fill(connection)
        assert wrong_filters(lambda wanted: walk(connection, wanted, limit=10)) == {}

    await rehearse(shared_database, look)


@pytest.mark.parametrize("bounded", [False, True])
async def test_where_no_index_says_that_runs_are_few_the_same_ones_are_found(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch, bounded: bool
) -> None:
    monkeypatch.setattr(run_filter, "MAX_SELECTIVE", 0)

    def look(connection: WriteConnection) -> None:
        fill(connection)
        page = Page(bounded=bounded)
        assert wrong_filters(lambda wanted: ids(run_list.find_page(connection, wanted, page).runs)) == {}

    await rehearse(shared_database, look)


WHOLE = "0190a5b0-7c3e-7d4f-8a1b-2c3d4e5f6071"


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"run_id_part": WHOLE}, ["inner", "longer", WHOLE, WHOLE]),
        ({"run_id_part": WHOLE, "name": "etl"}, ["longer", WHOLE]),
        ({"run_id_part": WHOLE, "status": 2}, [WHOLE]),
        ({"run_id_part": WHOLE + "x"}, ["longer"]),
        ({"run_id_part": WHOLE[:-1] + "2"}, []),
        ({"run_id_part": WHOLE[:-1]}, ["inner", "longer", WHOLE, WHOLE]),
    ],
    ids=str,
)
async def test_a_whole_id_finds_the_runs_that_have_it_and_those_whose_longer_ids_hold_it(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], found: list[str], few: int
) -> None:
    monkeypatch.setattr(run_filter, "MAX_SELECTIVE", few)

    def look(connection: WriteConnection) -> None:
        add_definition(connection)
        add_found(connection, WHOLE, 1)
        end(connection, add_found(connection, WHOLE, 2, dag_name="other"), RunStatus.FAILED, 9)
        add_found(connection, WHOLE + "xy", 3)
        add_found(connection, f"a-{WHOLE}-b", 4, dag_name="third")
        add_found(connection, WHOLE[:-1] + "3", 5)
        told = {WHOLE + "xy": "longer", f"a-{WHOLE}-b": "inner"}
        page = run_list.find_page(connection, RunFilter(**wanted), Page())
        listed = [told.get(run_id, run_id) for run_id in ids(page.runs) if run_id != WHOLE[:-1] + "3"]
        assert listed == found

    await rehearse(shared_database, look)


async def test_runs_of_one_moment_are_told_apart_by_their_ids(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        add_definition(connection)
        for name in ("a", "b", "c"):
            for run_id in ("r2", "r1"):
                add_found(connection, run_id, 1, dag_name=name, tags=["t"])
        for wanted in (RunFilter(), RunFilter(tags=("t",)), RunFilter(trigger="manual")):
            for limit in (1, 2, 4):
                assert walk(connection, wanted, limit) == ["r1", "r1", "r1", "r2", "r2", "r2"]

    await rehearse(shared_database, look)


async def test_new_runs_do_not_disturb_who_pages(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill(connection)
        first = run_list.find_page(connection, RunFilter(), Page(limit=2, bounded=True))
        add_found(connection, "newer", 60)
        second = run_list.find_page(connection, RunFilter(), Page(limit=2, after=first.next, bounded=True))
        assert ids(first.runs) + ids(second.runs) == ALL[:4]

    await rehearse(shared_database, look)


async def test_a_page_goes_on_behind_a_run_that_is_gone(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill(connection)
        after = RunCursor(seconds(3), "three", 2**40)
        run_sql(connection, "DELETE FROM runs WHERE run_id = 'three'")
        found = run_list.find_page(connection, RunFilter(), Page(after=after, bounded=True))
        assert ids(found.runs) == ["two", "one"]

    await rehearse(shared_database, look)


async def test_a_sub_run_names_its_root_and_its_caller(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill(connection)
        (sub,) = find_runs(connection, RunFilter(sub_runs="only"))
        assert (sub.root_name, sub.root_run_id, sub.parent_name, sub.parent_run_id) == ("etl", "one", "etl", "one")

    await rehearse(shared_database, look)


async def test_a_part_of_a_name_that_many_dags_have_finds_all_of_them(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        add_definition(connection)
        for number in range(25):
            add_found(connection, f"r{number}", number, dag_name=f"dag_{number:02}")
        assert len(run_list.find_names(connection, "dag_")) == 25
        assert ids(find_runs(connection, RunFilter(name_part="dag_"))) == [f"r{n}" for n in reversed(range(25))]
        assert ids(find_runs(connection, RunFilter(name_part="dag_2"))) == ["r24", "r23", "r22", "r21", "r20"]

    await rehearse(shared_database, look)


async def test_errors_of_a_run_that_is_tried_again_do_not_count(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill(connection)
        run_sql(connection, "UPDATE runs SET attempt = 2, status = 1, finished_at = NULL WHERE run_id = 'two'")
        assert not find_runs(connection, RunFilter(error="disk"))

    await rehearse(shared_database, look)


def test_a_long_text_keeps_its_beginning_and_what_tells_it_from_others() -> None:
    assert index_key("short") == "short"
    assert index_key(LONG) != index_key(LONG + "y")
    assert len(index_key("\U0001f600" * 1000).encode()) < 1000


SIGHT = (("user:ann",),)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(
    ("wanted", "limit", "found"),
    [
        ({}, 2, ["four", "two"]),
        ({"since": seconds(2)}, 1, ["four"]),
        ({"before": seconds(4)}, 1, ["two"]),
        ({"status": int(RunStatus.SUCCEEDED)}, 2, ["one"]),
        ({}, 4, ["four", "two", "one"]),
    ],
)
async def test_a_first_page_of_visible_runs_is_found_among_the_newest(
    shared_database: Database, wanted: dict[str, Any], limit: int, found: list[str], bounded: bool
) -> None:
    def work(connection: WriteConnection) -> None:
        fill(connection)
        access = "INSERT INTO dag_access (dag_name, subject, rank) VALUES ('etl', 'user:ann', 0)"
        run_sql(connection, access)
        page = Page(limit=limit, bounded=bounded)
        assert ids(run_list.find_page(connection, RunFilter(**wanted, visibility=SIGHT), page).runs) == found

    await rehearse(shared_database, work)


async def test_where_the_newest_runs_are_not_visible_older_ones_are_looked_at(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "_FEW", 1)
    monkeypatch.setattr(run_list, "_NEAR", 1)

    def work(connection: WriteConnection) -> None:
        fill(connection)
        access = "INSERT INTO dag_access (dag_name, subject, rank) VALUES ('other_etl', 'user:ann', 0)"
        run_sql(connection, access)
        page = Page(limit=1, bounded=True)
        statements: list[str] = []
        with noting_statements(lambda statement, *_: statements.append(statement)):
            found = run_list.find_page(connection, RunFilter(visibility=SIGHT), page)
        assert (ids(found.runs), len(statements)) == (["three"], 4), "the newest ones are looked at first"

    await rehearse(shared_database, work)
