#!/usr/bin/env python3
"""Measure functions and files, and fail when they are longer, or more often too small, than the house style wants.

    scripts/measure.py [FOLDER]      default: app

A function's length is its lines from ``def`` to its end, without its docstring; a file's is all its lines. Too small
is a fault as well: a private helper of at most five lines with one caller belongs into it, a module below 40 lines
into its neighbour.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

_NAMES = (ast.Name, ast.Attribute)


class Length(NamedTuple):
    """How long one thing is, and where it stands."""

    lines: int
    place: str


class Limits(NamedTuple):
    """Bounds of the median, and the most that nine of ten and the longest may have."""

    least: int
    median: int
    p90: int
    most: int


# The house style wants a median of 7 to 12 lines for functions: 6 is as far as it has come.
FUNCTIONS = Limits(least=6, median=12, p90=35, most=80)
FILES = Limits(least=80, median=250, p90=400, most=600)
SHORT_HELPER, SHORT_FILE = 5, 40  # lines
# As many as there are, or nearly: they may only fall.
MOST_SHORT_HELPERS, MOST_SHORT_FILES = 87, 12


def measure_functions(path: Path) -> Iterator[Length]:
    """Measure every function of a file, those inside others too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            yield Length(lines, f"{path}:{node.lineno} {node.name}")


def measure_file(path: Path) -> Length:
    """Count the lines of a file."""
    return Length(len(path.read_text(encoding="utf-8").splitlines()), str(path))


def find_short_helpers(path: Path) -> Iterator[Length]:
    """Find the private functions of at most five lines that are named once in their module beside their definition."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        node.id if isinstance(node, ast.Name) else node.attr for node in ast.walk(tree) if isinstance(node, _NAMES)
    ]
    uses = Counter(names)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not re.match(r"_(?!_)", node.name):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
        if lines <= SHORT_HELPER and uses[node.name] == 1:
            yield Length(lines, f"{path}:{node.lineno} {node.name}")


def report_count(what: str, found: int, most: int) -> bool:
    """Print how many there are of what should not be; tells whether they are within their limit."""
    print(f"{what}: {found} (limit {most})")
    return found <= most


def report(what: str, lengths: Sequence[Length], limits: Limits) -> bool:
    """Print the figures of one kind of thing; tells whether all are within their limits."""
    by_length = sorted(lengths, reverse=True)
    lines = [length.lines for length in by_length]
    middle, p90, most = math.ceil(median(lines)), lines[len(lines) - math.ceil(0.9 * len(lines))], lines[0]
    print(
        f"{what}: {len(lines)}, lines: median {middle} ({limits.least} to {limits.median}), "
        f"p90 {p90} (at most {limits.p90}), most {most} (at most {limits.most})"
    )
    for length in by_length:
        if length.lines > limits.most:
            print(f"  too long: {length.place}, {length.lines} lines")
    return limits.least <= middle <= limits.median and p90 <= limits.p90 and most <= limits.most


def main(folder: Path) -> int:
    """Measure a folder; returns the exit status."""
    files = sorted(folder.rglob("*.py"))
    functions = [length for path in files for length in measure_functions(path)]
    if not functions:
        print(f"no functions in {folder}")
        return 1
    helpers = [helper for path in files for helper in find_short_helpers(path)]
    lengths = [measure_file(path) for path in files]
    short = [length for length in lengths if length.lines < SHORT_FILE and not length.place.endswith("__init__.py")]
    kept = [
        report("functions", functions, FUNCTIONS),
        report("files", lengths, FILES),
        report_count(
            f"private helpers of at most {SHORT_HELPER} lines with one caller", len(helpers), MOST_SHORT_HELPERS
        ),
        report_count(f"modules below {SHORT_FILE} lines", len(short), MOST_SHORT_FILES),
    ]
    return 0 if all(kept) else 1


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or ["app"])))
