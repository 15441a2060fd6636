"""The pages of every key and every command are complete and up to date."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from scripts.documentation.pages.keys import describe_type
from scripts.documentation.pages.markdown import escape
from scripts.documentation.reference import main

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def test_a_page_that_differs_and_one_that_misses_an_entry_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = copytree(DOCS, tmp_path / "reference")
    monkeypatch.setattr("scripts.documentation.reference.DOCS", pages)
    with (pages / "keys.md").open("a") as page:
        page.write("more\n")
    errors = (pages / "errors.md").read_text()
    (pages / "errors.md").write_text(errors.replace("| 413 |", "| 414 |"))
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert main() == 1
    assert capsys.readouterr().err.splitlines() == [
        "docs/reference/keys.md is out of date; run scripts/documentation/reference.py",
        "docs/reference/errors.md has no entry: Error codes 413 bad_request",
    ]
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert main() == 1
    assert (pages / "keys.md").read_text() == (DOCS / "keys.md").read_text()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": ["string", "null"]}, "text"),
        ({"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}, "text or list of numbers"),
        ({"anyOf": [{"enum": [True, "a"]}, {"type": "string", "pattern": "a"}, {"type": "null"}]}, "`true` or `a`"),
        ({"anyOf": [{"type": "string"}, {"type": "number", "deprecated": True}]}, "text"),
        ({"$ref": "#/$defs/mailOn"}, "[mailOn](#mailon)"),
        ({}, "any"),
    ],
)
def test_a_type_is_described_in_words(schema: dict[str, object], words: str) -> None:
    assert describe_type(schema) == words


def test_a_help_text_is_escaped_for_a_table() -> None:
    assert escape("<x> *y* `<z>|*`") == r"&lt;x> \*y\* `<z>\|*`"
