"""Tables of commands: they fit the terminal."""

from __future__ import annotations

import sys

import pytest

from dagbook.cli import execute
from dagbook.cli.output import fit, print_table, text_width

HEAD = ("STARTED", "DAG", "RUN", "ERROR")


@pytest.mark.parametrize(
    ("widths", "columns", "fitting"),
    [
        ([20, 10, 36, 100], 200, [20, 10, 36, 100]),
        ([20, 10, 36, 100], 100, [20, 10, 36, 28]),  # names are kept
        ([20, 10, 36, 100], 80, [14, 10, 36, 14]),
        ([20, 10, 36, 100], 60, [8, 10, 28, 8]),  # until nothing else is left
        ([20, 10, 36, 100], 10, [8, 8, 8, 8]),
    ],
)
def test_the_widest_column_is_shortened_first(widths: list[int], columns: int, fitting: list[int]) -> None:
    assert fit(HEAD, widths, columns) == fitting


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_the_width_is_that_in_a_terminal(text: str, width: int) -> None:
    assert text_width(text) == width


def test_a_table_is_whole_where_there_is_no_terminal_and_shortened_in_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import click  # noqa: PLC0415 - a context for the options

    rows = [("x" * 50, "日本" * 20, "y" * 12, "")]
    with click.Context(click.Command("test")):
        print_table(HEAD, rows)
        assert f"{'x' * 50}  {'日本' * 20}  {'y' * 12}\n" in capsys.readouterr().out
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.setenv("NO_COLOR", "1")
        print_table(HEAD, rows)
    lines = capsys.readouterr().out.splitlines()
    assert all(text_width(line) <= 60 for line in lines)
    assert "…" in lines[1]
    assert "\x1b" not in "".join(lines)
    assert execute(["version"]) == 0
