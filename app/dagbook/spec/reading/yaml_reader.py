"""Reads a YAML text into nodes with positions; every limit is checked before anything is built.

The parser's events are traversed once, without recursion. Aliases share their node, so the limit counts the nodes
that a full traversal meets (DAG format 1.2 and 1.5).
"""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec
import yaml

from dagbook.spec.problem import MAX_PROBLEMS, Problem, quoted, shorten
from dagbook.spec.reading.rendering import render
from dagbook.spec.reading.scalars import TAG_PREFIX, Scalar, resolve_plain, resolve_tagged

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_ALIASES = 1_000
# Aliases can expand a small text to a huge one: rendering a list of them would copy it each time.
MAX_CHARACTERS = 4 * MAX_BYTES

_NO_START = "found character that cannot start any token"
_PERCENT_SIGN = re.compile(r"(?<=[^\n\r\x85\u2028\u2029])%")  # but not of a directive, which begins a line
_STAND_INS = [chr(code) for code in range(0xE000, 0xF900)]  # for private use: unlikely in a text, and allowed in YAML
_HINTS = {
    _NO_START: "indent with spaces instead of tabs, and quote a text that begins with a special character",
    "mapping values are not allowed in this context": "check the indentation, and quote a text that holds a colon",
    "did not find expected key": "check the indentation",
    "did not find expected '-' indicator": "check the indentation: the items of a list begin in one column, and so do "
    "the keys of an item",
    "could not find expected ':'": "put a colon and a blank behind the key, and close the quotes that are open",
    "block sequence entries are not allowed in this context": "put a list on a line of its own below its key",
    "did not find expected alphabetic or numeric character": "quote a text that begins with * or &",
    "found unknown escape character": "write two backslashes, or single quotes around the text",
    "did not find expected <document start>": "check the indentation; another document begins with ---",
    "found invalid Unicode character escape code": "write \\U and eight hexadecimal digits of a character",
    "found unexpected end of stream": "close the quotes or brackets that are open",
    "did not find expected node content": "close the brackets that are open, and put a value here",
    "did not find expected ',' or ']'": "close the list with ]",
    "did not find expected ',' or '}'": "close the map with }",
}

Mark = tuple[int, int]
YamlValue: TypeAlias = "Scalar | list[YamlNode] | dict[str, YamlNode]"


class YamlNode(msgspec.Struct):
    """A value of a document and its position; ``marks`` are the positions of a map's keys."""

    value: YamlValue
    line: int
    column: int
    marks: dict[str, Mark] = {}


class YamlText(msgspec.Struct):
    """The documents of a text, and its YAML problems."""

    documents: list[YamlNode]
    problems: list[Problem]


def read_text(text: str) -> YamlText:
    """Read the documents of a YAML text, by the scalar rules of DAG format 1.2, and its problems.

    A document without any content ends reading (1.5). It is a problem that the text is not YAML, is too large or too
    deep, or repeats a key.
    """
    text = text.removeprefix("\ufeff")
    reader = _read(text)
    if reader.stopped_at_percent_sign:
        # Real files begin texts with one, such as %Y-%m, which YAML does not allow (1.30, 10).
        stand_in = next(mark for mark in _STAND_INS if mark not in text)
        reader = _read(_PERCENT_SIGN.sub(stand_in, text), stand_in)
    return YamlText(reader.documents, reader.problems)


def _read(text: str, stand_in: str = "") -> _Reader:
    reader = _Reader(stand_in)
    try:
        if not stand_in:
            _refuse_unreadable(text)
        parser = yaml.CSafeLoader(text)
        while (event := parser.get_event()) is not None:
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_explain(error))
        mark = error.problem_mark
        is_percent_sign = mark is not None and mark.column > 0 and text[mark.index : mark.index + 1] == "%"
        reader.stopped_at_percent_sign = is_percent_sign and error.problem == _NO_START
    except yaml.reader.ReaderError as error:
        message = f"the text holds a character that YAML does not allow, at position {error.position}"
        reader.problems.append(Problem("", message))
    except _TooMuchError as error:
        reader.problems.append(error.problem)
    return reader


class _TooMuchError(Exception):
    """A limit is exceeded; reading stops."""

    def __init__(self, message: str, mark: Mark = (0, 0)) -> None:
        super().__init__(message)
        self.problem = Problem("", message, *mark)


class _Frame:
    """An open list or map."""

    __slots__ = ("anchor", "characters", "explicit", "height", "key", "node", "nodes")

    def __init__(self, node: YamlNode, anchor: str | None, nodes: int, characters: int) -> None:
        self.node = node
        self.anchor = anchor
        self.nodes = nodes
        self.characters = characters
        self.height = 1
        self.key: _Key | None = None
        self.explicit: set[str] = set()


class _Key(msgspec.Struct):
    """A key without its value yet; ``name`` is None for an unusable one."""

    name: str | None
    mark: Mark
    merge: bool = False


class _Anchored(msgspec.Struct):
    """The node of an anchor; ``size``, ``height`` and ``characters`` include everything below it."""

    node: YamlNode
    size: int
    height: int
    characters: int


