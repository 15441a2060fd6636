#!/usr/bin/env python3
"""Measure the shape of functions, modules and packages, and fail when a limit is exceeded.

    scripts/measure.py [FOLDER]      default: app

Limits only fall. How much there is as a whole has limits outside of the checkout, which .ci/run asks.
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

LIMITS = {
    "modules in a package": 15,
    "lines of a function": 60,  # without its docstring
    "lines of a function, nine of ten": 30,
    "lines of a file": 500,
    "modules with two subjects": 24,  # a constant of the module behind its first class or function
    "short helpers": 50,  # private, at most SHORT_HELPER lines, one caller
    "type: ignore": 7,
    "type: ignore without a reason": 0,
    "uses of Any": 97,
    "rows read by name": 0,
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

    def add(self, what: str, number: int, limit: int, found: Iterable[Found] = ()) -> None:
        """Print a number, and each place when the limit is exceeded."""
        print(f"{what}: {number:,} (limit {limit:,})")
        if number > limit:
            self.kept = False
            print(f"  {what}: more than {limit:,}")
            for one in found:
                print(f"    {one.place}")

    def count(self, what: str, found: Sequence[Found]) -> None:
        """Print how many there are."""
        self.add(what, len(found), LIMITS[what], found)

    def longest(self, what: str, found: Sequence[Found]) -> None:
        """Print the longest, and name all that are longer than the limit."""
        limit = LIMITS[what]
        too_long = [Found(f"{one.place}: {one.lines}") for one in found if one.lines > limit]
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
