#!/usr/bin/env python3
"""Check without a registry that every declared dependency is locked, and to a version within its range."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)[^\n]*\\\n    --hash=", re.MULTILINE)
_ENTRY = re.compile(r"^[A-Za-z]", re.MULTILINE)


def find_problems(folder: Path) -> Iterator[str]:
    """Yield a message for each dependency that a lock of a checkout lacks or has in a version outside of its range."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    dev = extras["dev"]
    optional = [text for extra, texts in extras.items() if extra not in ("all", "dev") for text in texts]
    runtime = [*project["project"]["dependencies"], *optional]
    runtime_pins = _read_pins(folder / "requirements/runtime.txt")
    yield from _unmet("requirements/runtime.txt", runtime, runtime_pins)
    dev_pins = _read_pins(folder / "requirements/dev.txt")
    yield from _unmet("requirements/dev.txt", [*runtime, *dev], dev_pins)
    for name, version in runtime_pins.items():
        if dev_pins.get(name) != version:
            yield f"requirements/dev.txt: {name} is not locked to {version} as in requirements/runtime.txt"
    build_pins = _read_pins(folder / "requirements/build.txt")
    yield from _unmet("requirements/build.txt", project["build-system"]["requires"], build_pins)
    for name in ("requirements/release", "requirements/docs"):
        tools = (folder / f"{name}.in").read_text(encoding="utf-8").splitlines()
        wanted = [line for line in tools if line and not line.startswith("#")]
        yield from _unmet(f"{name}.txt", wanted, _read_pins(folder / f"{name}.txt"))


def _read_pins(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    pins = {str(canonicalize_name(name)): version for name, version in _PIN.findall(text)}
    if len(_ENTRY.findall(text)) != len(pins):
        sys.exit(f"{path.name}: an entry is not pinned to one version with hashes; run scripts/lock")
    return pins


def _unmet(lock: str, wanted: Iterable[str], pins: dict[str, str]) -> Iterator[str]:
    for requirement in map(Requirement, wanted):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{lock}: {requirement.name} is missing"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{lock}: {requirement.name} {version} does not fit {requirement.specifier}"


if __name__ == "__main__":
    problems = list(find_problems(Path(*sys.argv[1:2] or ["."])))
    sys.exit("\n".join([*problems, "run scripts/lock"]) if problems else 0)