class _Reader:
    """Builds nodes from events; ``stand_in`` takes the place of percent signs."""

    def __init__(self, stand_in: str = "") -> None:
        self.stand_in = stand_in
        self.stopped_at_percent_sign = False
        self.documents: list[YamlNode] = []
        self.problems: list[Problem] = []
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._nodes = 0
        self._characters = 0
        self._aliases = 0
        self._ended = False

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.CollectionStartEvent():
                self._open(event)
            case yaml.CollectionEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._anchors = {}

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        mark = _mark(event)
        if self.stand_in:
            event.value = event.value.replace(self.stand_in, "%")
        self._count(1, 0, len(event.value), mark)
        if "\0" in event.value:  # neither process arguments nor PostgreSQL can hold it
            self._refuse("a text cannot hold a NUL character; take the \\0 out", mark)
        plain = event.implicit[0]
        if plain and not event.value and not self._stack:
            self._ended = True
        node = YamlNode(self._resolve(event, mark), *mark)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(node, 1, 0, len(event.value))
        self._attach(node, event.value, plain and event.value == "<<")

    def _resolve(self, event: yaml.ScalarEvent, mark: Mark) -> Scalar:
        if event.implicit[0]:
            return resolve_plain(event.value)
        text: str = event.value
        if event.tag is None:
            return text
        try:
            return resolve_tagged(event.tag, text)
        except ValueError as error:
            self._refuse(str(error), mark)
            return text

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        mark = _mark(event)
        self._count(1, 1, 0, mark)
        sequence = isinstance(event, yaml.SequenceStartEvent)
        if event.tag not in (None, "!", TAG_PREFIX + ("seq" if sequence else "map")):
            self._refuse(f"the tag {quoted(event.tag)} is not known here; leave it out", mark)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(YamlNode([] if sequence else {}, *mark), event.anchor, self._nodes, self._characters))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.anchor:
            size, characters = self._nodes - frame.nodes + 1, self._characters - frame.characters
            self._anchors[frame.anchor] = _Anchored(frame.node, size, frame.height, characters)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, frame.height + 1)
        self._attach(frame.node, None)

    def _alias(self, event: yaml.AliasEvent) -> None:
        mark = _mark(event)
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _TooMuchError(f"the text uses more than {MAX_ALIASES:,} aliases", mark)
        anchor = event.anchor or ""  # an alias has one
        anchored = self._anchors.get(anchor)
        if anchored is None:
            inside = anchor in self._anchors
            fault = "lies inside what it names" if inside else "is not defined"
            self._refuse(f"the alias *{shorten(anchor)} {fault}", mark)
            self._attach(YamlNode(None, *mark), "")
            return
        self._count(anchored.size, anchored.height, anchored.characters, mark)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, anchored.height + 1)
        value = anchored.node.value
        self._attach(anchored.node, None if isinstance(value, list | dict) else _key_text(value))

    def _count(self, nodes: int, height: int, characters: int, mark: Mark) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._characters > MAX_CHARACTERS:
            raise _TooMuchError("the text grows beyond 4 MiB when its aliases are followed", mark)
        if self._nodes > MAX_NODES:
            raise _TooMuchError(f"the text holds more than {MAX_NODES:,} values, aliases followed", mark)
        if len(self._stack) + height > MAX_DEPTH:
            raise _TooMuchError(f"the text is nested deeper than {MAX_DEPTH} levels", mark)

    def _attach(self, node: YamlNode, text: str | None, merge: bool = False) -> None:
        """Attach a finished node to its parent; ``text`` is its text as a key, None if it cannot be one."""
        if not self._stack:
            if not self._ended:
                self.documents.append(node)
            return
        frame = self._stack[-1]
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif frame.key is None:
            frame.key = self._read_key(node, text, merge)
        else:
            key, frame.key = frame.key, None
            self._enter(frame, key, node)

    def _read_key(self, node: YamlNode, text: str | None, merge: bool) -> _Key:
        mark = (node.line, node.column)
        if text is None:
            self._refuse("a list or a map cannot be a key", mark)
            return _Key(None, mark)
        return _Key(node.value if isinstance(node.value, str) else _key_text(node.value), mark, merge)

    def _enter(self, frame: _Frame, key: _Key, node: YamlNode) -> None:
        entries = frame.node.value
        if key.name is None or not isinstance(entries, dict):
            return
        if key.name in frame.explicit:
            first = frame.node.marks[key.name]
            self._refuse(f"the key {quoted(key.name)} is already given on line {first[0]}, column {first[1]}", key.mark)
            return
        frame.explicit.add(key.name)
        frame.node.marks[key.name] = key.mark
        if key.merge:
            self._merge(frame, node)
        else:
            entries[key.name] = node

    def _merge(self, frame: _Frame, node: YamlNode) -> None:
        """Add the maps of ``<<``; a key of the map itself wins, then the earlier of several maps."""
        entries = frame.node.value
        for source in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(source.value, dict) or not isinstance(entries, dict):
                self._refuse("<< takes a map or a list of maps", (source.line, source.column))
                continue
            for name, value in source.value.items():
                if name not in entries:
                    entries[name] = value
                    frame.node.marks[name] = source.marks[name]

    def _refuse(self, message: str, mark: Mark) -> None:
        if not self._ended and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem("", message, *mark))


def _refuse_unreadable(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        message = f"the text holds a character that UTF-8 cannot carry, at position {error.start}"
        raise _TooMuchError(message) from error
    if size > MAX_BYTES:
        raise _TooMuchError(f"the text is larger than 1 MiB ({size:,} bytes)")


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


def _key_text(value: object) -> str:
    return "null" if value is None else render(value)


def _explain(error: yaml.MarkedYAMLError) -> Problem:
    # Where the unreadable part starts, if that is another line.
    start, end, began = error.context_mark, error.problem_mark, ""
    if start and end and start.line != end.line:
        began = f" that began on line {start.line + 1}"
    reason = f"{error.problem} ({error.context}{began})" if error.context else error.problem
    if error.problem in _HINTS:
        reason = f"{reason}; {_HINTS[error.problem]}"
    mark = end or start
    return Problem("", f"this is not valid YAML: {reason}", *((mark.line + 1, mark.column + 1) if mark else (0, 0)))
