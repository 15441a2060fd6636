"""The bill of materials of a release lists what the locks have, with hashes and who asks for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def print_document(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "sbom.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(print_document("9.8.7", "2030-01-31T12:00:00Z"))
    return found


def test_every_locked_package_is_a_component_with_all_its_hashes(document: dict[str, Any]) -> None:
    lock = (ROOT / "requirements/runtime.txt").read_text()
    locked = {f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.]+)", lock)}
    components = {part["purl"]: part for part in document["components"] if part["purl"].startswith("pkg:pypi/")}
    assert components.keys() == locked
    hashes = [one for part in components.values() for file in part["externalReferences"] for one in file["hashes"]]
    assert sorted(one["content"] for one in hashes) == sorted(re.findall(r"--hash=sha256:(\w+)", lock))
    assert {one["alg"] for one in hashes} == {"SHA-256"}


def test_the_libraries_of_the_web_ui_are_there_and_its_tools_are_not(document: dict[str, Any]) -> None:
    lock = json.loads((ROOT / "scripts" / "libraries" / "package-lock.json").read_text())
    asked = lock["packages"][""]
    names = {part["name"] for part in document["components"] if part["purl"].startswith("pkg:npm/")}
    assert asked["dependencies"].keys() <= names
    assert not asked["devDependencies"].keys() & names


def test_the_graph_starts_at_the_release_and_reaches_every_component(document: dict[str, Any]) -> None:
    needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    root = document["metadata"]["component"]
    assert (root["name"], root["version"]) == ("dagbook", "9.8.7")
    reached, waiting = set(), [root["bom-ref"]]
    while waiting:
        ref = waiting.pop()
        if ref not in reached:
            reached.add(ref)
            waiting.extend(needs[ref])
    assert reached == {root["bom-ref"], *(part["bom-ref"] for part in document["components"])}


def test_the_same_locks_make_the_same_document() -> None:
    first, second, later = (print_document(*given) for given in (["1.0"], ["1.0"], ["1.1"]))
    assert first == second
    assert json.loads(first)["serialNumber"] != json.loads(later)["serialNumber"]
