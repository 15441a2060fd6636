from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]


def read_tools(name: str) -> list[str]:
    return [line for line in (CHECKOUT / name).read_text().splitlines() if line and not line.startswith("#")]


SECTIONS = {
    "Runtime": PROJECT["project"]["dependencies"],
    "Optional": [text for extra, texts in sorted(EXTRAS.items()) if extra not in ("all", "dev") for text in texts],
    "Development": EXTRAS["dev"],
    "Build": PROJECT["build-system"]["requires"],
    "Release": read_tools("requirements/release.in"),
    "Documentation": read_tools("requirements/docs.in"),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_dependency_has_its_reason_and_every_reason_its_dependency(section: str) -> None:
    page = (CHECKOUT / "docs" / "explanation" / "dependencies.md").read_text()
    [part] = [part for part in page.split("\n## ") if part.startswith(f"{section}\n")]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")]
    assert rows[1:] == [Requirement(text).name for text in SECTIONS[section]]


def test_the_extra_all_names_every_other_extra() -> None:
    [everything] = EXTRAS["all"]
    assert Requirement(everything).extras == EXTRAS.keys() - {"all", "dev"}
