"""Checking a folder of definition files as a whole: each file, their names, and the calls between them.

The name of a DAG is the path of its file without extension, ``/`` as ``.``. A call is looked up as in a run: a document
of the same file, a file beside the caller, then a file of that name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

import msgspec

from dagbook.spec.calls import is_computed
from dagbook.spec.check import find_cycle, name_error
from dagbook.spec.model import Definition
from dagbook.spec.problem import Problem, quoted
from dagbook.spec.reading.load import BASE, NO_DOCUMENT, Loaded, load
from dagbook.spec.reading.yaml_reader import YamlNode, read_text
from dagbook.spec.shell_references import find_warnings

SUFFIXES = (".yaml", ".yml")
# What is told apart in reports, and in words.
RULES = {
    "file": "The file can be read, and is UTF-8 text of at most 1 MiB.",
    "dialect": "The definition is in the 1.x dialect.",
    "definition": "The definition is valid.",
    "name": "The path gives a valid name of at most 40 characters.",
    "clash": "No other file gives the same name.",
    "call": "Called DAGs exist.",
    "cycle": "No files call each other in a cycle.",
    "warning": "Nothing in the definition is likely to be a mistake.",
}
BASE_PATH = ""
_MAX_CYCLES = 100  # reported; the search goes through all calls for each


class Finding(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong with a file; line and column begin at 1."""

    path: str
    line: int
    column: int
    rule: str
    message: str
    is_warning: bool = False


class _Call(msgspec.Struct, frozen=True):
    """A step that calls a DAG by a name without variables, and where it says so."""

    path: str
    name: str
    line: int
    column: int


