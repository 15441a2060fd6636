#!/usr/bin/env python3
"""Measure the package against the limits of its size, and fail when one is exceeded.

    scripts/measure.py [FOLDER]      default: app

Limits only fall. A new capability raises one in its own commit, with a comment beside it that says why. How many files
a start, the end of a step and a list of DAGs pass is measured by scripts/measuring/paths.py.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Limit(NamedTuple):
    """The most that there may be of something, and the goal that the limit is to reach."""

    most: int
    goal: int


LIMITS = {
    # Files, without __init__.py.
    # 4 for crontabs (their times, their lines, the command) and for dagbook mail-sink; 7 for summaries and details of
    # steps (file, Markdown, what ran; repository, schema, presenter, controller); 3 for the session and the frame in
    # the document of a page and for compressed responses; 2 for rights of rows and for approvals;
    # 1 for lines of both streams as one.
    # 4 for the search by names, ids and values, and in what recent runs wrote (repository, search, schema, controller).
    # 1 for cron expressions in words, which the scripts of the pages had.
    # 4 for the overview (repository, schema, presenter, controller).
    # 26 for alerts: 13 of the package (4 of them pure), 7 of the database (models, 5 repositories, the events in the
    # commit of an end), 3 controllers, schemas, presenter, commands. 1 for the formats of chats and services.
    # 2 for the upkeep of alerts (rows after a restore and retention, checks of the doctor).
    # 4 for durable mails (notices, content, rows, tries).
    # 2 for channels and rules of the settings (how they are written, and how they are applied).
    # 4 for what no event tells: its decisions, its loop, its queries, heartbeats.
    # 13 for triggers: 5 of the package (2 of them pure), its requests, 3 of the database, 2 controllers, schemas,
    # presenter, commands: 14, and one that there was room for.
    # 1 for what users do with events of triggers (trials, replays, discards), 1 for the alerts about them, 1 for their
    # upkeep (a restore, retention), 1 for checks of the doctor.
    # 2 for webhooks of Dagu (their tokens and requests, their import).
    # 2 for triggers that follow a DAG (events in the commit of an end, what they consist of).
    # 10 for looks: the comparison and the options (pure), three kinds and what asks them, the watch of directories, the
    # loop, what it makes, its rows.
    # 3 for the pause of everything (use cases, controller, commands).
    # 2 for commands that print secrets (the setting, their execution).
    # 3 for the last outputs and for queries as checks.
    # 5 for steps of SQL (options, statements, rows, two engines).
    # 4 for keys that can be rotated (rows, their encryption with another key, controller, command).
    # 1 for Vault.
    # 12 for batches: 5 of the package (2 of them pure, and its requests), the models, 4 of the database (one for the
    # starts of a DAG), schemas, the controller, commands.
    # 7 for traces (addresses, ids and OTLP: pure; their rows, spans, sending, and requests that alerts share).
    # 1 for checks of batches by the doctor.
    # 5 for recalls and bulk actions (which runs a filter selects, which were replaced, texts of filters, what makes no
    # new run, commands).
    "modules": Limit(611, goal=400),
    "modules in a package": Limit(15, goal=15),
    # + 44: the difference of a text that is not saved; + 801: crontabs, dagbook mail-sink, events in words; + 1,100:
    # summaries and details of steps; + 281: the session and the frame in a document, compressed responses; + 151:
    # causes in lists, DAGs by status, figures of the service; + 560: what waits in lists, approvals and decisions,
    # rights of rows, durations; + 632: lines of both streams as one, output with sub-runs; + 17: their chunks by range;
    # + 23: an inline run keeps its folder until the commands of its mails have run; + 802: search by names, ids and
    # values, and in what recent runs wrote; + 129: cron expressions in words; + 6: how tries of steps ended; + 799:
    # the overview of all DAGs; + 40: DAGs by a latest run that waits, such runs in the overview, names without runs;
    # + 4,415: alerts (the package 1,927, models and repositories 1,161, API 684, commands 460, the ends of runs);
    # + 233: Discord, Teams, Telegram, ntfy and PagerDuty, and the types of channels as a table.
    # + 360: their restore, doctor, retention and monitoring, and the rights of a worker's role.
    # + 290: mails of definitions that are stored and sent until they are accepted.
    # + 101: what a caller may do with alerts and rules, mails of a DAG, the event and the message of a failing channel.
    # + 31: receipts that are kept through an outage, messages that are left to who may be sending them, ends that are
    # dropped when the alert goes on, and that are due by the clock of the database.
    # + 450: channels and rules of the settings.
    # + 901: alerts about what no event tells (decisions 225, loop 215, queries 240, limits of kinds, missed starts);
    # + 279: heartbeats, and the type ping.
    # + 2,562: triggers (the package 1,180, models and repositories 510, API 510, commands 236, variables of runs).
    # + 458: trials, replays and discards of events, and their bodies (API 160, the package 170, commands 90).
    # + 53: alerts about events that are dead.
    # + 104: how long events and their bodies are kept, and what of them waits in a backup.
    # + 86: events of triggers in the doctor and in the metrics.
    # + 40: their pages, and the event that a run names.
    # + 368: webhooks of Dagu that keep token and address (tokens and requests 160, import 190).
    # + 11: how many events of a trigger may start, counted once a second.
    # + 326: triggers that follow a DAG (the package 115, models and repositories 135, API and commands 75).
    # + 1,450: triggers that look at files, SFTP and HTTP (the package 1,080, rows 220, commands 90, service 50).
    # + 943: the pause of everything, reasons and ends of paused queues and suspended DAGs (rows 190, commands 260, API
    # 210, schedules 110, admission 100, use cases 120).
    # + 296: commands as providers of secrets.
    # + 494: the last outputs (evaluation, retention, the line of a run), queries of report views as checks.
    # + 681: steps of SQL (statements and values 145, rows 90, PostgreSQL 245, SQLite 90, the format 45).
    # + 380: keys that can be rotated (encryption 140, rows 125, API, doctor and command 115).
    # + 71: which attempt had which secret.
    # + 298: secrets of Vault (the client 245, settings 40).
    # + 53: the starts that a pause has skipped, by DAG.
    # + 2,208: the scheduled time of a run (60), batches and backfill (the package 790, models and repositories 600, API
    # 390, commands 225, hooks in the recorder, starts and schedules 135).
    # + 805: traces (addresses, ids and OTLP 230, rows and spans 240, sending 140, contexts of runs and requests 190).
    # + 198: batches in dagbook why (60), the doctor (30), the live feed (25), of a run (25), their retention (35).
    # + 1,135: recalls and bulk actions (requests and plans 270, selection and replacements 270, what makes no new run
    # 190, API 130, commands 200, starts from other runs 40, filters of lists 30), and single runs of them (15).
    "lines": Limit(101_032, goal=67_000),
    "lines of a function": Limit(60, goal=60),  # without its docstring
    "lines of a function, nine of ten": Limit(30, goal=30),
    "lines of a file": Limit(500, goal=500),
    "modules with two subjects": Limit(24, goal=24),  # a constant of the module behind its first class or function
    "short helpers": Limit(50, goal=50),  # private, at most SHORT_HELPER lines, one caller
    "type: ignore": Limit(7, goal=7),
    "type: ignore without a reason": Limit(0, goal=0),
    "uses of Any": Limit(97, goal=97),
    "rows read by name": Limit(0, goal=0),
    "files that a start passes": Limit(71, goal=58),  # + what an execution ran, compression, rights, batches, traces
    "files that the end of a step passes": Limit(36, goal=30),  # + the removal of a run's folder as its account
    "files that a list of DAGs passes": Limit(23, goal=19),  # + compressed responses, rights of rows
}
SHORT_HELPER = 4
SOURCE = "app"
# Where rows come from. Outside of it they have types; a module that does not import it has no rows.
ROWS = ("dagbook", "db")
# Mappings with keys of the same names that are no rows: those of ASGI and of the framework, and of the settings.
NOT_ROWS = {"scope", "params", "parameters", "origins"}
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*$")
_TYPE_VARIABLES = {"TypeVar", "ParamSpec", "TypeVarTuple"}
_IGNORE = re.compile(r"#\s*type:\s*ignore(?:\[[^]]*\])?(?P<reason>.*)")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Found(NamedTuple):
    """One thing that was looked for, or how long one is, and its place."""

    place: str
    lines: int = 1


class Module:
    """A parsed module, and what is measured of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self._nodes = [*ast.walk(self.tree)]

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Found]:
        """Measure every function, those inside others too, without its docstring."""
        for node in self._functions():
            yield self._found(node, f" {node.name}", _length(node))

    def short_helpers(self) -> Iterator[Found]:
        """Find the private functions of few lines that are named once beside their definition."""
        named = (getattr(node, "id", None) or getattr(node, "attr", None) for node in self._nodes)
        uses = Counter(name for name in named if isinstance(name, str))
        for node in self._functions():
            if re.match(r"_(?!_)", node.name) and _length(node) <= SHORT_HELPER and uses[node.name] == 1:
                yield self._found(node, f" {node.name}", _length(node))

    def late_constants(self) -> Iterator[Found]:
        """Find the constants of the module behind its first class or function: the sign of a second subject."""
        behind = False
        for node in self.tree.body:
            if isinstance(node, _DEFINITIONS):
                behind = True
            elif behind and isinstance(node, ast.Assign | ast.AnnAssign) and not _makes_type_variable(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
                yield from (self._found(node, f" {name}") for name in names if _CONSTANT.match(name))

    def ignores(self) -> Iterator[tuple[Found, bool]]:
        """Find the comments that switch mypy off, each with whether a reason follows."""
        if "type: ignore" not in self.text:
            return
        with self.path.open("rb") as file:
            comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        for comment in comments:
            match = _IGNORE.match(comment.string)
            if match:
                reason = re.sub(r"#|noqa:\s*[A-Z0-9, ]+", "", match["reason"]).strip(" -")
                yield Found(f"{self.path}:{comment.start[0]}"), bool(reason)

    def uses_of_any(self) -> Iterator[Found]:
        """Find the name Any, where it is imported as well; not in texts and comments."""
        for node in self._nodes:
            if (isinstance(node, ast.Name) and node.id == "Any") or (
                isinstance(node, ast.ImportFrom) and "Any" in [alias.name for alias in node.names]
            ):
                yield self._found(node)

    def subscripts(self, columns: frozenset[str]) -> Iterator[Found]:
        """Find the values that are read by the name of a column, as in ``row["status"]``.

        Only in modules that import ``db``, and unless the mapping is one of ``NOT_ROWS``. A name in a variable, and a
        mapping that is passed on whole, are not found.
        """
        if not any(_imports_rows(node) for node in self._nodes):
            return
        for node in self._nodes:
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value in columns:
                mapping = ast.unparse(node.value)
                if mapping.rpartition(".")[2] not in NOT_ROWS:
                    yield self._found(node, f" {ast.unparse(node)}")

    def columns(self) -> Iterator[str]:
        """Return the names of the columns of mapped classes."""
        for node in self._nodes:
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and ast.unparse(node.annotation).startswith("Mapped[")
            ):
                yield node.target.id

    def _functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in self._nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def _found(self, node: ast.stmt | ast.expr, what: str = "", lines: int = 1) -> Found:
        return Found(f"{self.path}:{node.lineno}{what}", lines)


