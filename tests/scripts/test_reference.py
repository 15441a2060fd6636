"""The pages of every key and every command are complete and up to date."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import click
import pytest
import yaml

from dagbook.cli import cli
from dagbook.spec.config_keys import CONFIG_KEYS
from dagbook.spec.grammar.document import PARTS
from scripts.documentation.pages.keys import describe_type, list_keys
from scripts.documentation.pages.markdown import escape
from scripts.documentation.reference import main

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def names_of(command: click.Command, name: str) -> list[str]:
    found = [name]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            found += names_of(below, f"{name} {child}")
    return found


@pytest.mark.parametrize("part", PARTS)
def test_every_key_has_a_row_in_the_section_of_its_object(part: str) -> None:
    sections = (DOCS / "keys.md").read_text().split("\n## ")
    [section] = [one for one in sections if one.startswith(f"{part.replace('dag', 'DAG')}\n")]
    rows = [[cell.strip() for cell in line.split(" | ")] for line in section.splitlines() if line.startswith("| `")]
    keys = [row[0] for row in rows if "." not in row[0].strip("| ")]
    assert keys == [f"| `{key}`" for key in PARTS[part][0]]
    assert not [row[0] for row in rows if not (row[1] and row[3] and row[4] and row[5])]


def test_examples_of_keys_are_yaml_on_the_page() -> None:
    page = (DOCS / "keys.md").read_text()
    found = [
        yaml.safe_load(cell.replace("\\|", "|"))
        for cell in re.findall(r"^(?:\| [^|]*){3}\| `(.*?)` \|", page, re.MULTILINE)
    ]
    examples = [key.schema["examples"][0] for part in PARTS for key in list_keys(part)]
    examples += [known.example for keys in CONFIG_KEYS.values() for known in keys.values()]
    assert found == examples


def test_every_command_has_a_section_with_an_example_or_a_reference_to_its_other_name() -> None:
    page = (DOCS / "commands.md").read_text()
    sections = {text.partition("\n")[0]: text for text in page.replace("\n### ", "\n## ").split("\n## ")[1:]}
    commands = names_of(cli, "dagbook")[1:]
    assert len(commands) > 100
    assert list(sections)[1:] == commands
    bare = [
        name for name in commands if "\nExample:\n" not in sections[name] and "\nThe same as [" not in sections[name]
    ]
    assert bare == []


def test_the_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert main() == 0


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
