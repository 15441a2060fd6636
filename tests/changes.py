"""Which tests the changes since a commit reach, and which of them a quick run has time for.

The commit is named in ``tests/base_commit``: the last one of which ``scripts/test --full`` passed. So a tree has the
same quick run wherever and whenever it is tested.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).parent.parent
BASE = ROOT / "tests" / "base_commit"
SECONDS = ROOT / "tests" / "durations.json"
# Seconds of all workers together: five minutes of five workers on two idle cores; eight on the slowest of machines.
BUDGET = 1_000
# A test module of which nothing has been measured yet.
_UNKNOWN_SECONDS = 20.0
# Directories of tests from the level that is tried first; of equals, the earlier one is served first.
LEVELS = ("pure", "runs", "contract", "executors", "db", "maintenance", "app", "scripts", "process", "web", "chaos")
# Their tests start the program, so that any change of it reaches them.
_PROGRAM_LEVELS = ("process", "web", "chaos")
_PROGRAM = ("app/", "migrations/")
# What is beside these in the repository, such as pages and scripts, is the subject of one level.
_CODE = (*_PROGRAM, "tests/")
# What no import leads to, by the beginning of a path: the levels whose tests are about it.
_SUBJECTS = {
    "migrations/": ("db",),
    "app/dagbook/web/static/": ("web",),
    "requirements/": LEVELS,
    "pyproject.toml": LEVELS,
}
_TEST = re.compile(r"tests\.(?P<level>\w+)\.(?:\w+\.)*(?P<name>test_\w+)")
_ALWAYS = "pytest.mark.always"


class Selection(NamedTuple):
    """The tests of a quick run: whole modules, scenes that always run, and the modules for which there is no time."""

    modules: Sequence[str]
    scenes: Sequence[str]
    left_out: Sequence[str]
    reason: str

    @property
    def arguments(self) -> list[str]:
        """Return what pytest is asked to run."""
        whole = set(self.modules)
        return [*self.modules, *(scene for scene in self.scenes if scene.partition("::")[0] not in whole)]


def select() -> Selection:
    """Select the tests of this checkout."""
    scenes = list_scenes(ROOT / "tests")
    base = BASE.read_text(encoding="utf-8").strip()
    changed = list_changed_files(base)
    if changed is None:
        return Selection([], scenes, [], f"commit {base[:10]} is not in the history here: the fixed scenes alone")
    seconds = read_seconds()
    budget = BUDGET - sum(seconds.get(scene, _UNKNOWN_SECONDS) for scene in scenes)
    reached = find_reached_tests(import_graph(), changed)
    modules, left_out = cut(reached, seconds, budget)
    return Selection(modules, scenes, left_out, f"{len(changed)} files have changed since {base[:10]}")


def list_changed_files(base: str) -> list[str] | None:
    """List the files that differ from a commit, or are new; None if the commit is unknown here."""
    if _git("cat-file", "-e", f"{base}^{{commit}}") is None:
        return None
    changed = _git("diff", "--name-only", "--no-renames", base) or []
    new = _git("ls-files", "--others", "--exclude-standard") or []
    return sorted({*changed, *new} - {str(file.relative_to(ROOT)) for file in (BASE, SECONDS)})


def read_seconds() -> dict[str, float]:
    """Read how long each test module and each scene takes, as ``scripts/test --full --record`` has measured it."""
    seconds: dict[str, float] = json.loads(SECONDS.read_text(encoding="utf-8"))
    return seconds


def import_graph() -> dict[str, set[str]]:
    """Return the modules that import each module of the package and of the tests, directly."""
    graph = grimp.build_graph("dagbook", "tests", cache_dir=None)
    importers = {module: set(graph.find_modules_that_directly_import(module)) for module in graph.modules}
    for module, found in importers.items():
        if module.startswith("dagbook.cli."):
            found.add("dagbook.cli")  # it names the modules of its commands, and imports one when it is run
        folder, _, name = module.rpartition(".")
        if name == "conftest":
            found.update(test for test in importers if _TEST.fullmatch(test) and test.startswith(f"{folder}."))
    importers["tests.selection"].add("tests.conftest")  # which names it as a plugin
    return importers


def find_reached_tests(importers: Mapping[str, Iterable[str]], changed: Sequence[str]) -> dict[str, int]:
    """Return the test modules that changed files reach, each with the number of imports between.

    What a test is named after is as near as what it imports: ``test_cli_queue`` and ``test_queue`` are about
    ``cli.runs.queue``, which a test of the command line starts by its name.
    """
    modules = {module for file in changed for module in _modules_of(file, importers)}
    distances = _walk(importers, modules)
    levels = {level for file in changed for level in _levels_of(file)}
    namesakes = {"_".join(["test", *module.split(".")[-words:]]) for module in modules for words in (1, 2)}
    commands = [module for module in modules if module.startswith("dagbook.cli.")]
    namesakes |= {f"test_cli_{module.rpartition('.')[2]}" for module in commands}
    reached = {}
    for module in sorted(importers):
        match = _TEST.fullmatch(module)
        if match and (module in distances or match["level"] in levels):
            near = match["level"] in levels or match["name"] in namesakes
            distance = distances.get(module, 1)
            reached[f"{module.replace('.', '/')}.py"] = min(distance, 1) if near else distance
    return reached


def cut(reached: Mapping[str, int], seconds: Mapping[str, float], budget: float) -> tuple[Sequence[str], Sequence[str]]:
    """Divide test modules into those that a budget of seconds has room for, and the others.

    The levels share the time: the next module is of the one that has had the least. Within a level the nearest to a
    change comes first, of those the shortest.
    """

    def cost(file: str) -> float:
        return seconds.get(file, _UNKNOWN_SECONDS)

    waiting: dict[str, list[str]] = {level: [] for level in LEVELS}
    for file in sorted(reached, key=lambda file: (reached[file], cost(file), file), reverse=True):
        waiting[file.split("/")[1]].append(file)
    chosen, left_out = list[str](), list[str]()
    spent: dict[str, float] = dict.fromkeys(LEVELS, 0.0)
    while any(waiting.values()):
        level = min(
            (level for level in LEVELS if waiting[level]), key=lambda level: (spent[level], LEVELS.index(level))
        )
        file = waiting[level].pop()
        if sum(spent.values()) + cost(file) > budget:
            left_out.append(file)
        else:
            chosen.append(file)
            spent[level] += cost(file)
    return sorted(chosen), sorted(left_out)


def list_scenes(folder: Path) -> list[str]:
    """List the tests with the mark ``always``, and the modules whose ``pytestmark`` has it."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if _ALWAYS in text:
            place = str(path.relative_to(folder.parent))
            found += [f"{place}{name}" for name in _marked(ast.parse(text))]
    return found


