"""The Grafana dashboard of docs/grafana: each SQL panel on the views, each Prometheus panel on the page of metrics."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dagbook.db.database import Database, WriteConnection
from dagbook.db.reports.query import read_ready
from tests.app.dagbook import Dagbook
from tests.conftest import ROOT
from tests.db.report_scene import at, fill_reports, read_rows, text_of
from tests.db.rows import rehearse
from tests.waiting import wait_until

BOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana" / "dagbook.json").read_text(encoding="utf-8"))
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}
SQL = {title: panel["targets"][0] for title, panel in PANELS.items() if "rawSql" in panel["targets"][0]}
EXPRESSIONS = [target["expr"] for panel in PANELS.values() for target in panel["targets"] if "expr" in target]
QUERIES = read_ready()
SINCE, UNTIL = "'${__from:date:iso}'", "'${__to:date:iso}'"
ADDED_BY_PROMETHEUS = {"instance", "job"}  # labels that it adds to what it reads


def replaced(statement: str, title: str) -> str:
    """Put in the time range as Grafana does, with milliseconds."""
    since = at(3) if title == "Idle DAGs" else at(-1)
    began, ended = (re.sub(r"\d{3}Z$", "Z", text_of(time)) for time in (since, at(100)))
    return statement.replace(SINCE, f"'{began}'").replace(UNTIL, f"'{ended}'")


def test_panels_have_ids_places_and_data_sources_that_a_user_chooses() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        x, y, width, height = (panel["gridPos"][key] for key in "xywh")
        cells = {(x + right, y + down) for right in range(width) for down in range(height)}
        assert (x + width <= 24, cells & taken) == (True, set()), panel["title"]
        taken |= cells
    chosen = {f"${{{variable['name']}}}": variable["query"] for variable in BOARD["templating"]["list"]}
    for panel in PANELS.values():
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert chosen[source["uid"]] == source["type"]


def test_each_ready_query_is_a_panel_as_it_stands() -> None:
    shown = [target["rawSql"] for target in SQL.values()]
    missing = [
        name
        for name, text in QUERIES.items()
        if shown.count(text.replace(":since", SINCE).replace(":until", UNTIL)) != 1
    ]
    assert missing == []


@pytest.mark.parametrize("title", SQL)
async def test_an_sql_panel_shows_rows_with_the_columns_that_it_formats(shared_database: Database, title: str) -> None:
    def look(connection: WriteConnection) -> None:
        fill_reports(connection)
        statement = replaced(SQL[title]["rawSql"], title)
        rows = read_rows(connection, statement)
        assert (len(rows) > 0, "$" in statement) == (True, False)
        overrides = PANELS[title]["fieldConfig"]["overrides"]
        assert {override["matcher"]["options"] for override in overrides} - rows[0].keys() == set()
        if SQL[title]["format"] == "time_series":
            assert next(iter(rows[0])) == "time"
            assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)

    await rehearse(shared_database, look)


def test_prometheus_panels_are_there() -> None:
    assert (len(SQL), len(EXPRESSIONS) > 8, len(SQL) + 8) == (13, True, len(PANELS))


async def test_the_page_has_each_metric_and_label_of_the_prometheus_panels(dagbook: Dagbook) -> None:
    spec = {"spec": "steps: [{name: a, command: 'true'}]\n", "name": dagbook.name}
    run_id = (await dagbook.client.post("/dag-runs/enqueue", json=spec)).json()["dagRunId"]
    await dagbook.finished(run_id)

    async def missing() -> list[str]:
        page = (await dagbook.client.get("/metrics")).text
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return [problem for expression in EXPRESSIONS for problem in find_problems(expression, found)]

    async def is_counted() -> bool:
        page = (await dagbook.client.get("/metrics")).text
        return all(f"dagu_{name}_seconds_bucket" in page for name in ("dag_run_duration", "queue_wait"))

    await wait_until(is_counted)  # a little after the end of the run is stored
    assert await missing() == []


def find_problems(expression: str, found: dict[str, set[str]]) -> list[str]:
    """Return the metrics of an expression that the page does not have, and the labels that none of them has."""
    metrics = re.findall(r"\b(?:dagu|dagbook|process|python)_\w+", expression)
    labels = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    known = ADDED_BY_PROMETHEUS.union(*(found.get(metric, ()) for metric in metrics))
    return [metric for metric in metrics if metric not in found] + sorted(labels - known) + ["none"] * (not metrics)


def test_a_metric_or_label_that_is_not_there_is_found() -> None:
    found = {"dagu_info": {"version"}}
    assert find_problems("max by (instance, colour) (dagu_other) / max(dagu_info)", found) == ["dagu_other", "colour"]
    assert (find_problems("vector(1)", found), find_problems("max by (version) (dagu_info)", found)) == (["none"], [])
