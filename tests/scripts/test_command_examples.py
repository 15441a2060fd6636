"""The examples in the help of commands: each is one that its command understands; scripts/docs runs some."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from dagbook.cli import cli

_REDIRECTION = re.compile(r"\s+> \S+$")


def find_examples(command: click.Command) -> Iterator[str]:
    if example := getattr(command, "example", ""):
        yield example
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from find_examples(below)


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> click.Context:
    context = command.make_context(name, words, parent=parent)
    if not isinstance(command, click.Group):
        return context
    rest = [*context._protected_args, *context.args]
    below_name, below, arguments = command.resolve_command(context, rest)
    assert below is not None
    return parse(below, below_name or "", arguments, context)


EXAMPLES = sorted(set(find_examples(cli)))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 90


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_of_a_command_can_be_parsed(example: str) -> None:
    words = shlex.split(_REDIRECTION.sub("", example))
    start = words.index("dagbook")
    assert all(re.fullmatch(r"[A-Z]+=\w+", word) for word in words[:start])
    parse(cli, "dagbook", words[start + 1 :])


def test_a_command_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(click.UsageError):
        parse(cli, "dagbook", ["queue", "list", "--unknown"])
    with pytest.raises(click.UsageError):
        parse(cli, "dagbook", ["queue", "lists"])
