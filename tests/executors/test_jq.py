"""The jq executor (DAG format 4.7): what its program prints, and that its process can be ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dagbook.executors.contract import ExecutionFiles, Job, Outcome, SetupError
from dagbook.executors.jq import jq
from dagbook.executors.jq import program as jq_program
from dagbook.executors.process import process
from dagbook.executors.process.process import OwnProcess
from dagbook.executors.subprocess_executor import ProgramError
from tests.waiting import until_written


def job_of(line: str, script: str, **config: Any) -> Job:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere"}
    return Job(type="jq", id="1", line=line, script=script, config=config, cwd=Path("/"), env=env)


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a program in this process and give what it prints on both streams."""

    def run(line: str, script: str, **config: Any) -> tuple[str, str]:
        assert jq_program.print_results(job_of(line, script, **config)) == 0
        found = capfd.readouterr()
        return found.out, found.err

    return run


def start(files: ExecutionFiles, line: str, script: str) -> OwnProcess:
    return process.spawn(jq.command(job_of(line, script)), files)


# -- results ---------------------------------------------------------------------------------------------------------


def test_a_result_is_json_with_four_blanks_of_indent(printed: Any) -> None:
    out, _ = printed(".", '{"b": [1, "ü<"], "a": {}, "n": null}')
    assert out == '{\n    "a": {},\n    "b": [\n        1,\n        "ü<"\n    ],\n    "n": null\n}\n'


def test_each_result_has_a_line(printed: Any) -> None:
    assert printed(".[] | .a", '[{"a": 1}, {"a": "x"}]') == ('1\n"x"\n', "")


def test_no_result_prints_nothing(printed: Any) -> None:
    assert printed("empty", "1") == ("", "")


def test_raw_results_are_bare_texts_empty_lines_and_compact_json(printed: Any) -> None:
    out, _ = printed(".[]", '["a\\nb", "", null, true, [1, "x", null], {"z": 1, "a": "ü"}]', raw="true")
    assert out == 'a\nb\n\n\ntrue\n[1,"x",null]\n{"a":"ü","z":1}\n'


@pytest.mark.parametrize(
    ("program", "printed_raw"),
    [
        (".", '{"a":{"b":null,"y":[2]},"m":1.50,"z":12345678901234567890}'),
        ("[.[] | numbers]", "[1.50,12345678901234567890]"),
        ("[paths]", '[["a"],["a","b"],["a","y"],["a","y",0],["m"],["z"]]'),
        ("to_entries | map(.key)", '["a","m","z"]'),
        (".a | tojson", '{"b":null,"y":[2]}'),
        ('{z: 1, "é": 2, Z: 3, "𐀀": 4, "￿": 5}', '{"Z":3,"z":1,"é":2,"￿":5,"𐀀":4}'),
        ("{z: 1, a: 2} | keys_unsorted", '["z","a"]'),
    ],
)
def test_members_are_sorted_by_name_in_input_and_output(printed: Any, program: str, printed_raw: str) -> None:
    script = '{"z": 12345678901234567890, "a": {"y": [2], "b": null}, "m": 1.50}'
    out, err = printed(program, script, raw=True)
    assert (out.replace("1.5,", "1.50,"), err) == (printed_raw + "\n", "")


@pytest.mark.parametrize(
    ("number", "plain", "raw"),
    [
        ("7", "7", "7"),
        ("-0.5", "-0.5", "-0.5"),
        ("1.0", "1", "1"),
        ("1.50", "1.5", "1.5"),
        ("1e3", "1000", "1000"),
        ("1234567", "1234567", "1234567"),
        ("1234567.5", "1234567.5", "1.2345675e+06"),
        ("0.00001", "1e-05", "1e-05"),
        ("12345678901234567890", "12345678901234567890", "12345678901234567890"),
        ("1e21", "1e+21", "1e+21"),
        ("1e1000", "1.7976931348623157e+308", "1.7976931348623157e+308"),
    ],
)
def test_numbers_keep_their_value(printed: Any, number: str, plain: str, raw: str) -> None:
    assert (printed(".", number)[0], printed(".", number, raw=True)[0]) == (f"{plain}\n", f"{raw}\n")


def test_integer_results_of_arithmetic_have_no_fraction(printed: Any) -> None:
    assert printed("map(.v) | add", '[{"v": 0.5}, {"v": 1.5}]', raw=True)[0] == "2\n"


def test_a_program_may_define_and_comment(printed: Any) -> None:
    assert printed("def twice: . * 2; twice # the end", "4")[0] == "8\n"


