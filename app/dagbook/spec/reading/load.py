"""Loading a definition: all documents of a text, their names, and the base configuration."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dagbook.spec.build.field import Fields, KeyOf2x, Report
from dagbook.spec.build.root import read_document, read_metadata
from dagbook.spec.check import name_error
from dagbook.spec.model import LAST_SUCCESS, Dag, Definition
from dagbook.spec.problem import MAX_PROBLEMS, Problem, SpecError, quoted, shorten
from dagbook.spec.reading.base_config import merge
from dagbook.spec.reading.yaml_reader import YamlNode, read_text

BASE = "base configuration"
DIALECT_2X = (
    "the key {key} is of the 2.x dialect of definitions, which Dagbook does not read; "
    "rewrite the file with: dagbook convert FILE"
)
NO_DOCUMENT = "there is no definition in this text; write at least steps"

_Read = Callable[[YamlNode, Report], Fields]


class Loaded(msgspec.Struct, frozen=True):
    """A definition, as far as it could be read, with all its problems in file order."""

    definition: Definition
    problems: tuple[Problem, ...] = ()
    empty: bool = False
    keys_of_2x: tuple[KeyOf2x, ...] = ()  # of the 2.x dialect, in file order

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is valid, but should be changed."""
        return self.definition.warnings

    def require(self) -> Definition:
        """Return the definition; raises SpecError if it has problems."""
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
    """Read a definition and all its problems.

    ``name`` fills a missing name of the first document, ``override`` replaces it (DAG format 1.1). ``base`` is the
    text of the base configuration (1.10), whose handlers are left out for a sub-run. ``metadata_only`` reads the fields
    of a list (1.6). A text without any document loads as an empty DAG, marked ``empty``: valid, but not runnable (1.7).
    """
    read = read_metadata if metadata_only else read_document
    base_fields, base_problems = _read_base(base, read)
    found = read_text(text)
    loading = _Loading(read, base_fields, base_handlers=base_handlers)
    loading.names_last_success = LAST_SUCCESS in text or LAST_SUCCESS in base
    documents = [(number, node) for number, node in enumerate(found.documents, 1) if node.value != {}]
    loading.first(*(documents[0] if documents else (1, None)), name=name.strip(), override=override.strip())
    for number, node in documents[1:]:
        loading.later(number, node)
    keys_of_2x = sorted(loading.keys_of_2x, key=lambda key: key.mark)
    # In the other dialect most of what is missing or unknown only follows from the dialect.
    own = [_explain_dialect(keys_of_2x[0])] if keys_of_2x else loading.problems
    problems = sorted(found.problems + own, key=lambda problem: (problem.line, problem.column))
    return Loaded(
        Definition(dag=loading.dags[0], local_dags=tuple(loading.dags[1:]), warnings=tuple(loading.warnings)),
        (*base_problems, *problems)[:MAX_PROBLEMS],
        empty=not documents and not found.problems,
        keys_of_2x=tuple(keys_of_2x),
    )


def _read_base(text: str, read: _Read) -> tuple[Fields, list[Problem]]:
    found = read_text(text)
    report = Report(BASE)
    fields = read(found.documents[0], report) if found.documents else {}
    problems = [msgspec.structs.replace(problem, dag=BASE) for problem in found.problems]
    if report.keys_of_2x:
        first = min(report.keys_of_2x, key=lambda key: key.mark)
        return fields, [*problems, msgspec.structs.replace(_explain_dialect(first), dag=BASE)]
    return fields, problems + report.problems


def _explain_dialect(key: KeyOf2x) -> Problem:
    return Problem(key.path, DIALECT_2X.format(key=quoted(key.key)), *key.mark)


class _Loading:
    """Loads the documents of one text in order."""

    def __init__(self, read: _Read, base: Fields, *, base_handlers: bool) -> None:
        self._read = read
        self._base = base
        self._base_handlers = base_handlers
        self._report: Report | None = None  # of the previous document
        self._names: set[str] = set()
        self.names_last_success = False  # whether any of the texts has them
        self.dags: list[Dag] = []
        self.keys_of_2x: list[KeyOf2x] = []
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def first(self, number: int, node: YamlNode | None, *, name: str, override: str) -> None:
        """Read the main document; after a skipped one it needs a name like a later document (1.5)."""
        report = Report()
        fields = self._read(node, report) if node else {}
        parsed = fields.get("name", "")
        chosen = override or parsed or (name if number == 1 else "")
        fault = name_error(chosen) if chosen != parsed else ""
        if fault:
            report.add("name", fault)
        if node and number > 1 and not chosen:
            _refuse_unnamed(node, number, report)
        self._add(fields, chosen, report, handlers=self._base_handlers)

    def later(self, number: int, node: YamlNode) -> None:
        """Read a local sub-DAG, which needs a unique name; one without a name is dropped."""
        # Messages have the name of the document before it is read.
        entries = node.value.items() if isinstance(node.value, dict) else ()
        names = [entry.value for key, entry in entries if key.lower() == "name"]
        label = next((shorten(text.strip()) for text in names if isinstance(text, str)), "")
        report = Report(label or f"document {number}", self._report)
        fields = self._read(node, report)
        name = fields.get("name") or self._base.get("name", "")
        refused = any(problem.path in ("", "name") for problem in report.problems)
        if not name and not refused:
            _refuse_unnamed(node, number, report)
        known = name in self._names
        if name and known:
            message = f"the name {quoted(name)} belongs to another document; give it a name of its own"
            report.add("name", message, (node.line, node.column))
        self._names.add(name)
        self._add(fields, name, report, handlers=False, keep=bool(name) and not known)

    def _add(self, fields: Fields, name: str, report: Report, *, handlers: bool, keep: bool = True) -> None:
        if keep:
            dag = Dag(**(merge(self._base, fields, handlers=handlers) | {"name": name}))
            if self.names_last_success and LAST_SUCCESS.encode() in msgspec.json.encode(dag):
                dag = msgspec.structs.replace(dag, names_last_success=True)
            self.dags.append(dag)
        self._report = report
        self.keys_of_2x = report.keys_of_2x  # of all documents so far
        self.problems += report.problems
        self.warnings += report.warnings


def _refuse_unnamed(node: YamlNode, number: int, report: Report) -> None:
    report.add("name", f"document {number} needs a name, by which it can be called", (node.line, node.column))
