"""The tests of a quick run, and a time budget for each directory.

`scripts/test` is quick: it runs a part of the engines, of large tables of cases, and of modules that start servers. A
seed chooses them, `DAGBOOK_TEST_SEED`, which `scripts/test` sets to the commit. A test that is named with its case, as
in `tests/x.py::test_y[case]`, always runs. `scripts/test --full` runs everything.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeVar

import pytest

T = TypeVar("T")
# Fixtures that are made once for each engine.
_ENGINE_FIXTURES = ("copies", "make_url")
# Files go to the workers in this order: long ones first, so that all workers end at about the same time.
_ORDER = ("chaos", "process", "web", "app", "executors", "db", "maintenance", "scripts", "contract", "runs", "pure")
# Directories whose subject is SQL.
_BOTH_ENGINES = ("tests/db/", "tests/runs/", "tests/maintenance/")


class Sample(NamedTuple):
    """How many of the cases of each test, or of the tests of each module, a quick run takes."""

    size: int
    of: str = "test"


# Modules of tests/app whose tests start commands and servers in processes of their own.
_COMMANDS = """
    cli_audit cli_backup cli_complete cli_dag cli_exec cli_export cli_import_url cli_login cli_people
    cli_postgres cli_queue cli_restart cli_retry cli_rights cli_run cli_runs cli_serve cli_source cli_status
    cli_stop cli_stored cli_together cli_validate cli_views cli_worker file_modes queue_notifier
    terminal throttled_logins tls