class FolderCheck:
    """Checks the files of a folder one by one, then together. Paths are relative to the folder, with slashes.

    ``base`` is the text of the base configuration, whose findings have the path BASE_PATH; ``exists`` tells whether
    there is a file that is not one of these definitions.
    """

    def __init__(self, *, base: str = "", exists: Callable[[str], bool] = lambda _path: False) -> None:
        self._base = base
        self._exists = exists
        self._names: dict[str, str] = {}  # paths by name
        self._calls: list[_Call] = []
        self._inner_names: dict[str, str] = {}
        self._paths: set[str] = set()
        self.findings: list[Finding] = []
        # Each definition would repeat the problems of its base configuration.
        own = load(base)
        for problem in load("", base=base).problems:
            self.report_problem(BASE_PATH, msgspec.structs.replace(problem, dag=""), _rule_of(own))
        self._note_calls(BASE_PATH, base, own)

    def add(self, path: str, text: str | None, fault: str = "") -> Definition | None:
        """Check one file, whose ``text`` is None when it cannot be read because of ``fault``.

        Returns the definition, unless something is wrong with it.
        """
        name = self._check_path(path)
        if text is None:
            self._report(path, "file", fault)
            return None
        loaded = load(text, name=name, base=self._base, base_handlers=False)
        problems = [problem for problem in loaded.problems if problem.dag != BASE]
        for problem in problems:
            self.report_problem(path, problem, _rule_of(loaded))
        if loaded.empty:
            self._report(path, "definition", NO_DOCUMENT)
        self._warn(path, loaded)
        self._note_calls(path, text, loaded)
        return None if problems or loaded.empty else loaded.definition

    def finish(self) -> list[Finding]:
        """Check what the files have to do with each other; returns all findings in the order of files and lines."""
        edges: dict[str, dict[str, _Call]] = {path: {} for path in sorted(self._paths)}
        for call in self._calls:
            called = self._find(call)
            if called is None:
                message = f"there is no DAG {quoted(call.name)} to call, in this file or in another one of the folder"
                self._report(call.path, "call", message, call.line, call.column)
            elif called and call.path in edges:
                edges[call.path].setdefault(called, call)
        self._check_cycles(edges)
        return sorted(set(self.findings))  # a step with an anchor may be found several times

    def report_problem(self, path: str, problem: Problem, rule: str = "definition") -> None:
        """Add a problem of a definition."""
        message = ": ".join(part for part in (problem.dag, problem.path, problem.message) if part)
        self._report(path, rule, message, problem.line or 1, problem.column or 1)

    def _report(self, path: str, rule: str, message: str, line: int = 1, column: int = 1) -> None:
        self.findings.append(Finding(path, line, column, rule, message, rule == "warning"))

    def _check_path(self, path: str) -> str:
        """Check the name that a path gives, and return it; an empty text if it is invalid."""
        self._paths.add(path)
        name = name_of(path)
        fault = name_error(name) or ("" if name.strip(".") else f"{quoted(name)} is no name of a DAG")
        if fault:
            self._report(path, "name", f"the path gives the name {fault}")
            return ""
        if name in self._names:
            message = f"the path gives the name {quoted(name)}, as that of {self._names[name]} does; rename one of them"
            self._report(path, "clash", message)
        self._names.setdefault(name, path)
        return name

    def _warn(self, path: str, loaded: Loaded) -> None:
        for warning in (*loaded.warnings, *find_warnings(loaded.definition)):
            self._report(path, "warning", warning)
        name = loaded.definition.dag.name
        other = self._inner_names.setdefault(name, path)
        is_clash = name == name_of(path) == name_of(other)
        if name and other != path and not is_clash and not loaded.problems:
            self._report(path, "warning", f"the name {quoted(name)} is also given in {other}: their runs are mixed")

    def _note_calls(self, path: str, text: str, loaded: Loaded) -> None:
        dags = (loaded.definition.dag, *loaded.definition.local_dags)
        steps = (step for dag in dags for step in (*dag.steps, *msgspec.structs.astuple(dag.handlers)))
        if loaded.keys_of_2x or not any(step is not None and step.call is not None for step in steps):
            return
        local = {dag.name for dag in loaded.definition.local_dags}
        for document in read_text(text).documents:
            for step in _find_steps(document):
                called = _get(step, "call")
                called = called if called and called.value else _get(step, "run")
                name = called.value.strip() if called and isinstance(called.value, str) else ""
                if called and name and name not in local and not is_computed(name):
                    self._calls.append(_Call(path, name, called.line, called.column))

    def _find(self, call: _Call) -> str | None:
        """Return the path of the called file, an empty one for a file elsewhere, None if there is none."""
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(call.path), call.name))
        for path in (beside + suffix for suffix in ("", *SUFFIXES)):
            if path in self._paths:
                return path
            if self._exists(path):
                return ""
        return None if "/" in call.name else self._names.get(name_of(call.name))

    def _check_cycles(self, edges: dict[str, dict[str, _Call]]) -> None:
        """Report each cycle once, at the call that leaves its first file."""
        for _ in range(_MAX_CYCLES):
            cycle = find_cycle({path: list(called) for path, called in edges.items()})
            if not cycle:
                break
            first = cycle.index(min(cycle))
            cycle = cycle[first:] + cycle[:first]
            call = edges[cycle[0]].pop((cycle + cycle)[1])
            way = " -> ".join([*cycle, cycle[0]])
            message = f"the calls {way} have no end; remove one of them" if len(cycle) > 1 else "this file calls itself"
            self._report(call.path, "cycle", message, call.line, call.column)


def name_of(path: str) -> str:
    """Return the name of the DAG in a file of a folder."""
    for suffix in SUFFIXES:
        if path.endswith(suffix):
            return path.removesuffix(suffix).replace("/", ".")
    return path.replace("/", ".")


def _rule_of(loaded: Loaded) -> str:
    return "dialect" if loaded.keys_of_2x else "definition"


def _find_steps(document: YamlNode) -> Iterator[YamlNode]:
    """Find the steps and handlers of a document."""
    for node in filter(None, (_get(document, "steps"), _get(document, "handlerOn"))):
        if isinstance(node.value, dict):
            yield from node.value.values()
        for item in node.value if isinstance(node.value, list) else ():
            yield from item.value if isinstance(item.value, list) else (item,)


def _get(node: YamlNode, key: str) -> YamlNode | None:
    entries = node.value.items() if isinstance(node.value, dict) else ()
    return next((value for name, value in entries if name.lower() == key.lower()), None)
