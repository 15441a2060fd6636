"""From a text to a definition: all documents, their names, and what the base configuration adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from app.spec.base import merge
from app.spec.build.field import Report
from app.spec.build.root import read_document, read_metadata
from app.spec.check import name_fault
from app.spec.model import Dag, Definition
from app.spec.problem import MAX_PROBLEMS, Problem, SpecError, shorten, show
from app.spec.text import Node, read_text

BASE = "base configuration"
NO_DOCUMENT = "there is no definition in this text; write at least steps"

_Read = Callable[[Node, Report], dict[str, Any]]


class Loaded(msgspec.Struct, frozen=True):
    """What a text says, as far as it could be read, and everything that is wrong with it, in file order."""

    definition: Definition
    problems: tuple[Problem, ...] = ()
    empty: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works, but should be changed."""
        return self.definition.warnings

    def require(self) -> Definition:
        """Give the definition; raises SpecError when anything is wrong with it."""
        if self.problems:
            raise SpecError(self.problems)
        return self.definition


def load(
    text: str,
    *,
    name: str = "",
    override: str = "",
    base: str = "",
    base_handlers: bool = True,
    metadata_only: bool = False,
) -> Loaded:
    """Read a definition, whatever is wrong with it.

    ``name`` fills a missing name of the first document, ``override`` replaces it (DAG format 1.1). ``base`` is the
    text of the base configuration (1.10), whose handlers a sub-DAG's run goes without. ``metadata_only`` reads what
    a list shows (1.6). A text without any document loads as an empty DAG, marked ``empty``: it is valid, but nothing
    that could be run (1.7).
    """
    read = read_metadata if metadata_only else read_document
    base_fields, base_problems = _read_base(base, read)
    found = read_text(text)
    loading = _Loading(read, base_fields, base_handlers=base_handlers)
    documents = [(number, node) for number, node in enumerate(found.documents, 1) if node.value != {}]
    loading.first(*(documents[0] if documents else (1, None)), name=name.strip(), override=override.strip())
    for number, node in documents[1:]:
        loading.later(number, node)
    problems = sorted(found.problems + loading.problems, key=lambda problem: (problem.line, problem.column))
    return Loaded(
        Definition(dag=loading.dags[0], local_dags=tuple(loading.dags[1:]), warnings=tuple(loading.warnings)),
        (*base_problems, *problems)[:MAX_PROBLEMS],
        empty=not documents and not found.problems,
    )


def _read_base(text: str, read: _Read) -> tuple[dict[str, Any], list[Problem]]:
    found = read_text(text)
    report = Report(BASE)
    fields = read(found.documents[0], report) if found.documents else {}
    problems = [msgspec.structs.replace(problem, dag=BASE) for problem in found.problems]
    return fields, problems + report.problems


class _Loading:
    """The documents of one text, one after the other."""

    def __init__(self, read: _Read, base: dict[str, Any], *, base_handlers: bool) -> None:
        self._read = read
        self._base = base
        self._base_handlers = base_handlers
        self._report: Report | None = None  # of the document before
        self._names: set[str] = set()
        self.dags: list[Dag] = []
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def first(self, number: int, node: Node | None, *, name: str, override: str) -> None:
        """Read the main document; behind a skipped one it counts as a later document, which names itself (1.5)."""
        report = Report()
        fields = self._read(node, report) if node else {}
        said = fields.get("name", "")
        chosen = override or said or (name if number == 1 else "")
        fault = name_fault(chosen) if chosen != said else ""
        if fault:
            report.add("name", fault)
        if node and number > 1 and not chosen:
            _refuse_unnamed(node, number, report)
        self._add(fields, chosen, report, handlers=self._base_handlers)

    def later(self, number: int, node: Node) -> None:
        """Read a local sub-DAG, which needs a name of its own; without one it is of no use."""
        report = Report(_label(node) or f"document {number}", self._report)
        fields = self._read(node, report)
        name = fields.get("name") or self._base.get("name", "")
        refused = any(problem.path in ("", "name") for problem in report.problems)
        if not name and not refused:
            _refuse_unnamed(node, number, report)
        known = name in self._names
        if name and known:
            message = f"the name {show(name)} belongs to another document; give it a name of its own"
            report.add("name", message, (node.line, node.column))
        self._names.add(name)
        self._add(fields, name, report, handlers=False, keep=bool(name) and not known)

    def _add(self, fields: dict[str, Any], name: str, report: Report, *, handlers: bool, keep: bool = True) -> None:
        if keep:
            self.dags.append(Dag(**(merge(self._base, fields, handlers=handlers) | {"name": name})))
        self._report = report
        self.problems += report.problems
        self.warnings += report.warnings


def _refuse_unnamed(node: Node, number: int, report: Report) -> None:
    report.add("name", f"document {number} needs a name, by which it can be called", (node.line, node.column))


def _label(node: Node) -> str:
    """Give the name of a document for messages, before it is read."""
    entries = node.value.items() if isinstance(node.value, dict) else ()
    names = (entry.value for key, entry in entries if key.lower() == "name")
    return next((shorten(name.strip()) for name in names if isinstance(name, str)), "")
