"""``dagbook query``: a query of the report views as a report and as a check."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.db.reports.query import read_ready
from tests.app.program import CommandResult

Command = Callable[..., CommandResult]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write the text of a query into a file."""

    def write(text: str) -> Path:
        path = tmp_path / f"own{len(list(tmp_path.glob('*.sql')))}.sql"
        path.write_text(text)
        return path

    return write


def test_without_a_name_the_ready_queries_are_listed(command: Command) -> None:
    lines = command("query").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(read_ready())
    assert "Scheduled starts that began more than a minute late, or not at all." in "\n".join(lines)


@pytest.mark.parametrize("name", sorted(read_ready()))
def test_a_ready_query_without_rows_passes(command: Command, name: str) -> None:
    assert command("query", name, "--since", "15m", "--fail-if-rows") == CommandResult(0, "no rows\n", "")


def test_another_account_than_the_servers_is_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if it were: the Python of a test's environment is often not there for another account.
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    found = command("query", "idle-dags")
    assert (found.status, "a step with run_as cannot have one" in found.err) == (1, True)


def test_rows_are_printed_and_fail_a_check(command: Command, file: Callable[[str], Path]) -> None:
    path = file("SELECT 'etl' AS dag, 3 AS runs")
    assert command("query", path) == CommandResult(0, "DAG  RUNS\netl  3\n", "")
    assert command("query", path, "--fail-if-rows").status == 2


def test_the_window_is_bound(command: Command, file: Callable[[str], Path]) -> None:
    path = file("SELECT :since AS a, :until AS b")
    found = command("query", path, "--json", "--since", "2026-03-01T00:00:00Z", "--until", "2026-04-01T00:00:00+02:00")
    assert json.loads(found.out)["rows"] == [["2026-03-01T00:00:00.000000Z", "2026-03-31T22:00:00.000000Z"]]


def test_json_has_columns_and_rows(command: Command, file: Callable[[str], Path]) -> None:
    found = command("query", file("SELECT NULL AS a, 1.5 AS b, 'x\n' AS a"), "--json", "--fail-if-rows")
    assert (found.status, json.loads(found.out)) == (
        2,
        {"columns": ["a", "b", "a"], "rows": [[None, 1.5, "x\n"]], "more": False},
    )


def test_no_value_speaks_to_the_terminal(command: Command, file: Callable[[str], Path]) -> None:
    found = command("query", file("SELECT NULL AS n, 'a' || char(9) || 'b' || char(27) || '[31m' AS \"t\x1b[2J\""))
    assert ("NULL" in found.out, "\x1b" in found.out, "\t" in found.out) == (True, False, False)


def test_more_rows_than_are_shown_are_told(command: Command, file: Callable[[str], Path]) -> None:
    path = file("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")
    found = command("query", path)
    assert (len(found.out.splitlines()), found.err.startswith("Notice: there are more rows than 1000")) == (1001, True)


def test_the_text_of_a_ready_query_is_printed(command: Command) -> None:
    assert command("query", "idle-dags", "--sql").out == read_ready()["idle-dags"]


def test_what_cannot_be_run_is_said(command: Command, file: Callable[[str], Path], tmp_path: Path) -> None:
    for what, reason in (
        ("none", "there is no query and no file 'none'; the ready queries are audit-by-user,"),
        (file("SELECT absent FROM report_v1_runs"), "no such column: absent"),
        (file("DELETE FROM report_v1_runs"), "a query reads the views report_v1_… alone"),
    ):
        found = command("query", what)
        assert (found.status, found.out, reason in found.err) == (1, "", True), found.err
    (tmp_path / "dagbook.sqlite3").unlink()
    found = command("query", "idle-dags")
    assert (found.status, "there is no database" in found.err) == (1, True)
    assert not (tmp_path / "dagbook.sqlite3").exists()


def test_it_works_on_this_machine_only(command: Command) -> None:
    found = command("--server", "http://127.0.0.1:1", "query", "idle-dags")
    assert (found.status, "works on this machine only" in found.err) == (1, True)
