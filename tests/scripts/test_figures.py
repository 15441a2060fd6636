"""``scripts/figures``: the plan, result files, and the parts that are run."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.figures import facts, results
from tests.figures.cli import figures
from tests.figures.plan import PLAN, SIZES, Planned, Size, select
from tests.figures.results import Machine, Merged, Result


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


def test_each_part_has_a_file_and_a_seed_of_its_own() -> None:
    parts = [part for planned in PLAN for part in planned.parts("full")]
    assert len({part.path(Path()) for part in parts}) == len(parts)
    seeds = [(part.planned.command, part.words[-1]) for part in parts]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("size", SIZES)
def test_the_command_of_each_part_is_one_of_the_chaos_experiments(size: str) -> None:
    from tests.chaos.cli import chaos  # noqa: PLC0415 - it takes long to import

    for planned in PLAN:
        [*_, last] = planned.parts(size)
        command, *words = last.words
        chaos.commands[command].make_context(command, words)


def test_experiments_are_chosen_by_promise_and_engine() -> None:
    assert {one.id for one in select(["r1"])} == {"R1"}
    assert [one.name for one in select(["R1", "R10"], "sqlite")] == ["R1-sqlite", "R10"]
    assert select([]) == list(PLAN)
    with pytest.raises(ValueError, match="'R99' is not in the plan; it has R1, "):
        select(["R99"])


# -- result files ------------------------------------------------------------------------------------------------------


def test_a_result_file_has_sorted_keys_and_a_line_for_each_list_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "R1" / "part-01.json"
    results.write(path, make_result())
    text = path.read_text()
    assert '  "seconds": [1.0, 2.0, 4.5]\n' in text
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert results.read(path) == make_result()
    assert [*path.parent.iterdir()] == [path]


def test_an_unreadable_result_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "part-01.json"
    path.write_text('{"promise": 1}')
    with pytest.raises(msgspec.ValidationError, match=r"part-01\.json: .*promise"):
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


# -- running -----------------------------------------------------------------------------------------------------------


def test_parts_that_have_a_file_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Planned("R10", "", "schedules", 7, Size(1, "--cases 20"), Size(2, "--cases 20"))
    monkeypatch.setattr("tests.figures.plan.PLAN", (tiny,))

    def run(*words: str) -> str:
        result = CliRunner().invoke(figures, [*words, "--results", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "R10                schedules      0 of 2 parts" in run("list", "r10")
    file = tmp_path / "R10" / "smoke-01.json"
    assert "R10, part 1 of 1" in run("run", "r10", "--size", "smoke")
    written = results.read(file)
    assert (written.promise, written.seed, written.violation_count) == ("R10", 7, 0)
    assert written.counts["schedules around clock changes"] == 20
    assert str(Path.cwd()) not in file.read_text()
    assert run("run", "R10", "--size", "smoke") == ""
    file.rename(file.with_name("part-01.json"))
    assert "R10                schedules      1 of 2 parts     0 violations" in run("list", "R10")


def test_an_id_that_is_not_planned_is_refused() -> None:
    result = CliRunner().invoke(figures, ["run", "R99"])
    assert (result.exit_code, "'R99' is not in the plan" in result.stderr) == (2, True)
