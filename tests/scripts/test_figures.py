"""``scripts/figures``: the plan, result files, and the parts that are run."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from scripts.measuring.figures import facts, metrics, results
from scripts.measuring.figures.benches import bench, read_harness
from scripts.measuring.figures.cli import figures
from scripts.measuring.figures.pages import render
from scripts.measuring.figures.plan import BENCH_PLAN, EXPERIMENTS, PLAN, REPEATED, SIZES, Planned, Size, select
from scripts.measuring.figures.repeated import read_report, repeated
from scripts.measuring.figures.results import Machine, Merged, Result
from tests.process.program import ROOT


def make_result(**changes: object) -> Result:
    machine = Machine(
        cores=2, memory_gib=24, kernel="Linux 6", python="3.11.7", database="SQLite 3", load_before=1.0, load_after=2.5
    )
    result = Result(
        promise="R1",
        experiment="kill",
        engine="sqlite",
        fsync="synchronous=FULL",
        commit="123",
        program_commit="abc",
        date="2026-11-29T02:29:17Z",
        seconds=2.5,
        machine=machine,
        seed=7,
        command="scripts/chaos kill --seed 7",
        counts={"kills": 3},
        samples={"seconds": [1.0, 2.0, 4.5]},
        violation_count=0,
    )
    return msgspec.structs.replace(result, **changes)


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_each_experiment_has_a_file_and_each_part_a_seed_of_its_own() -> None:
    parts = [part for planned in PLAN for part in planned.parts("full")]
    assert len({part.path(Path()) for part in parts}) == len(PLAN)
    seeds = [(part.planned.command, part.words[-1]) for part in parts]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("size", SIZES)
def test_the_command_of_each_part_is_one_of_the_chaos_experiments(size: str) -> None:
    from tests.chaos.cli import chaos  # noqa: PLC0415 - it takes long to import

    for planned in (one for one in PLAN if one.module == EXPERIMENTS):
        [*_, last] = planned.parts(size)
        command, *words = last.words
        chaos.commands[command].make_context(command, words)


def test_files_of_tests_that_are_repeated_exist() -> None:
    planned = [one for one in PLAN if one.module == REPEATED]
    words = [part.words for one in planned for part in one.parts("full")]
    for line in words:
        assert repeated.make_context("repeated", [*line, "--result", "x"]).params["files"]
        assert all((ROOT / word).is_file() for word in line if word.startswith("tests/"))


def test_reports_of_repeated_tests_are_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite><testcase classname='a' name='one'/><testcase classname='a' name='two'>"
        "<failure message='is wrong'/></testcase><testcase classname='a' name='three'>"
        "<skipped message='no'/></testcase></testsuite></testsuites>"
    )
    assert list(read_report(report)) == [
        ("a.one", "passed", ""),
        ("a.two", "failed", "is wrong"),
        ("a.three", "skipped", "no"),
    ]


@pytest.mark.parametrize("size", SIZES)
def test_the_command_of_each_benchmark_is_one_that_is_accepted(size: str) -> None:
    for planned in BENCH_PLAN:
        for part in planned.parts(size):
            bench.make_context("benches", [*part.words, "--result", "x"])


def test_experiments_are_chosen_by_promise_and_engine() -> None:
    assert {one.id for one in select(["r1"])} == {"R1"}
    assert [one.name for one in select(["R1", "R10"], "sqlite")] == ["R1-sqlite", "R10"]
    assert select([]) == list(PLAN)
    assert select(["curve"]) == [one for one in BENCH_PLAN if one.id == "curve"]
    with pytest.raises(ValueError, match="'R99' is not in the plan; it has R1, "):
        select(["R99"])


# -- result files ------------------------------------------------------------------------------------------------------


def test_a_file_has_a_line_for_each_part_with_sorted_keys(tmp_path: Path) -> None:
    path = tmp_path / "new" / "R1.jsonl"
    assert results.read(path) == {}
    results.add(path, 2, make_result(seed=2))
    results.add(path, 1, make_result(seed=1))
    lines = path.read_text().splitlines()
    assert [json.loads(line)["part"] for line in lines] == [1, 2]
    keys = list(json.loads(lines[0]))
    assert keys == sorted(keys)
    assert results.read(path) == {part: make_result(part=part, seed=part) for part in (1, 2)}
    assert [*path.parent.iterdir()] == [path]


def test_an_unreadable_result_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "R1.jsonl"
    path.write_text('{"promise": 1}')
    with pytest.raises(msgspec.ValidationError, match=r"R1\.jsonl: .*promise"):
        results.read(path)


def test_violations_have_no_paths_hosts_and_passwords() -> None:
    sentence = f"left over: /tmp/here/spool on {socket.gethostname()}, postgresql://dagbook:hush@127.0.0.1/x"
    (shown,) = results.shorten([sentence], ["/tmp", "/tmp/here"])
    assert shown == "left over: …/spool on …, postgresql://dagbook@127.0.0.1/x"
    assert len(results.shorten(["x" * 10_000])[0]) < 1_000
    assert len(results.shorten(["x"] * 100)) == 20


def test_commands_can_be_typed_again_and_have_no_addresses() -> None:
    words = ["kill", "--database-url", "postgresql://a:b@c/d", "--result=/tmp/x", "--kills", "3"]
    assert facts.describe_command("scripts/chaos", words, 7) == "scripts/chaos kill --database-url … --kills 3 --seed 7"
    words = ["kill", "--result", "/tmp/x", "--seed=4"]
    assert facts.describe_command("scripts/chaos", words, 4) == "scripts/chaos kill --seed=4"


@pytest.mark.both_engines
def test_durability_is_read_from_the_database_itself(tmp_path: Path, postgres_url: str) -> None:
    version, fsync = facts.read_database("", tmp_path)
    assert (version.split()[0], fsync) == ("SQLite", "synchronous=FULL")
    version, fsync = facts.read_database(postgres_url, tmp_path)
    assert version.split()[0] == "PostgreSQL"
    assert "synchronous_commit=on" in fsync


# -- parts together ----------------------------------------------------------------------------------------------------


def test_parts_are_added_up() -> None:
    first = make_result()
    other = make_result(
        program_commit="def",
        modified=True,
        date="2026-11-28T23:00:00Z",
        counts={"kills": 4, "runs": 9},
        samples={"seconds": [3.0]},
        violation_count=2,
        violations=["a", "b"],
        seconds=1.0,
    )
    merged = Merged([first, other])
    assert merged.counts == {"kills": 7, "runs": 9}
    assert merged.samples == {"seconds": [1.0, 2.0, 3.0, 4.5]}
    assert (merged.violation_count, merged.violations, merged.seconds) == (2, ["a", "b"], 3.5)
    assert (merged.commits, merged.dates, merged.loads) == (["abc", "def*"], ("2026-11-28", "2026-11-29"), (1.0, 2.5))


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 3.0), (0.95, 4.0), (1.0, 4.0)])
def test_quantiles_are_measured_values(share: float, value: float) -> None:
    assert results.quantile([1.0, 2.0, 3.0, 4.0], share) == value


def test_results_of_the_harness_are_read_by_target_and_metric(tmp_path: Path) -> None:
    good = {"scenarios": {"curve": {"curve.at5.p50_ms": 12.34567}}, "errors": {}}
    bad = {"scenarios": {}, "errors": {"curve": "TimeoutError()"}}
    for name, entry in (("sqlite", good), ("dagu-1", bad)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"rounds": [entry]}))
    samples, failures = read_harness(tmp_path, {"sqlite": "sqlite", "dagu-1": "reference", "postgresql": "postgresql"})
    assert samples == {"sqlite: curve.at5.p50_ms": [12.346]}
    assert failures == [
        "reference: curve failed: TimeoutError()",
        "postgresql: the harness has written no result",
    ]


# -- the pages ---------------------------------------------------------------------------------------------------------


def write_parts(folder: Path, name: str, *parts: Result) -> None:
    for number, part in enumerate(parts, 1):
        results.add(folder / f"{name}.jsonl", number, part)


def section(page: str, heading: str) -> str:
    return page.partition(f"\n{heading}\n")[2].partition("\n### ")[0]


def test_a_page_shows_counts_values_and_where_they_were_measured(tmp_path: Path) -> None:
    write_parts(tmp_path, "R1-sqlite", make_result(), make_result(counts={"kills": 1_200}, samples={}))
    write_parts(tmp_path, "R1-postgresql", make_result(engine="postgresql", counts={"runs": 4}, samples={}))
    page = render("testing.md", tmp_path)
    shown = section(page, "### R1: a server killed at random")
    for row in (
        "|  | SQLite | PostgreSQL |",
        "| **violations** | **0** | **0** |",
        "| kills | 1,203 | - |",
        "| runs | - | 4 |",
        "| seconds: median, p95, max | 2, 4.5, 4.5 | - |",
        "| measured | 2 of 10 parts, in 5 s | 1 of 4 parts, in 2 s |",
        "| program | abc | abc |",
        "| load of the machine | 1 to 2.5 | 1 to 2.5 |",
    ):
        assert f"{row}\n" in shown
    assert "| [R1](#r1-a-server-killed-at-random) |" in page
    assert "- R1 on SQLite: 2 of 10 parts have been measured\n" in page
    assert "- R10: not measured yet\n" in page
    assert "- 2 cores, 24 GiB, Linux 6, Python 3.11.7\n" in page


def test_violations_are_shown_with_what_is_written_about_them(tmp_path: Path) -> None:
    found = make_result(violation_count=31, violations=["lost: `run-1`\nis gone"])
    write_parts(tmp_path, "R1-sqlite", found)
    (tmp_path / "R1-sqlite.md").write_text("The disk was full.\n")
    shown = section(render("testing.md", tmp_path), "### R1: a server killed at random")
    assert "| **violations** | **31** |" in shown
    assert "Violations on SQLite:\n\n- `lost: 'run-1' is gone`\n\nThe disk was full.\n" in shown


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("mixed.runs_name.p95_ms", "list of runs of one DAG: 95% under, ms"),
        ("soak.early_per_s", "runs per second, at the beginning"),
        ("mixed.new_metric.p50_ms", "new metric, p50 ms"),
    ],
)
def test_metrics_are_shown_in_words(metric: str, words: str) -> None:
    assert metrics.describe(metric) == words


def test_rows_of_metrics_are_in_the_order_of_the_reader() -> None:
    names = ["soak.unknown", "mixed.errors", "mixed.runs.p95_ms", "mixed.runs.p50_ms", "mixed.dags.p50_ms"]
    assert sorted(names, key=metrics.order) == [*names[:1:-1], "mixed.errors", "soak.unknown"]


def test_a_curve_has_a_row_for_each_rate_and_a_column_for_each_program(tmp_path: Path) -> None:
    rounds = [
        make_result(
            program="dagbook, other-1",
            samples={
                "sqlite: curve.at10.p50_ms": [value],
                "sqlite: curve.at10.p95_ms": [2 * value],
                "reference: curve.at10.p50_ms": [5.0],
                "sqlite: curve.at10.lost": [1.0],
                "sqlite: curve.held_per_s": [10.0],
            },
        )
        for value in (30.0, 10.0, 20.0)
    ]
    write_parts(tmp_path, "curve", *rounds)
    shown = section(render("performance.md", tmp_path), "## Latency at a steady rate")
    assert "| runs per second | SQLite | reference implementation |\n" in shown
    assert "| 10 | 20 (10 to 30) / 40 (20 to 60) | 5 / - |\n" in shown
    assert "| runs not seen | 3 | 0 |\n" in shown
    assert "Rounds: 3 of 3;" in shown


def test_lists_have_a_row_for_each_request_and_size(tmp_path: Path) -> None:
    samples = {
        f"sqlite: read.h{runs}.d50.dag_history.{metric}": [value]
        for runs, value in ((10_000, 2.5), (1_000, 1.5))
        for metric in ("p50_ms", "p95_ms", "cpu_per_request_ms", "load_rps")
    }
    write_parts(
        tmp_path, "lists", make_result(samples=samples | {"sqlite: read.h1000.d50.runs_name.errors_count": [7.0]})
    )
    shown = section(render("performance.md", tmp_path), "## Lists")
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert rows[1:5] == [
        "| history of one DAG | 1,000 | 50 | 1.5 / 1.5; 1.5 |",
        "| history of one DAG | 10,000 | 50 | 2.5 / 2.5; 2.5 |",
        "| searches refused | all | all | 0 |",
        "| other errors | all | all | 7 |",
    ]


def test_lists_show_no_cpu_time_of_requests_of_which_some_were_refused(tmp_path: Path) -> None:
    search = "sqlite: read.h1000.d50.search"
    times = {f"{search}.{metric}": [1.5] for metric in ("p50_ms", "p95_ms", "cpu_per_request_ms")}
    write_parts(tmp_path, "lists", make_result(samples=times | {f"{search}.errors_count": [1e6, 2.0]}))
    shown = section(render("performance.md", tmp_path), "## Lists")
    assert "| 1.5 / 1.5; - |\n| searches refused | all | all | 1,000,002 |\n" in shown


def test_the_pages_are_made_of_the_result_files_that_are_there() -> None:
    result = CliRunner().invoke(figures, ["pages", "--check"])
    assert result.exit_code == 0, result.output


def test_a_page_that_is_out_of_date_is_written_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.measuring.figures.cli.DOCS", tmp_path / "explanation")
    words = ["pages", "--results", str(tmp_path / "none")]
    for last in (["--check"], ["--check"]):
        result = CliRunner().invoke(figures, [*words, *last])
        assert (result.exit_code, "testing.md is out of date: scripts/figures pages" in result.stdout) == (1, True)
    assert "testing.md is written" in CliRunner().invoke(figures, words).stdout
    assert CliRunner().invoke(figures, [*words, "--check"]).exit_code == 0


# -- running -----------------------------------------------------------------------------------------------------------


def test_parts_that_have_a_file_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Planned("R10", "", "schedules", 7, Size(1, "--cases 20"), Size(2, "--cases 20"))
    monkeypatch.setattr("scripts.measuring.figures.plan.PLAN", (tiny,))

    def run(*words: str) -> str:
        result = CliRunner().invoke(figures, [*words, "--results", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "R10                schedules      0 of 2 parts" in run("list", "r10")
    file = tmp_path / "R10-smoke.jsonl"
    assert "R10, part 1 of 1" in run("run", "r10", "--size", "smoke")
    [written] = results.read(file).values()
    assert (written.promise, written.seed, written.violation_count) == ("R10", 7, 0)
    assert written.counts["schedules around clock changes"] == 20
    assert str(Path.cwd()) not in file.read_text()
    assert run("run", "R10", "--size", "smoke") == ""
    file.rename(file.with_name("R10.jsonl"))
    assert "R10                schedules      1 of 2 parts     0 violations" in run("list", "R10")


def test_an_id_that_is_not_planned_is_refused() -> None:
    result = CliRunner().invoke(figures, ["run", "R99"])
    assert (result.exit_code, "'R99' is not in the plan" in result.stderr) == (2, True)
