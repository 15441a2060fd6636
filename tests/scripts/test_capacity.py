"""The model of capacity, its tables, and the scene in which costs are measured."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from scripts.measuring.capacity import scene, tables
from scripts.measuring.capacity.meter import Cost
from scripts.measuring.capacity.model import (
    ALONE,
    CARRIED,
    DELETED,
    FLUSH,
    GROUPED,
    HISTORY,
    LATENCY,
    PAGE,
    PROCESSES,
    SERVER,
    WATCHED,
    WORKER,
    Costs,
    Installation,
    highest_rate,
    levels,
    predict,
)
from scripts.measuring.figures import results
from tests.process import store
from tests.scripts.test_figures import make_result

_FIELDS = (
    "statements",
    "commits",
    "wal_bytes",
    "server_ms",
    "step_ms",
    "database_ms",
    "client_ms",
    "notifications",
    "rows",
)


def make_samples() -> dict[str, list[float]]:
    costs = {
        ALONE: Cost(statements=30, commits=3, wal_bytes=10_000, server_ms=10, step_ms=4, database_ms=5, client_ms=1),
        GROUPED: Cost(
            statements=24, commits=0.5, wal_bytes=9_000, server_ms=5, step_ms=4, database_ms=2.5, client_ms=1
        ),
        CARRIED: Cost(statements=50, commits=5, server_ms=20, step_ms=4, database_ms=10, client_ms=1),
        SERVER: Cost(statements=4, server_ms=4, database_ms=1),
        WORKER: Cost(statements=3, server_ms=3, database_ms=1),
        PAGE: Cost(server_ms=0.1),
        WATCHED: Cost(server_ms=0.1, database_ms=0.1),
        DELETED: Cost(database_ms=0.5, wal_bytes=1_000),
    }
    named = {f"{name}: {field}": [getattr(cost, field)] for name, cost in costs.items() for field in _FIELDS}
    sizes = {f"bytes of {ALONE}: {table}": [size] for table, size in {"runs": 1_500.0, "changes": 700.0}.items()}
    return named | sizes | {FLUSH: [1.0], LATENCY: [18.0, 20.0, 30.0]}


COSTS = Costs(make_samples())


def test_the_more_runs_a_server_starts_the_more_share_a_commit() -> None:
    commits = [COSTS.a_run(rate).commits for rate in (0, 1, 10, 100)]
    assert commits[0] == COSTS.of(ALONE).commits
    assert commits == sorted(commits, reverse=True)
    assert COSTS.a_run(100).server_ms < COSTS.a_run(1).server_ms


def test_a_prediction_adds_up_what_things_cost() -> None:
    quiet = predict(COSTS, Installation(runs_an_hour=0, pages=0, database_cores=1))
    assert (quiet.server, quiet.database, quiet.wal_bytes) == (0.004, 0.001, 0)
    assert quiet.latency_ms == pytest.approx(20 / 0.996)
    assert predict(COSTS, Installation(history=2**40 / 1_500)).size == pytest.approx(1)


@pytest.mark.parametrize(
    ("installation", "wall"),
    [
        (Installation(1, 500_000), "server"),
        (Installation(20, 1_000), "connections"),
        (Installation(1, 1_000, history=1e9), "size"),
        (Installation(5, 5_000_000, database_cores=1), "database"),
    ],
)
def test_the_first_wall_is_what_is_used_most(installation: Installation, wall: str) -> None:
    assert predict(COSTS, installation).first_wall == wall


def test_a_rate_beyond_a_core_has_no_latency() -> None:
    assert predict(COSTS, Installation(1, 5_000_000)).latency_ms is None
    assert predict(COSTS, Installation(1, 50_000)).latency_ms is not None


def test_the_highest_rate_uses_all_cores_of_a_machine() -> None:
    rate = highest_rate(COSTS, 2, 2.0)
    run = COSTS.a_run(rate / 2)
    assert rate * (run.server_ms + run.step_ms + run.database_ms + run.client_ms) + 2 * 5 == pytest.approx(2_000)
    assert highest_rate(COSTS, 1, 2.0, workers=2) < rate
    assert highest_rate(COSTS, 1, 1_000.0) * COSTS.a_run(highest_rate(COSTS, 1, 1_000.0)).server_ms == pytest.approx(
        1_000
    )


def test_an_index_has_few_levels() -> None:
    assert [levels(runs) for runs in (1, 100, 10_000, 10**9)] == [1, 1, 2, 4]


def _write_results(folder: Path) -> None:
    cost, samples = {field: [2.0] for field in _FIELDS}, dict[str, dict[str, list[float]]]()
    samples["costs"] = make_samples()
    samples["checks"] = {
        f"{count} {kind}: runs a second": [40.0] for count in PROCESSES for kind in ("servers", "workers")
    }
    samples["checks"] |= {f"{count} servers, at half the rate: start to end, ms": [30.0] for count in PROCESSES}
    samples["checks"] |= {f"{count} servers: connections": [10.0] for count in PROCESSES}
    samples["history"] = {}
    for runs in HISTORY:
        here = f"{runs} runs"
        samples["history"] |= {f"{here}: bytes of each": [1_000.0], f"{here}: levels of the index of ids": [2.0]}
        samples["history"] |= {f"{here}: start to end of 2 steps, ms": [25.0], f"{here}: seconds of VACUUM": [3.0]}
    names = [f"{runs} runs: {ALONE}" for runs in HISTORY]
    names += [
        f"{request} of {runs}" for request in ("list of DAGs", "list of runs", "runs of a DAG") for runs in HISTORY
    ]
    names += [
        f"{count} {kind}, {when}"
        for count in PROCESSES
        for kind in ("servers", "workers")
        for when in ("idle, a second", "at the highest rate, a run")
    ]
    samples["history"] |= {f"{name}: {field}": value for name in names for field, value in cost.items()}
    for part, found in samples.items():
        results.add(folder / f"capacity-{part}.jsonl", 1, make_result(samples=found))


def test_tables_have_predictions_beside_what_was_measured(tmp_path: Path) -> None:
    assert [*tables.render(tmp_path, "costs")] == ["Not measured yet."]
    _write_results(tmp_path)
    shown = {
        block: "\n".join(tables.render(tmp_path, block))
        for block in ("costs", "bytes", "checks", "workers", "history", "disk", "predictions", "walls")
    }
    assert "| a run of 2 steps | 30 | 3 | 0 | 0 | 10,000 | 10 | 4 | 5 |" in shown["costs"]
    assert "| all that stay with the run | 1,500 |" in shown["bytes"]
    assert "| idle: statements a second | 8 | 2 | +300% |" in shown["checks"]
    assert "| 1,000,000 runs: GB | 1 | 1 | +0% |" in shown["history"]
    assert "| 1,000,000 | 1.5 |" in shown["disk"]
    assert "**not held**" in shown["predictions"]
    printed = CliRunner().invoke(tables.main, ["--servers", "20", "--results", str(tmp_path)])
    assert "first wall: connections" in printed.output


@pytest.mark.timeout(120)
def test_a_scene_counts_what_runs_cost_and_copies_runs_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "SEEDED", 20)
    with scene.make_scene() as made:
        made.seed(100)
        assert store.query(made.url, "SHOW fsync")[0][0] == "on"
        assert made.vacuum() > 0
        assert made.levels("uq_runs_root") == 1
        counts = "SELECT count(*), count(DISTINCT run_id), count(DISTINCT created_at) FROM runs"
        assert [*store.query(made.url, counts)[0]] == [100, 100, 100]
        assert store.query(made.url, "SELECT count(*) FROM nodes")[0][0] == 200
        indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'runs'"
        assert store.query(made.url, indexes)[0][0] == store.query(made.cluster.make_database(), indexes)[0][0]
        with made.running() as meter:
            made.store_dag("two", 2)
            begin = meter.read()
            assert made.pace(["two"], 10, 0.5) == 5
            spent = meter.since(begin).per(5)
            assert (spent.commits >= 1, spent.statements > spent.commits, spent.wal_bytes > 1_000) == (True, True, True)
            assert made.finished() == 5
            assert len(made.latencies("two", 60)) == 5
            with made.pages(2):
                time.sleep(0.1)
            assert msgspec.structs.asdict(meter.since(begin))["server_ms"] > 0
