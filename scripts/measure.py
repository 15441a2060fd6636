#!/usr/bin/env python3
"""Measure the length of functions and files, and fail above the limits of the house style.

    scripts/measure.py [FOLDER]      default: app

A function's length is its lines from ``def`` to its end, without its docstring; a file's is all its lines.
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Length(NamedTuple):
    """How long one thing is, and where it stands."""

    lines: int
    place: str


class Limits(NamedTuple):
    """The most that half of the things, nine of ten and the longest may have."""

    median: int
    p90: int
    most: int


FUNCTIONS = Limits(median=8, p90=30, most=60)
FILES = Limits(median=120, p90=350, most=500)


def measure_functions(path: Path) -> Iterator[Length]:
    """Measure every function of a file, those inside others too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            yield Length(lines, f"{path}:{node.lineno} {node.name}")


def measure_file(path: Path) -> Length:
    """Count the lines of a file."""
    return Length(len(path.read_text(encoding="utf-8").splitlines()), str(path))


def report(what: str, lengths: Sequence[Length], limits: Limits) -> bool:
    """Print the figures of one kind of thing; tells whether all are within their limits."""
    by_length = sorted(lengths, reverse=True)
    lines = [length.lines for length in by_length]
    found = Limits(math.ceil(median(lines)), lines[len(lines) - math.ceil(0.9 * len(lines))], lines[0])
    print(
        f"{what}: {len(lines)}, lines: median {found.median} (limit {limits.median}), "
        f"p90 {found.p90} ({limits.p90}), most {found.most} ({limits.most})"
    )
    for length in by_length:
        if length.lines > limits.most:
            print(f"  too long: {length.place}, {length.lines} lines")
    return all(have <= limit for have, limit in zip(found, limits, strict=True))


def main(folder: Path) -> int:
    """Measure a folder; returns the exit status."""
    files = sorted(folder.rglob("*.py"))
    functions = [length for path in files for length in measure_functions(path)]
    if not functions:
        print(f"no functions in {folder}")
        return 1
    kept = [report("functions", functions, FUNCTIONS), report("files", [*map(measure_file, files)], FILES)]
    return 0 if all(kept) else 1


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or ["app"])))
