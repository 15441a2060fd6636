"""Command groups: the root group, which imports its commands lazily, and the groups below it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from dagbook.cli.options import GlobalOptions, LocalOptions

_MAX_SUMMARY = 1000  # characters; longer than any summary, so none is cut


class Entry(NamedTuple):
    """Import target of a command, as ``module:name``, and its line in the group's help."""

    target: str
    summary: str


class CommandGroup(GlobalOptions, click.Group):
    """A group that suggests a command for a misspelled one and shows complete summaries."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and (close := get_close_matches(name, self.list_commands(ctx), n=1)):
            ctx.fail(f"No such command {name!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            rows.append((name, "" if command is None else command.get_short_help_str(_MAX_SUMMARY)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class LocalGroup(LocalOptions, CommandGroup):
    """A group whose commands work on this machine only."""


class LazyGroup(CommandGroup):
    """A group with a table of its commands, none of which is imported for the group's own help."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of the table."""
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in self.entries:
            return None
        module, _, name = self.entries[cmd_name].target.partition(":")
        with uncollected():
            command: click.Command = getattr(import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the completions of a word from the table, without imports: the shell asks at every key press."""
        named = [item for item in self.entries.items() if item[0].startswith(incomplete)]
        found = [CompletionItem(name, help=entry.summary) for name, entry in named]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the summaries of the table, without imports."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn garbage collection off: imported objects stay, and scanning them repeatedly takes a sixth of the time.

    What was imported is not scanned later, either.
    """
    was_on, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if was_on:
            gc.enable()
