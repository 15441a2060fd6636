"""What a step runs: a command, several command lines, a script, and its shell (DAG format 3.4; 1.30, 2)."""

from __future__ import annotations

from collections.abc import Sequence

from dagbook.spec.build.field import Field, Fields, describe, unwrap
from dagbook.spec.expansion.shell_words import has_blanks, join_list, split
from dagbook.spec.model import CommandLine
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render
from dagbook.spec.schemas import NOT_BLANK, SCALAR_OR_NOTHING, TEXT_OR_LIST, accepts, any_of

MAX_WORDS = 10_000  # of a command; each is evaluated for itself


@accepts(any_of(NOT_BLANK, {"type": "array", "items": SCALAR_OR_NOTHING}))
def command(field: Field) -> Fields | None:
    """Read a command as the step fields that it sets; a text of several lines is a script."""
    match field.value:
        case str():
            return _line(field, field.value.strip())
        case list():
            return _list(field)
        case _:
            field.expect("a text or a list")
            return None


@accepts(TEXT_OR_LIST)
def shell(field: Field) -> tuple[str, ...] | None:
    """Read a shell as program and arguments; an empty value is the default shell."""
    match field.value:
        case str():
            return tuple(_split(field, field.value.strip())) if field.value.strip() else ()
        case list():
            return tuple(render(unwrap(node)).strip() for node in field.value)
        case _:
            field.expect("a text or a list")
            return None


def _line(field: Field, line: str) -> Fields | None:
    if not line:
        field.refuse("is empty; write what to run")
        return None
    if "\n" in line:
        return {"script": line}
    words = _split(field, line)
    return {"command_line": line, "command": words[0], "args": tuple(words[1:])} if words else None


def _list(field: Field) -> Fields | None:
    """Read a list: several command lines if its first item is clearly one, else one program with its arguments.

    Both are in use: up to 1.28 a list was a program with arguments, from 1.29 on every list is several lines.
    """
    given = list(field.items())
    if not _are_countable(field, len(given)):
        return None
    wrong = [item for item in given if isinstance(item.value, list | dict)]
    for item in wrong:
        item.refuse(f"is {describe(item.value)}; a command is a text, so put it into quotes")
    if wrong:
        return None
    items = [render(item.value).strip() for item in given]
    filled = [item for item in items if item]
    are_options = any(item.startswith("-") for item in filled)
    if filled and not are_options and has_blanks(filled[0]):
        return _lines(field, filled)
    if filled and not are_options and any(has_blanks(item) for item in filled[1:]):
        field.warn(
            "is read as one program with arguments; if these are several commands, begin with one that has "
            "arguments, such as 'echo start'"
        )
    return _program(items)


def _program(items: Sequence[str]) -> Fields:
    first = next((index for index, item in enumerate(items) if item), len(items))
    program, args = items[first : first + 1], tuple(items[first + 1 :])
    if not program:
        return {}
    line = join_list((program[0], *args))
    return {"command_line": line, "command": program[0], "args": args, "command_list": True}


def _lines(field: Field, lines: Sequence[str]) -> Fields | None:
    """Read command lines; a single one is like a text, but is sent as written over SSH."""
    if len(lines) == 1 and "\n" in lines[0]:
        return _line(field, lines[0])
    found = [CommandLine(line, words[0], tuple(words[1:])) for line in lines if (words := _split(field, line))]
    if len(found) < len(lines):
        return None
    first = found[0]
    return {
        "command_line": "\n".join(lines),
        "lines": tuple(found),
        "command": first.command,
        "args": first.args,
    }


def _split(field: Field, line: str) -> list[str]:
    try:
        words = split(line)
    except ValueError as error:
        field.refuse(f"{quoted(line)} cannot be read as a command: {error}")
        return []
    return words if _are_countable(field, len(words)) else []


def _are_countable(field: Field, count: int) -> bool:
    if count > MAX_WORDS:
        field.refuse(f"may have {MAX_WORDS:,} words, these are {count:,}; put them into a script or a file")
    return count <= MAX_WORDS
