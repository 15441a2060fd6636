"""A YAML text as values that know where they stand in it, and edits of the text at these places.

Positions are indexes into the text, so an edit changes nothing around it: comments, order and layout stay.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import yaml

from dagbook.json_values import Json
from dagbook.spec.reading.scalars import resolve_plain, resolve_tagged

_COMMENT = re.compile(r"(?:(?<=\s)|^)#.*")


class Edit(NamedTuple):
    """What replaces the text from ``start`` to ``end``."""

    start: int
    end: int
    text: str


class Value(msgspec.Struct):
    """A scalar, list or map and its place; an alias has the content of what it names, and its own place."""

    start: int
    end: int
    line: int  # from 1, like the column
    column: int
    content: str | list[Value] | list[Entry]
    is_map: bool = False
    is_flow: bool = False
    is_alias: bool = False
    is_plain: bool = False
    tag: str | None = None

    @property
    def entries(self) -> list[Entry]:
        """The entries of a map; of other values none."""
        return [entry for entry in self.content if isinstance(entry, Entry)] if self.is_map else []

    @property
    def items(self) -> list[Value]:
        """The items of a list; of other values none."""
        return [item for item in self.content if isinstance(item, Value)]

    @property
    def scalar(self) -> str | None:
        """The text of a scalar; None for a list or a map."""
        return self.content if isinstance(self.content, str) else None


class Entry(msgspec.Struct):
    """One entry of a map."""

    key: Value
    value: Value

    @property
    def name(self) -> str:
        return self.key.scalar or ""

    @property
    def start(self) -> int:
        return self.key.start

    @property
    def end(self) -> int:
        return max(self.key.end, self.value.end)


def read_values(text: str) -> list[Value]:
    """Read the documents of a text that ``load`` has read without YAML problems."""
    return list(_Reader(text).read_documents())


def plain_data(value: Value) -> Json:
    """Return the data of a value, by the scalar rules of the format."""
    if value.is_map:
        return {entry.name: plain_data(entry.value) for entry in value.entries}
    if not isinstance(value.content, str):
        return [plain_data(item) for item in value.items]
    if value.is_plain:
        return resolve_plain(value.content)
    return value.content if value.tag is None else resolve_tagged(value.tag, value.content)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after all edits; they must not overlap."""
    parts: list[str] = []
    position = 0
    for edit in sorted(edits):
        parts += (text[position : edit.start], edit.text)
        position = edit.end
    return "".join([*parts, text[position:]])


class Lines:
    """The lines of a text and the positions at which they begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def position(self, line: int, column: int) -> int:
        """Return the index of a line and column, both from 1."""
        return self._starts[line - 1] + column - 1

    def start_of(self, position: int) -> int:
        """Return where the line of a position begins."""
        return self._starts[bisect_right(self._starts, position) - 1]

    def end_of(self, position: int) -> int:
        """Return where the line after that of a position begins, or the end of the text."""
        following = bisect_right(self._starts, position)
        return self._starts[following] if following < len(self._starts) else len(self.text)


def find_comments(text: str, start: int, end: int, values: Iterable[Value]) -> list[str]:
    """Return the comments between two positions; ``values`` are those that lie there."""
    outside = list(text[start:end])
    for value in values:
        for first, last in _scalar_spans(value):
            outside[max(first - start, 0) : max(last - start, 0)] = "x" * (last - max(first, start))
    return [found.strip() for line in "".join(outside).splitlines() for found in _COMMENT.findall(line)]


def _scalar_spans(value: Value) -> Iterator[tuple[int, int]]:
    if value.is_alias or isinstance(value.content, str):
        yield value.start, value.end
        return
    for entry in value.entries:
        yield from _scalar_spans(entry.key)
        yield from _scalar_spans(entry.value)
    for item in value.items:
        yield from _scalar_spans(item)


class _Reader:
    """Builds values from the parser's events; depth and number are limited by the loader, which has read the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._loader: Any = yaml.CSafeLoader(text)
        self._anchors: dict[str, Value] = {}

    def read_documents(self) -> Iterator[Value]:
        while (event := self._loader.get_event()) is not None:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                yield self._read(self._loader.get_event())

    def _read(self, event: Any) -> Value:
        if isinstance(event, yaml.AliasEvent):
            place = self._place(event)
            return msgspec.structs.replace(self._anchors[str(event.anchor)], is_alias=True, **place)
        if isinstance(event, yaml.ScalarEvent):
            value = Value(content=event.value, is_plain=event.implicit[0], tag=event.tag, **self._place(event))
        else:
            value = self._read_collection(event)
        if event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _place(self, event: Any) -> dict[str, Any]:
        mark, end = event.start_mark, event.end_mark.index
        # A block scalar ends in front of what follows it, behind blank lines.
        end = mark.index + len(self._text[mark.index : end].rstrip())
        return {"start": mark.index, "end": end, "line": mark.line + 1, "column": mark.column + 1}

    def _read_collection(self, event: Any) -> Value:
        is_map = isinstance(event, yaml.MappingStartEvent)
        read: list[Value] = []
        while not isinstance(following := self._loader.get_event(), yaml.MappingEndEvent | yaml.SequenceEndEvent):
            read.append(self._read(following))
        place = self._place(event)
        # The end of a block in the parser's eyes is the begin of what follows it.
        ends = [self._place(following)["end"]] if event.flow_style else [value.end for value in read]
        place["end"] = max([place["end"], *ends])
        pairs = [Entry(key, value) for key, value in zip(read[::2], read[1::2], strict=True)] if is_map else []
        return Value(content=pairs if is_map else read, is_map=is_map, is_flow=bool(event.flow_style), **place)
