"""A value on its way into the model: what it is, where it stands, and where to say what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from app.spec.problem import MAX_PROBLEMS, Problem, shorten, show
from app.spec.text import Mark, Node

_MOST_HINTS = 200
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Report:
    """Gathers what is wrong with one document, and what is merely to be warned of."""

    def __init__(self, dag: str = "", before: Report | None = None) -> None:
        self.dag = dag
        self.steps: int = before.steps if before else 0  # how many the text holds up to here
        self.hints: Iterator[int] = before.hints if before else iter(range(_MOST_HINTS))  # one for each that is left
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    @property
    def full(self) -> bool:
        """Whether more problems are gathered than anybody reads."""
        return len(self.problems) >= MAX_PROBLEMS

    def may_hint(self) -> bool:
        """Whether to look for what somebody may have meant, which takes its time and is done so often in a text."""
        return next(self.hints, None) is not None

    def add(self, path: str, message: str, mark: Mark = (0, 0)) -> None:
        """Note a problem, unless there are too many."""
        if not self.full:
            self.problems.append(Problem(path, message, *mark, dag=self.dag))

    def warn(self, path: str, message: str) -> None:
        """Note what works, but should be changed."""
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(": ".join(part for part in (self.dag, path, message) if part))


class Field:
    """One value of a document."""

    __slots__ = ("node", "path", "report")

    def __init__(self, node: Node, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self.report = report

    @property
    def value(self) -> Any:
        """What the value is: a scalar, a list of nodes or a map of nodes."""
        return self.node.value

    @property
    def mark(self) -> Mark:
        """Line and column of the value."""
        return self.node.line, self.node.column

    def items(self) -> Iterator[Field]:
        """Walk over a list."""
        for index, node in enumerate(self.value):
            yield Field(node, f"{self.path}[{index}]", self.report)

    def entries(self) -> Iterator[tuple[str, Field]]:
        """Walk over a map."""
        for key, node in self.value.items():
            yield key, self.at(key, node)

    def at(self, key: str, node: Node) -> Field:
        """Give the field of a map's entry."""
        return Field(node, join(self.path, key), self.report)

    def refuse(self, message: str) -> None:
        """Note that the value cannot be used."""
        self.report.add(self.path, message, self.mark)

    def refuse_key(self, key: str, message: str) -> None:
        """Refuse an entry of a map because of its key."""
        self.report.add(join(self.path, key), message, self.node.marks.get(key, self.mark))

    def expect(self, wanted: str, hint: str = "") -> None:
        """Refuse a value for what it is; ``hint`` says how to mend it."""
        self.refuse(f"must be {wanted}, not {describe(self.value)}{hint}")

    def warn(self, message: str) -> None:
        """Note that the value works, but should be changed."""
        self.report.warn(self.path, message)


def join(path: str, key: str) -> str:
    """Lengthen a path by a key, in the way the text would be written by hand."""
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{show(key)}]"
    key = shorten(key)
    return f"{path}.{key}" if path else key


def plain(node: Node) -> Any:
    """Give a node's value without the places."""
    match node.value:
        case list():
            return [plain(item) for item in node.value]
        case dict():
            return {key: plain(item) for key, item in node.value.items()}
        case _:
            return node.value


def describe(value: object) -> str:
    """Say what a value is, as part of a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {show(value)}"
        case list():
            return "a list"
        case dict():
            return "a map"
        case _:
            return f"the number {value}"