def test_a_large_input_is_taken(printed: Any) -> None:
    assert printed("length", json.dumps([{"n": n} for n in range(100_000)]))[0] == "100000\n"


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "script", "out", "err"),
    [
        (".[] | .a", '[{"a": 1}, 3]', "1\n", 'jq: error: Cannot index number with string ("a")\n'),
        ('1, error("own")', "0", "1\n", "jq: error: own\n"),
        ('error("parse error: own")', "0", "", "jq: error: parse error: own\n"),
        ("input", "0", "", "jq: error: break\n"),
    ],
)
def test_an_error_of_the_program_is_reported_and_the_step_succeeds(
    printed: Any, program: str, script: str, out: str, err: str
) -> None:
    assert printed(program, script) == (out, err)


@pytest.mark.parametrize("program", [".[", "1) | (2", "nosuch(1)", 'import "a" as a; 1', "# nothing"])
def test_a_program_that_cannot_be_read_fails_the_step(program: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProgramError, match=r"jq: the program cannot be read: [^\n]+\Z"):
        jq_program.print_results(job_of(program, "1"))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("script", ["", "no", "1 2", "{'a': 1}", "[NaN]", "[1,]", '"\\ud800"'])
def test_input_that_is_no_json_fails_the_step(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProgramError, match="jq: the script is not JSON: "):
        jq_program.print_results(job_of("1, .", script))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("program", "script"), [(".", "[" * 100_000), ("reduce range(5000) as $i (0; [.])", "0")])
def test_nesting_beyond_measure_fails_the_step(program: str, script: str) -> None:
    with pytest.raises(ProgramError, match="nested too deeply"):
        jq_program.print_results(job_of(program, script))


def test_a_wrong_config_names_the_key() -> None:
    with pytest.raises(SetupError, match='jq: raw: expected true or false, found "maybe"'):
        jq.command(job_of(".", "1", raw="maybe"))


@pytest.mark.parametrize("line", ["", " "])
def test_a_step_without_command_prints_its_input(printed: Any, line: str) -> None:
    assert printed(line, '{"a": 1}') == ('{\n    "a": 1\n}\n', "")


# -- its process -----------------------------------------------------------------------------------------------------


async def test_the_process_prints_to_the_output_and_leaves_no_job_file(files: ExecutionFiles) -> None:
    assert await start(files, ".a", '{"a": "ü"}').wait() == Outcome(exit_code=0)
    assert files.stdout.read_text() == '"ü"\n'
    assert not files.path("job").exists()


async def test_the_process_reports_a_failure_in_one_line(files: ExecutionFiles) -> None:
    assert (await start(files, ".[", "1").wait()).exit_code == 1
    assert files.stderr.read_text().count("\n") == 1


async def test_output_that_cannot_be_written_is_reported_in_one_line(files: ExecutionFiles) -> None:
    files.stdout.symlink_to("/dev/full")
    assert (await start(files, ".", "1").wait()).exit_code == 1
    assert files.stderr.read_text() == "the step could not continue: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
async def test_a_program_without_end_shows_its_results_and_hears_signals(files: ExecutionFiles, name: str) -> None:
    running = start(files, "1, (def f: f; f)", "0")
    assert await until_written(files.stdout) == "1\n"
    running.signal(name)
    assert (await running.wait()).exit_code != 0


# -- limits ----------------------------------------------------------------------------------------------------------


def run_limited(work: str, **limits: int) -> subprocess.CompletedProcess[str]:
    code = f"""
import os, signal, sys, time, jq
from dagbook.executors.jq.limits import Limits, run_limited

def run(program):
    jq.compile(program).input_text("1").all()
    return 0

sys.exit(run_limited(lambda: {work}, Limits(**{limits or {}})))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("run('def f: f; f')", "took more than 1 seconds of processor time"),
        ("run('reduce range(60) as $i (\"a\"; .+.)|length')", "needs more than 256 MiB of memory"),
        ("time.sleep(60)", "took longer than 2 seconds"),
    ],
)
def test_a_program_beyond_its_limits_is_ended_with_a_reason(work: str, reason: str) -> None:
    ended = run_limited(work, cpu_seconds=1, seconds=2 if "sleep" in work else 50, memory=256 * 1024 * 1024)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, f"jq: the program {reason}")


@pytest.mark.parametrize(("work", "code"), [("7", 7), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM)])
def test_the_end_of_a_limited_process_is_passed_on(work: str, code: int) -> None:
    ended = run_limited(work, cpu_seconds=1, seconds=50, memory=2**30)
    assert (ended.returncode, ended.stderr) == (code, "")


async def test_the_process_of_a_step_has_limits(files: ExecutionFiles) -> None:
    ended = await start(files, 'reduce range(60) as $i ("a"; . + .) | length', "1").wait()
    assert ended.exit_code == 1
    assert files.stderr.read_text().splitlines()[-1] == "jq: the program needs more than 1024 MiB of memory"


@pytest.mark.full  # the limit is twenty seconds of a core
async def test_a_step_without_end_fails_with_a_reason(files: ExecutionFiles) -> None:
    assert (await start(files, "def f: f; f", "1").wait()).exit_code == 1
    assert files.stderr.read_text().startswith("jq: the program took ")
