"""``scripts/measure.py``: what is counted, and that a limit holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.measure import Module, Report, measure


def module(folder: Path, text: str, name: str = "module.py") -> Module:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Module(path)


def function(name: str, lines: int) -> str:
    return f"def {name}():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(("lines", "kept"), [(60, True), (61, False)])
def test_a_function_that_is_too_long_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: int, kept: bool
) -> None:
    short = "".join(function(f"f{number}", 7) for number in range(12))
    module(tmp_path, short + function("long", lines))
    assert measure(tmp_path) is kept
    output = capsys.readouterr().out
    assert f"lines of a function: {lines} (limit 60)\n" in output
    assert (f"    {tmp_path}/module.py:85 long: 61\n" in output) is not kept


@pytest.mark.parametrize(("lines", "kept"), [(500, True), (501, False)])
def test_no_file_is_longer_than_500_lines(tmp_path: Path, lines: int, kept: bool) -> None:
    module(tmp_path, function("f", 7) + "x = 1\n" * (lines - 7))
    assert measure(tmp_path) is kept


@pytest.mark.parametrize(
    ("package", "width", "kept"), [("runs", 15, True), ("runs", 16, False), ("runs/cli", 16, False)]
)
def test_no_package_has_more_than_15_modules(tmp_path: Path, package: str, width: int, kept: bool) -> None:
    for number in range(width):
        module(tmp_path, function("f", 7), f"dagbook/{package}/m{number}.py")
    module(tmp_path, "", f"dagbook/{package}/__init__.py")
    assert measure(tmp_path) is kept


def test_a_docstring_does_not_make_a_function_long(tmp_path: Path) -> None:
    text = 'def f():\n    """One.\n' + "    more\n" * 80 + '    """\n    return 1\n'
    assert [found.lines for found in module(tmp_path, text).functions()] == [2]


def test_a_folder_without_functions_is_a_mistake(tmp_path: Path) -> None:
    assert not measure(tmp_path)


def test_a_short_helper_with_one_caller_is_found(tmp_path: Path) -> None:
    text = "def _a():\n    return 1\n\n\ndef _b():\n    return 2\n\n\ndef f():\n    return _a() + _b() + _b()\n"
    assert [found.place for found in module(tmp_path, text).short_helpers()] == [f"{tmp_path}/module.py:1 _a"]


def test_a_constant_behind_the_first_definition_is_found(tmp_path: Path) -> None:
    text = """
FIRST = 1


class One: ...


T = TypeVar("T")
One.x = 1
__all__ = ["One"]
alias = One
_SECOND: int = 2
"""
    assert [found.place for found in module(tmp_path, text).late_constants()] == [f"{tmp_path}/module.py:12 _SECOND"]


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("# type: ignore[arg-type]  # the contract lists all labels", [True]),
        ("# type: ignore[arg-type]", [False]),
        ("# type: ignore[arg-type]  # noqa: PLC0415", [False]),
        ("# type: ignore[arg-type]  # noqa: PLC0415 - asyncpg brings no types", [True]),
        ("# no type", []),
    ],
)
def test_comments_that_switch_mypy_off_need_a_reason(tmp_path: Path, comment: str, found: list[bool]) -> None:
    text = f"x = 1  {comment}\ny = '# type: ignore'\n"
    assert [has_reason for _, has_reason in module(tmp_path, text).ignores()] == found


def test_each_use_of_any_is_found(tmp_path: Path) -> None:
    text = "from typing import Any\n\nx: dict[str, Any] = {}\n# Any\ny = 'Any'\n"
    assert len([*module(tmp_path, text).uses_of_any()]) == 2


@pytest.mark.parametrize(("imported", "found"), [("dagbook.db.models", 1), ("dagbook.spec.model", 0)])
def test_rows_that_are_read_by_name_are_found_where_db_is_imported(tmp_path: Path, imported: str, found: int) -> None:
    models = module(tmp_path, "class Run(Base):\n    status: Mapped[int]\n", "models.py")
    text = f"from {imported} import X\n\nrow['status'] + row['other'] + scope['status'] + row[status]\n"
    assert len([*module(tmp_path, text).subscripts(frozenset(models.columns()))]) == found


def test_a_limit_that_is_exceeded_fails(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add("files", 3, 3)
    assert report.kept
    report.add("files", 4, 3)
    assert not report.kept
    assert "files: 4 (limit 3)" in capsys.readouterr().out