class Report:
    """Prints what was measured beside its limit, and knows whether all limits were kept."""

    def __init__(self) -> None:
        self.kept = True

    def add(self, what: str, number: int, limit: Limit, found: Iterable[Found] = ()) -> None:
        """Print a number, and each place when the limit is exceeded."""
        goal = "" if limit.most == limit.goal else f", goal {limit.goal:,}"
        print(f"{what}: {number:,} (limit {limit.most:,}{goal})")
        if number > limit.most:
            self.kept = False
            print(f"  {what}: more than {limit.most:,}")
            for one in found:
                print(f"    {one.place}")

    def count(self, what: str, found: Sequence[Found]) -> None:
        """Print how many there are."""
        self.add(what, len(found), LIMITS[what], found)

    def longest(self, what: str, found: Sequence[Found]) -> None:
        """Print the longest, and name all that are longer than the limit."""
        limit = LIMITS[what]
        too_long = [Found(f"{one.place}: {one.lines}") for one in found if one.lines > limit.most]
        self.add(what, max(one.lines for one in found), limit, too_long)


def measure(folder: Path) -> bool:
    """Print all measures of a folder; tells whether all limits are kept."""
    modules = [Module(path) for path in sorted(folder.rglob("*.py"))]
    functions = sorted(found for module in modules for found in module.functions())
    if not functions:
        print(f"no functions in {folder}")
        return False
    report = Report()
    own = [module for module in modules if module.path.name != "__init__.py"]
    report.add("modules", len(own), LIMITS["modules"])
    report.add("lines", sum(module.line_count for module in modules), LIMITS["lines"])
    widths = Counter(str(module.path.parent) for module in own)
    report.longest("modules in a package", [Found(*one) for one in widths.items()])
    report.longest("lines of a function", functions)
    lengths = sorted(found.lines for found in functions)
    nine_of_ten = "lines of a function, nine of ten"
    report.add(nine_of_ten, lengths[int(0.9 * len(lengths))], LIMITS[nine_of_ten])
    report.longest("lines of a file", [Found(str(module.path), module.line_count) for module in modules])
    two = [found[0] for module in modules if (found := [*module.late_constants()])]
    report.count("modules with two subjects", two)
    report.count("short helpers", [found for module in modules for found in module.short_helpers()])
    ignores = [ignore for module in modules for ignore in module.ignores()]
    report.count("type: ignore", [found for found, _ in ignores])
    report.count("type: ignore without a reason", [found for found, has_reason in ignores if not has_reason])
    report.count("uses of Any", [found for module in modules for found in module.uses_of_any()])
    models = [module for module in modules if "models" in module.path.parts]
    columns = frozenset(name for module in models for name in module.columns())
    outside = [module for module in modules if "/".join(ROWS) not in module.path.as_posix()]
    report.count("rows read by name", [found for module in outside for found in module.subscripts(columns)])
    return report.kept


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return lines
    return lines - ((node.body[0].end_lineno or 0) - node.body[0].lineno + 1)


def _makes_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in _TYPE_VARIABLES


def _imports_rows(node: ast.AST) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return any(tuple(name.split(".")[:2]) == ROWS for name in names)


if __name__ == "__main__":
    sys.exit(0 if measure(Path(*sys.argv[1:2] or [SOURCE])) else 1)
