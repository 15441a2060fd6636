"""``scripts/figures``: the plan, result files, and the parts that are run."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from scripts.measuring.beside_batch import beside_batch
from scripts.measuring.capacity.measure import measure
from scripts.measuring.figures import facts, results
from scripts.measuring.figures.benches import bench
from scripts.measuring.figures.cli import figures
from scripts.measuring.figures.pages import render
from scripts.measuring.figures.plan import (
    BENCH_PLAN,
    BENCHES,
    BESIDE_BATCH,
    CAPACITY,
    EXPERIMENTS,
    HOOKS,
    PLAN,
    REPEATED,
    SIZES,
    Planned,
    Size,
)
from scripts.measuring.figures.repeated import repeated
from scripts.measuring.figures.results import Machine, Merged, Result
from scripts.measuring.hooks import hooks
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


BENCH_COMMANDS = {BENCHES: bench, CAPACITY: measure, HOOKS: hooks, BESIDE_BATCH: beside_batch}


@pytest.mark.parametrize("size", SIZES)
def test_the_command_of_each_benchmark_is_one_that_is_accepted(size: str) -> None:
    for planned in BENCH_PLAN:
        for part in planned.parts(size):
            BENCH_COMMANDS[planned.module].make_context("benches", [*part.words, "--result", "x"])


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
