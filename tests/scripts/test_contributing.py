"""The pages for developers name existing files, tests, scripts and commands, and the layers of the import rules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from dagbook.cli import COMMANDS

CHECKOUT = Path(__file__).parents[2]
CONTRIBUTING = CHECKOUT / "CONTRIBUTING.md"
PITFALLS = "docs/explanation/pitfalls.md"
PAGES = ["CONTRIBUTING.md", PITFALLS, "README.md"]
BUG, FEATURE = ".github/ISSUE_TEMPLATE/bug.md", ".github/ISSUE_TEMPLATE/feature.md"
PULL_REQUEST = ".github/PULL_REQUEST_TEMPLATE.md"
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^ {4,}(\S.*)$", re.MULTILINE)
# A path that starts like this has to be in the checkout.
_PATH = re.compile(r"(?<![\w./-])(?:\./)?((?:app|docs|migrations|scripts|tests|\.ci|\.github)/[\w./-]+\w)(?:::(\w+))?")
# Made by a build, and by the step that the page describes.
MADE = {"scripts/libraries/node_modules"}


def named_paths(text: str) -> set[tuple[str, str]]:
    """Find the paths in code of a page, each with the test named behind ``::``, or ''."""
    code = "\n".join([*_CODE.findall(text), *_BLOCK.findall(text)])
    return {(path, test) for path, test in _PATH.findall(code) if path not in MADE}


@pytest.mark.parametrize("page", PAGES)
def test_each_path_and_test_that_a_page_names_exists(page: str) -> None:
    found = named_paths((CHECKOUT / page).read_text(encoding="utf-8"))
    assert found
    missing = [path for path, _ in found if not (CHECKOUT / path).exists()]
    assert missing == []
    untested = [(path, test) for path, test in found if test and f"def {test}(" not in (CHECKOUT / path).read_text()]
    assert untested == []


def test_each_pitfall_has_a_rule_and_names_its_test() -> None:
    _, *entries = (CHECKOUT / PITFALLS).read_text(encoding="utf-8").split("\n### ")
    assert len(entries) >= 20
    for entry in entries:
        rule, test = (re.findall(rf"^- \*\*{word}:\*\* (.+)", entry, re.MULTILINE) for word in ("Rule", "Test"))
        assert (len(rule), len(test)) == (1, 1), entry
        assert named_paths(test[0]), entry


def test_paths_are_found_in_inline_code_and_blocks() -> None:
    text = "`tests/nowhere.py::test_x` and\n\n    ./scripts/none --full tests/scripts\n\nsee scripts/words.py"
    assert named_paths(text) == {("tests/nowhere.py", "test_x"), ("scripts/none", ""), ("tests/scripts", "")}


def test_the_commands_of_the_page_can_be_executed() -> None:
    commands = set(re.findall(r"^ {4}(?:\./)?((?:scripts|\.ci)/[\w-]+)", CONTRIBUTING.read_text(), re.MULTILINE))
    assert {"scripts/setup", "scripts/test", "scripts/check", ".ci/run"} <= commands
    assert [command for command in commands if not (CHECKOUT / command).stat().st_mode & 0o111] == []


def test_the_map_has_the_layers_of_the_import_rules_in_their_order() -> None:
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    (contract,) = [one for one in settings["tool"]["importlinter"]["contracts"] if one.get("containers") == ["dagbook"]]
    layers = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    text = CONTRIBUTING.read_text()
    shown = text[text.index("```\n") + 4 :].splitlines()
    lines = [re.match(r"[a-z_]+(?: \| [a-z_]+)*", line) for line in shown[: shown.index("")]]
    assert [re.findall(r"\w+", line[0]) for line in lines if line] == layers


@pytest.mark.parametrize("template", [BUG, FEATURE])
def test_a_template_of_issues_has_the_header_that_forges_read(template: str) -> None:
    _, head, body = (CHECKOUT / template).read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields.keys() == {"name", "about", "title", "labels"}
    assert all(fields[name] for name in ("name", "about", "labels"))
    assert body.strip()


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        (BUG, ["dagbook version", "dagbook doctor --json", "without secrets", "log"]),
        (FEATURE, ["dagbook version", "dagbook doctor --json"]),
        (PULL_REQUEST, ["dagbook version", "dagbook doctor --json", "without secrets", "log", "CONTRIBUTING.md"]),
    ],
)
def test_a_template_asks_for_diagnostics_and_names_existing_commands(template: str, asked: list[str]) -> None:
    text = (CHECKOUT / template).read_text(encoding="utf-8")
    assert [words for words in asked if words not in text] == []
    assert set(re.findall(r"\bdagbook ([a-z]+)", text)) <= set(COMMANDS)
