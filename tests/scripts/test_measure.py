from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[2] / "scripts" / "measure.py"


def measure(folder: Path, *, padded: bool = True, **files: str) -> tuple[int, str]:
    """Measure modules, made as long as half of them have to be."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text + "x = 1\n" * (80 - text.count("\n")) * padded)
    done = subprocess.run([sys.executable, MEASURE, folder], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def function(name: str, lines: int) -> str:
    return f"def {name}():\n" + "    x = 1\n" * (lines - 1)


def test_it_prints_median_p90_and_the_longest(tmp_path: Path) -> None:
    functions = [function(f"f{lines}", lines) for lines in (2, 4, 6, 8, 10)]
    status, output = measure(tmp_path, module="".join(functions))
    assert status == 0
    assert "functions: 5, lines: median 6 (6 to 12), p90 10 (at most 35), most 10 (at most 80)" in output
    assert "files: 1, lines: median 80 (80 to 250), p90 80 (at most 400), most 80 (at most 600)" in output


@pytest.mark.parametrize(("lines", "status"), [(80, 0), (81, 1)])
def test_no_function_is_longer_than_80_lines(tmp_path: Path, lines: int, status: int) -> None:
    short = "".join(function(f"f{number}", 7) for number in range(12))
    assert measure(tmp_path, module=short + function("long", lines))[0] == status


def test_a_function_that_is_too_long_is_named_with_its_place(tmp_path: Path) -> None:
    _, output = measure(tmp_path, module=function("short", 2) + function("long", 81))
    assert f"too long: {tmp_path}/module.py:3 long, 81 lines" in output


@pytest.mark.parametrize(("lines", "status"), [(5, 1), (6, 0), (12, 0), (13, 1)])
def test_half_of_the_functions_have_6_to_12_lines(tmp_path: Path, lines: int, status: int) -> None:
    assert measure(tmp_path, module=function("f", lines))[0] == status


@pytest.mark.parametrize(("long", "status"), [(1, 0), (2, 1)])
def test_nine_of_ten_functions_have_at_most_35_lines(tmp_path: Path, long: int, status: int) -> None:
    lengths = [7] * (10 - long) + [40] * long
    assert measure(tmp_path, module="".join(function(f"f{i}", n) for i, n in enumerate(lengths)))[0] == status


@pytest.mark.parametrize(("lines", "status"), [(79, 1), (80, 0), (250, 0), (251, 1)])
def test_half_of_the_files_have_80_to_250_lines(tmp_path: Path, lines: int, status: int) -> None:
    assert measure(tmp_path, padded=False, module=function("f", 7) + "x = 1\n" * (lines - 7))[0] == status


@pytest.mark.parametrize(("lines", "status"), [(600, 0), (601, 1)])
def test_no_file_is_longer_than_600_lines(tmp_path: Path, lines: int, status: int) -> None:
    short = {f"short{number}": function("f", 7) for number in range(20)}
    assert measure(tmp_path, padded=True, **short, long="x = 1\n" * lines)[0] == status


def test_a_docstring_does_not_make_a_function_long(tmp_path: Path) -> None:
    text = 'def f():\n    """One.\n' + "    more\n" * 80 + '    """\n    return 1\n'
    assert "most 2 (at most 80)" in measure(tmp_path, module=text)[1]


def test_a_folder_without_functions_is_a_mistake(tmp_path: Path) -> None:
    assert measure(tmp_path)[0] == 1


def test_a_short_helper_with_one_caller_and_a_short_module_are_counted(tmp_path: Path) -> None:
    text = (
        "def _one():\n    return 1\n\n\ndef _two():\n    return 2\n\n\ndef f():\n    return _one() + _two() + _two()\n"
    )
    _, output = measure(tmp_path, padded=False, module=text)
    assert "private helpers of at most 5 lines with one caller: 1 " in output
    assert "modules below 40 lines: 1 " in output
