"""A value of a document during parsing: node, path and the report for its problems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from dagbook.json_values import Json
from dagbook.spec.problem import MAX_PROBLEMS, Problem, quoted, shorten
from dagbook.spec.reading.yaml_reader import Mark, YamlNode, YamlValue

Fields = dict[str, Any]  # values by the names of their fields in the model
_MAX_HINTS = 200
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class KeyOf2x(msgspec.Struct, frozen=True):
    """A key of the incompatible 2.x dialect; ``meant`` is the key of the format for it, empty if there is none."""

    mark: Mark
    path: str
    key: str
    meant: str = ""


class Report:
    """Collects the problems and warnings of one document, and the keys of the 2.x dialect of the whole text."""

    def __init__(self, dag: str = "", before: Report | None = None) -> None:
        self.dag = dag
        self.steps: int = before.steps if before else 0  # of the text so far
        self.hints: Iterator[int] = before.hints if before else iter(range(_MAX_HINTS))  # one for each suggestion left
        self.keys_of_2x: list[KeyOf2x] = before.keys_of_2x if before else []
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    @property
    def full(self) -> bool:
        """Whether the limit of problems is reached."""
        return len(self.problems) >= MAX_PROBLEMS

    def may_hint(self) -> bool:
        """Whether to search for a suggestion; the search is slow, so the number per text is limited."""
        return next(self.hints, None) is not None

    def add(self, path: str, message: str, mark: Mark = (0, 0)) -> None:
        """Add a problem, unless there are too many."""
        if not self.full:
            self.problems.append(Problem(path, message, *mark, dag=self.dag))

    def warn(self, path: str, message: str) -> None:
        """Add a warning: valid, but should be changed."""
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(": ".join(part for part in (self.dag, path, message) if part))


class Field:
    __slots__ = ("node", "path", "report")

    def __init__(self, node: YamlNode, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self.report = report

    @property
    def value(self) -> YamlValue:
        """A scalar, a list of nodes or a map of nodes."""
        return self.node.value

    @property
    def members(self) -> dict[str, YamlNode]:
        """The entries of a map; of other values none."""
        return self.node.value if isinstance(self.node.value, dict) else {}

    @property
    def mark(self) -> Mark:
        """Line and column of the value."""
        return self.node.line, self.node.column

    def items(self) -> Iterator[Field]:
        """Iterate over a list."""
        for index, node in enumerate(self.value if isinstance(self.value, list) else ()):
            yield Field(node, f"{self.path}[{index}]", self.report)

    def entries(self) -> Iterator[tuple[str, Field]]:
        """Iterate over a map."""
        for key, node in self.members.items():
            yield key, self.at(key, node)

    def at(self, key: str, node: YamlNode) -> Field:
        """Return the field of a map's entry."""
        return Field(node, join(self.path, key), self.report)

    def refuse(self, message: str) -> None:
        """Report that the value is invalid."""
        self.report.add(self.path, message, self.mark)

    def refuse_key(self, key: str, message: str) -> None:
        """Report that the key of an entry is invalid."""
        self.report.add(join(self.path, key), message, self.node.marks.get(key, self.mark))

    def add_key_of_2x(self, key: str, meant: str = "") -> None:
        """Note that the key of an entry is one of the 2.x dialect."""
        mark = self.node.marks.get(key, self.mark)
        self.report.keys_of_2x.append(KeyOf2x(mark, join(self.path, key), key, meant))

    def expect(self, expected: str, hint: str = "") -> None:
        """Report that the value has the wrong type; ``hint`` tells how to fix it."""
        self.refuse(f"must be {expected}, not {describe(self.value)}{hint}")

    def warn(self, message: str) -> None:
        """Add a warning: valid, but should be changed."""
        self.report.warn(self.path, message)


def join(path: str, key: str) -> str:
    """Append a key to a path, as in hand-written notation."""
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{quoted(key)}]"
    key = shorten(key)
    return f"{path}.{key}" if path else key


def unwrap(node: YamlNode) -> Json:
    """Return a node's value without positions."""
    match node.value:
        case list():
            return [unwrap(item) for item in node.value]
        case dict():
            return {key: unwrap(item) for key, item in node.value.items()}
        case _:
            return node.value


def describe(value: object) -> str:
    """Describe a value as part of a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {quoted(value)}"
        case list():
            return "a list"
        case dict():
            return "a map"
        case _:
            return f"the number {value}"