def _marked(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks, name = map(ast.unparse, node.decorator_list), f"::{node.name}"
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks, name = map(ast.unparse, getattr(node.value, "elts", [node.value])), ""
        else:
            continue
        if _ALWAYS in marks:
            yield name


def _walk(importers: Mapping[str, Iterable[str]], modules: set[str]) -> dict[str, int]:
    """Return all modules from which imports lead to one of the given ones, with the shortest number of them."""
    distances: dict[str, int] = {}
    number = 0
    while modules:
        distances |= dict.fromkeys(modules, number)
        modules = {importer for module in modules for importer in importers[module]} - distances.keys()
        number += 1
    return distances


def _modules_of(file: str, importers: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Return the module that a file is; for data of the package the modules beside it, of which one reads it."""
    name = file.removeprefix("app/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if file.endswith(".py"):
        yield from {name} & importers.keys()
    elif file.startswith("app/"):
        while name := name.rpartition(".")[0]:
            if name in importers:
                yield from (module for module in importers if name in (module, module.rpartition(".")[0]))
                return


def _levels_of(file: str) -> Iterator[str]:
    """Return the levels that a file concerns as a whole."""
    if file.startswith(_PROGRAM):
        yield from _PROGRAM_LEVELS
    if not file.startswith(_CODE):
        yield "scripts"
    for beginning, levels in _SUBJECTS.items():
        if file.startswith(beginning):
            yield from levels
    match = re.match(r"tests/(\w+)/", file)
    if match and not file.endswith((".py", ".js")):  # data; scripts/check runs the tests of tests/web/js
        yield match[1]


def _git(*words: str) -> list[str] | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.splitlines()


def write_base(seconds: Mapping[str, float]) -> str:
    """Make this commit the base, with what its tests took; returns what was done."""
    text = json.dumps({name: round(value, 1) for name, value in sorted(seconds.items())}, indent=0)
    SECONDS.write_text(text + "\n", encoding="utf-8")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/durations.json")
    if changed != []:
        return "the durations are written; the base is not: files differ from the commit"
    [head] = _git("rev-parse", "HEAD") or [""]
    BASE.write_text(f"{head}\n", encoding="utf-8")
    return f"the base of quick runs is {head[:10]}"