"""
_MIGRATIONS = "login_failures migrations released revision ssh_host_keys"
# By the beginning of a node id, the first that matches; the mark `sample` takes precedence.
SAMPLES = {
    "tests/process/test_recovery.py": Sample(100, "module"),  # one scene for all cases
    "tests/process/test_wheel.py": Sample(100, "module"),
    "tests/process/": Sample(1, "module"),
    "tests/chaos/test_experiments.py": Sample(1, "module"),
    "tests/app/test_cli_import.py": Sample(3, "module"),
    "tests/app/test_exhaustion.py": Sample(6, "module"),
    **{f"tests/app/test_{name}.py": Sample(1, "module") for name in _COMMANDS.split()},
    "tests/app/": Sample(1),
    # Modules whose tests migrate databases of their own; those about both engines have a mark.
    **{f"tests/db/test_{name}.py": Sample(1) for name in _MIGRATIONS.split()},
    "tests/db/test_audit_": Sample(2),
    "tests/db/test_check.py": Sample(2),
    "tests/db/test_plans.py": Sample(8),
    "tests/executors/test_archive_damage.py": Sample(1),
    "tests/maintenance/test_backup.py": Sample(1),
    "tests/maintenance/test_doctor.py": Sample(12),
    "tests/maintenance/test_retention.py": Sample(1),
    "tests/runs/test_spool_masking.py": Sample(1),
    "tests/scripts/test_environment.py": Sample(4, "module"),
    "tests/scripts/test_seed_history.py": Sample(2, "module"),
    "tests/web/": Sample(1, "module"),
}
# The number of modules that a quick run takes of a directory whose modules start servers of their own.
MODULES = {"tests/process/": 20}
# Seconds of all workers together for each directory: together at most 2,400, eight minutes of five workers on two idle
# cores. A run prints the seconds that it took beside them; more is no failure.
BUDGETS = {
    "app": 720,
    "chaos": 120,
    "contract": 5,
    "db": 240,
    "executors": 90,
    "process": 380,
    "pure": 120,
    "runs": 80,
    "scripts": 80,
    "maintenance": 80,
    "web": 240,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every case on both engines, and the long experiments")
    parser.addoption("--shuffle", action="store_true", help="run the tests in an order that the seed chooses")


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "both_engines: SQL is the subject, so a quick run takes SQLite and PostgreSQL",
        "sample(size, of='test'): a quick run takes so many of a test's cases, or of a module's tests, by the seed",
        "full: a quick run leaves it out",
    ):
        config.addinivalue_line("markers", line)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations())


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("full"):
        return "selection: full run"
    return f"selection: quick run, DAGBOOK_TEST_SEED={_seed()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("shuffle"):
        items.sort(key=lambda item: _rank(item.nodeid))
    else:
        items.sort(key=lambda item: _ORDER.index(_directory_of(item.nodeid)))
    if config.getoption("full") or _names_a_case(config):
        return
    chosen = set(_sampled(_in_chosen_modules([item for item in items if _is_quick(item)])))
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def _directory_of(nodeid: str) -> str:
    return nodeid.split("/")[1]


def _names_a_case(config: pytest.Config) -> bool:
    """Whether single cases are named, which then run with every seed."""
    return any("[" in argument for argument in config.args)


def _is_quick(item: pytest.Item) -> bool:
    if item.get_closest_marker("full"):
        return False
    return _engine_of(item) in (None, _usual_engine(item)) or _is_about_sql(item)


def _engine_of(item: pytest.Item) -> str | None:
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return next((str(parameters[name]) for name in _ENGINE_FIXTURES if name in parameters), None)


def _usual_engine(item: pytest.Item) -> str:
    """Return the engine of a test in a quick run: SQLite; for tests of processes one that the seed chooses."""
    if "make_url" not in getattr(item, "fixturenames", ()):
        return "sqlite"
    return "sqlite" if _rank(item.nodeid.partition("::")[0]) % 2 else "postgresql"


def _is_about_sql(item: pytest.Item) -> bool:
    names_its_engine = any(marker.args[0] in _ENGINE_FIXTURES for marker in item.iter_markers("parametrize"))
    return names_its_engine or item.nodeid.startswith(_BOTH_ENGINES) or "both_engines" in item.keywords


def _in_chosen_modules(items: Sequence[pytest.Item]) -> Sequence[pytest.Item]:
    left_out = set[str]()
    for beginning, size in MODULES.items():
        modules = {_module_of(item) for item in items if item.nodeid.startswith(beginning)}
        left_out.update(sorted(modules, key=_rank)[size:])
    return [item for item in items if _module_of(item) not in left_out]


def _module_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _sampled(items: Sequence[pytest.Item]) -> Iterable[pytest.Item]:
    groups: dict[tuple[str, Sample], list[pytest.Item]] = defaultdict(list)
    for item in items:
        sample = _sample_of(item)
        if sample is None:
            yield item
        else:
            groups[item.nodeid.partition("::" if sample.of == "module" else "[")[0], sample].append(item)
    for (_, sample), cases in groups.items():
        yield from sorted(cases, key=lambda case: _rank(case.nodeid))[: sample.size]


def _sample_of(item: pytest.Item) -> Sample | None:
    marker = item.get_closest_marker("sample")
    if marker is not None:
        return Sample(*marker.args, **marker.kwargs)
    return next((sample for beginning, sample in SAMPLES.items() if item.nodeid.startswith(beginning)), None)


def _rank(nodeid: str) -> int:
    return int.from_bytes(sha256(f"{_seed()} {nodeid}".encode()).digest()[:8], "big")


def _seed() -> str:
    return os.environ.get("DAGBOOK_TEST_SEED", "0")


class Share(NamedTuple):
    """Which of many payloads a run sends: in a quick run one in ``size``, beginning with one that the seed chooses."""

    size: int
    first: int

    def smaller(self, times: int) -> Share:
        """Return a share that is so many times smaller."""
        return Share(self.size * times, self.first)

    def of(self, payloads: Sequence[T], number: int = 0) -> Sequence[T]:
        """Return a share of payloads, each ``number`` another one."""
        return payloads[(self.first + number) % self.size :: self.size]


@pytest.fixture(scope="session")
def share(pytestconfig: pytest.Config) -> Share:
    """All payloads in a full run, a sixteenth in a quick one."""
    size = 1 if pytestconfig.getoption("full") else 16
    return Share(size, _rank("payloads") % size)


class Durations:
    """Adds up how long the tests of each directory take."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[_directory_of(report.nodeid)] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        terminalreporter.section("seconds of all workers by directory")
        for name, seconds in sorted(self._seconds.items()):
            budget = "" if config.getoption("full") else f" of {BUDGETS.get(name, 0)}"
            terminalreporter.write_line(f"tests/{name:10} {seconds:6.0f}{budget}")
