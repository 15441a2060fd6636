"""Command, script and shell of a step (DAG format 3.4)."""

from __future__ import annotations

from typing import Any

from dagbook.spec.build.field import Field, unwrap
from dagbook.spec.expansion.shell_words import join_list, split
from dagbook.spec.reading.rendering import render


def command(field: Field) -> dict[str, Any] | None:
    """Read a command as the step fields that it sets; several lines are a script."""
    match field.value:
        case str():
            return _line(field, field.value.strip())
        case list():
            return _words(field)
        case _:
            field.expect("a text or a list")
            return None


def shell(field: Field) -> tuple[str, ...] | None:
    """Read a shell as program and arguments; an empty value is the default shell."""
    match field.value:
        case str():
            return tuple(_split(field, field.value.strip())) if field.value.strip() else ()
        case list():
            return _rendered(field)
        case _:
            field.expect("a text or a list")
            return None


def _line(field: Field, line: str) -> dict[str, Any] | None:
    if not line:
        field.refuse("is empty; write what to run")
        return None
    if "\n" in line:
        return {"script": line}
    words = _split(field, line)
    return {"command_line": line, "command": words[0], "args": tuple(words[1:])} if words else None


def _words(field: Field) -> dict[str, Any]:
    items = _rendered(field)
    while items and not items[0]:
        items = items[1:]
    if not items:
        return {}
    return {"command_line": join_list(items), "command": items[0], "args": items[1:], "command_list": True}


def _split(field: Field, line: str) -> list[str]:
    try:
        return split(line)
    except ValueError as error:
        field.refuse(f"cannot be read as a command: {error}")
        return []


def _rendered(field: Field) -> tuple[str, ...]:
    return tuple(render(unwrap(node)).strip() for node in field.value)
