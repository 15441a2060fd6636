"""Converting a definition of the 2.x dialect, as far as what it says has a counterpart."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dagbook.spec.conversion.actions import (
    TYPES_WITH_CONFIG,
    NoCounterpartError,
    Rewritten,
    camel_case,
    rewrite_action,
    rewrite_run,
)
from dagbook.spec.conversion.layout import StepLayout
from dagbook.spec.conversion.source import Edit, Entry, Lines, Value, apply_edits, read_values
from dagbook.spec.problem import Problem, quoted
from dagbook.spec.reading.load import load
from dagbook.spec.reading.yaml_reader import read_text

_MAX_PASSES = 20  # each renames the keys one level deeper; no object of the format is nested as deep
_ACTIONS = ("actions", "step_types")
_HANDLERS = ("handleron", "handler_on")


class Conversion(msgspec.Struct, frozen=True):
    """The converted text, what in it has no counterpart (lines of the original), and what is wrong with the result.

    ``is_2x`` tells whether the text is of the 2.x dialect; else it is unchanged. A text that is not YAML has
    problems and is unchanged, too.
    """

    text: str
    is_2x: bool = True
    left: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


def convert(text: str) -> Conversion:
    """Rewrite a text of the 2.x dialect."""
    text = text.removeprefix("\ufeff")
    if broken := read_text(text).problems:
        return Conversion(text, is_2x=False, problems=tuple(broken))
    if not load(text).keys_of_2x:
        return Conversion(text, is_2x=False)
    converter = _Converter(text)
    converted = _rename_keys(apply_edits(text, converter.find_edits()))
    problems = load(converted).problems
    if converter.left:  # the keys that are left would be reported as those of the dialect, again
        problems = ()
    return Conversion(converted, left=tuple(converter.left), problems=problems)


def _rename_keys(text: str) -> str:
    """Rename all keys that have another spelling; those of an object are found when its own key is renamed."""
    for _ in range(_MAX_PASSES):
        renamed = [key for key in load(text).keys_of_2x if key.meant]
        if not renamed:
            break
        lines = Lines(text)
        edits: set[Edit] = set()  # keys of a map that is merged into others are found again in each
        for key in renamed:
            position = text.index(key.key, lines.position(*key.mark))
            edits.add(Edit(position, position + len(key.key), key.meant))
        text = apply_edits(text, edits)
    return text


class _Converter:
    """Finds the edits of the steps and handlers of a text, and what has no counterpart."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = Lines(text)
        self._layout = StepLayout(self._lines, "\r\n" if "\r\n" in text else "\n")
        self.left: list[Problem] = []

    def find_edits(self) -> Iterator[Edit]:
        for document in read_values(self._text):
            for entry in document.entries:
                if entry.name in _ACTIONS:
                    self._leave(entry, f"{quoted(entry.name)} of one's own have no counterpart")
                elif entry.name.lower() == "steps":
                    for step in _find_steps(entry.value):
                        yield from self._convert_step(step)
                elif entry.name.lower() in _HANDLERS:
                    for handler in entry.value.entries:
                        yield from self._convert_step(handler.value)

    def _leave(self, entry: Entry, message: str) -> None:
        self.left.append(Problem(entry.name, message, entry.key.line, entry.key.column))

    def _convert_step(self, step: Value) -> Iterator[Edit]:
        given = {} if step.is_alias else {entry.name: entry for entry in step.entries}
        options = given.get("with")
        first = given.get("action") or given.get("run")
        # Beside these, run is the old spelling of call in 1.x.
        is_call = {"action", "with"}.isdisjoint(given) and not {"parallel", "params"}.isdisjoint(given)
        if first is None or is_call:
            yield from self._convert_typed(given)
            return
        try:
            rewritten = _rewrite(first, options)
        except (NoCounterpartError, ValueError) as error:
            self._leave(first, str(error))
            return
        for entry in rewritten.left:
            self._leave(entry, f"{quoted(entry.name)} in with has no counterpart beside {first.name}")
        yield from self._layout.rewrite(step, first, options, rewritten)

    def _convert_typed(self, given: dict[str, Entry]) -> Iterator[Edit]:
        """Rename the ``with`` of a step that has a type already, and keys in its config."""
        kind, options = given.get("type"), given.get("with")
        if options is not None and kind is None:
            self._leave(options, "with has no counterpart without action or run")
        elif options is not None:
            yield Edit(options.key.start, options.key.end, "config")
        config = options or given.get("config")
        if config is not None and kind is not None and kind.value.scalar in TYPES_WITH_CONFIG:
            for entry in [] if config.value.is_alias else config.value.entries:
                if camel_case(entry.name) != entry.name:
                    yield Edit(entry.key.start, entry.key.end, camel_case(entry.name))


def _find_steps(value: Value) -> Iterator[Value]:
    if value.is_map:
        yield from (entry.value for entry in value.entries)
        return
    for item in value.items:
        yield from [item] if item.is_map else item.items


def _rewrite(first: Entry, options: Entry | None) -> Rewritten:
    """Rewrite an action or run with its ``with``. Raises NoCounterpartError, or ValueError if a shell has no word."""
    is_action = first.name == "action"
    if options is not None and options.value.is_alias:
        raise NoCounterpartError("with is an alias; write what it names in its place")
    given = {entry.name: entry for entry in options.value.entries} if options is not None else {}
    if is_action:
        return rewrite_action((first.value.scalar or "").strip(), given)
    if first.value.scalar is None:
        raise NoCounterpartError("run is no text; write its lines as one text")
    return rewrite_run(given)
