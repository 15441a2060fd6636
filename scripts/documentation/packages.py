#!/usr/bin/env python3
"""Draw the packages of Dagbook in their layers: docs/pictures/packages.svg.

    packages.py            write it
    packages.py --check    fail when it is out of date; change nothing

The layers are those of import-linter in pyproject.toml, the arrows the imports between packages. An import that follows
from others (a imports b, b imports c, a imports c) has no arrow, nor has one of a package that all may import.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "packages.svg"
PACKAGE = "dagbook"
# Of those that are in no layer: what starts the program, and the revisions of the schema.
_NOT_DRAWN = {"__main__", "_migrations"}
_WIDTH, _MARGIN, _GAP, _ROW_GAP = 1040, 20, 14, 38
_TITLE_HEIGHT, _LINE_HEIGHT, _LETTER_WIDTH, _PADDING = 24, 15, 6.3, 9
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">
<title>The packages of Dagbook and the imports between them</title>
<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#7c8799"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
"""


class Box(NamedTuple):
    """A package in the picture: its place, and the lines below its name."""

    name: str
    left: float
    top: float
    width: float
    height: float
    lines: Sequence[str]


class Layers(NamedTuple):
    """The layers from the top, and the packages that all but the pure ones may import."""

    rows: Sequence[Sequence[str]]
    leaves: Sequence[str]


def read_layers(folder: Path) -> Layers:
    """Read the layers of the package from the first contract of import-linter."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    rows = [[name.strip("() ") for name in layer.split("|")] for layer in contract["layers"]]
    return Layers(rows, sorted(set(contract["exhaustive_ignores"]) - _NOT_DRAWN))


def read_imports(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """Return for each package which others it imports."""
    imports: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            importer, other = (f"{name}.".split(".")[1] for name in (module, imported))
            if importer and other and importer != other:
                imports.setdefault(importer, set()).add(other)
    return imports


def reduce(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports that do not follow from others; there is no circle."""

    def reached(package: str) -> set[str]:
        return {end for other in imports.get(package, ()) for end in (other, *reached(other))}

    return {
        package: {
            other for other in others if not any(other in reached(between) for between in others if between != other)
        }
        for package, others in imports.items()
    }


def lay_out(layers: Layers, contents: Mapping[str, Sequence[str]]) -> dict[str, Box]:
    """Place the boxes: a row for each layer, the leaves in the last."""
    boxes: dict[str, Box] = {}
    top = float(_MARGIN)
    for row in [*layers.rows, layers.leaves]:
        width = (_WIDTH - 2 * _MARGIN - _GAP * (len(row) - 1)) / len(row)
        letters = int((width - 2 * _PADDING) / _LETTER_WIDTH)
        lines = {name: wrap(", ".join(contents.get(name, ())), letters) for name in row}
        height = _TITLE_HEIGHT + _PADDING + _LINE_HEIGHT * max(map(len, lines.values()))
        for number, name in enumerate(row):
            left = _MARGIN + number * (width + _GAP)
            boxes[name] = Box(name, left, top, width, height, lines[name])
        top += height + _ROW_GAP
    return boxes


def draw(boxes: Mapping[str, Box], arrows: Mapping[str, set[str]], leaves: Sequence[str]) -> str:
    """Return the picture as SVG."""
    height = max(box.top + box.height for box in boxes.values()) + _MARGIN
    parts = [_HEAD.format(width=_WIDTH, height=round(height))]
    for name in boxes:
        ends = sorted(other for other in arrows.get(name, ()) if other in boxes and other not in leaves)
        parts += [_arrow(boxes[name], boxes[end], (number + 1) / (len(ends) + 1)) for number, end in enumerate(ends)]
    for box in boxes.values():
        parts += _box(box, "#f6f7f9" if box.name in leaves else "#eef4ff")
    return "".join(parts) + "</svg>\n"


def _arrow(start: Box, end: Box, share: float) -> str:
    """Draw an arrow from the lower edge of a box, at a share of its width, to the upper edge of another."""
    x, y = start.left + start.width * share, start.top + start.height
    to_x, to_y = min(max(x, end.left + _PADDING), end.left + end.width - _PADDING), end.top
    return (
        f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + _ROW_GAP:.0f} {to_x:.0f} {to_y - _ROW_GAP:.0f} {to_x:.0f} {to_y:.0f}" '
        'fill="none" stroke="#7c8799" marker-end="url(#end)"/>\n'
    )


def _box(box: Box, fill: str) -> Iterator[str]:
    yield (
        f'<rect x="{box.left:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="6" '
        f'fill="{fill}" stroke="#9aa7bd"/>\n'
    )
    x, y = box.left + _PADDING, box.top + _TITLE_HEIGHT - 6
    yield f'<text x="{x:.0f}" y="{y:.0f}" font-size="14" font-weight="bold">{escape(box.name)}</text>\n'
    for number, line in enumerate(box.lines, 1):
        place = f'x="{x:.0f}" y="{y + number * _LINE_HEIGHT:.0f}"'
        yield f'<text {place} font-size="12" fill="#44506a">{escape(line)}</text>\n'


def make() -> str:
    """Return the picture of this checkout."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    layers = read_layers(ROOT)
    packages = [*(name for row in layers.rows for name in row), *layers.leaves]
    contents = {
        name: sorted(child.rpartition(".")[2] for child in graph.find_children(f"{PACKAGE}.{name}"))
        for name in packages
    }
    sub_packages = {
        name: [child for child in children if graph.find_children(f"{PACKAGE}.{name}.{child}")]
        for name, children in contents.items()
    }
    return draw(lay_out(layers, sub_packages), reduce(read_imports(graph)), layers.leaves)


def main() -> int:
    """Write or check the picture; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    picture = make()
    if not parser.parse_args().check:
        PICTURE.write_text(picture, encoding="utf-8")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture:
        print("docs/pictures/packages.svg is out of date; run scripts/documentation/packages.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
