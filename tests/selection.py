"""The tests of a run, and how long they take.

`scripts/test` without the name of a test is quick: it has the tests that the changes since the last full run reach
(`tests/changes.py`) and those with the mark ``always``. Whatever is named runs whole. Only `scripts/test --full` runs
the tests with the mark ``full``, those that are not about SQL on both engines, and all payloads of attacks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from textwrap import fill
from typing import Any, NamedTuple, TypeVar

import hypothesis
import pytest

from tests.changes import BUDGET, Selection, read_seconds, select, write_base

T = TypeVar("T")
# Fixtures that are made once for each engine.
_ENGINE_FIXTURES = ("copies", "make_url")
# Directories whose subject is SQL.
_BOTH_ENGINES = ("tests/db/", "tests/runs/", "tests/maintenance/")
# Of the payloads of an attack on a field a quick run sends one in so many.
_PAYLOADS = 16
# Of a test that a quick run leaves out, and of one that it always has.
_FULL, _ALWAYS = "full", "always"
_SELECTION = pytest.StashKey[Selection]()
_ARGUMENTS = "selected"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every case on both engines, and the long experiments")
    parser.addoption("--record", action="store_true", help="with --full: if all pass, make this commit the base")
    parser.addoption("--shuffle", metavar="SEED", help="run the tests in an order that the seed chooses")


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "both_engines: SQL is the subject, so a quick run takes SQLite and PostgreSQL",
        "always: a quick run has it, whatever has changed",
        "full: a quick run leaves it out",
    ):
        config.addinivalue_line("markers", line)
    full = config.getoption("full")
    # Examples have no deadline: on a busy machine any of them may be paused for a second.
    hypothesis.settings.register_profile("dagbook", deadline=None, derandomize=not full)
    hypothesis.settings.load_profile("dagbook")
    if hasattr(config, "workerinput"):
        config.args[:] = config.workerinput.get(_ARGUMENTS, config.args)
        return
    config.pluginmanager.register(Durations(config), "durations")
    if not (full or _is_narrowed(config)):
        selection = config.stash[_SELECTION] = select()
        if not selection.arguments:
            raise pytest.UsageError("a quick run without a test: none has the mark `always`")
        config.args[:] = selection.arguments


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist what was selected: else it would collect what the command line says."""
    if _SELECTION in node.config.stash:
        node.workerinput[_ARGUMENTS] = list(node.config.args)


def _is_narrowed(config: pytest.Config) -> bool:
    """Whether tests are named, or chosen by a word or a mark."""
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return named or bool(config.option.keyword or config.option.markexpr)


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("full"):
        return "selection: full run"
    selection = config.stash.get(_SELECTION, None)
    if selection is None:
        return "selection: quick form of what is named"
    counts = f"{len(selection.modules)} modules, {len(selection.scenes)} fixed scenes"
    left_out = f"; {len(selection.left_out)} modules are left out" if selection.left_out else ""
    return f"selection: {selection.reason}: {counts}{left_out}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    selection = config.stash.get(_SELECTION, None)
    if selection is not None and selection.left_out:
        terminalreporter.section(f"left out, for more than {BUDGET} seconds: scripts/test --full, or name them")
        names: dict[str, list[str]] = defaultdict(list)
        for file in selection.left_out:
            folder, _, name = file.rpartition("/")
            names[folder].append(name.removeprefix("test_").removesuffix(".py"))
        for folder, files in names.items():
            terminalreporter.write_line(fill(f"{folder}: {' '.join(files)}", 120, subsequent_indent="  "))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed, seconds = config.getoption("shuffle"), read_seconds()
    if seed is not None:
        items.sort(key=lambda item: sha256(f"{seed} {item.nodeid}".encode()).digest())
    else:
        # Files go to the workers in this order: long ones first, so that all workers end at about the same time.
        items.sort(key=lambda item: -seconds.get(item.nodeid.partition("::")[0], 0))
    for item in items:
        item.user_properties += [(_FULL, not _is_quick(item)), (_ALWAYS, _ALWAYS in item.keywords)]
    if not config.getoption("full"):
        left_out = [item for item in items if not _is_quick(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_quick(item: pytest.Item) -> bool:
    if item.get_closest_marker(_FULL):
        return False
    return _engine_of(item) in (None, "sqlite") or _is_about_sql(item)


def _engine_of(item: pytest.Item) -> str | None:
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return next((str(parameters[name]) for name in _ENGINE_FIXTURES if name in parameters), None)


def _is_about_sql(item: pytest.Item) -> bool:
    names_its_engine = any(marker.args[0] in _ENGINE_FIXTURES for marker in item.iter_markers("parametrize"))
    return names_its_engine or item.nodeid.startswith(_BOTH_ENGINES) or "both_engines" in item.keywords


class Share(NamedTuple):
    """Which of many payloads a run sends: in a quick run one in ``size``."""

    size: int

    def smaller(self, times: int) -> Share:
        """Return a share that is so many times smaller."""
        return Share(self.size * times)

    def of(self, payloads: Sequence[T], number: int = 0) -> Sequence[T]:
        """Return a share of payloads, each ``number`` another one."""
        return payloads[number % self.size :: self.size]


@pytest.fixture(scope="session")
def share(pytestconfig: pytest.Config) -> Share:
    """All payloads in a full run, a part in a quick one."""
    return Share(1 if pytestconfig.getoption("full") else _PAYLOADS)


class Durations:
    """Adds up how long the tests of each directory take, and for the next quick runs each module and fixed scene."""

    def __init__(self, config: pytest.Config) -> None:
        self._records = config.getoption("record") and config.getoption("full")
        self._directories: dict[str, float] = defaultdict(float)
        self._quick: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file, _, test = report.nodeid.partition("::")
        self._directories[file.split("/")[1]] += report.duration
        properties = dict(report.user_properties)
        if not properties.get(_FULL):
            self._quick[file] += report.duration
            if properties.get(_ALWAYS):
                self._quick[f"{file}::{test.partition('[')[0]}"] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        terminalreporter.section("seconds of all workers by directory")
        for name, seconds in sorted(self._directories.items()):
            terminalreporter.write_line(f"tests/{name:12} {seconds:6.0f}")
        if self._records:
            done = write_base(self._quick) if exitstatus == pytest.ExitCode.OK else "the base stays: not all passed"
            terminalreporter.write_line(done)
