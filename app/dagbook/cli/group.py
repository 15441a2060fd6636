"""Groups of commands: one whose commands are imported when they are used, and those below it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from dagbook.cli.options import GlobalOptions

_MAX_SUMMARY = 1000  # characters; more than any


class Entry(NamedTuple):
    """Where a command is, as ``module:name``, and its line in the group's help."""

    target: str
    summary: str


class CommandGroup(GlobalOptions, click.Group):
    """A group that tells which command may have been meant, and the whole first sentence of each."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called."""
        name = args[0]
        if self.get_command(ctx, name) is None and (close := get_close_matches(name, self.list_commands(ctx), n=1)):
            ctx.fail(f"No such command {name!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name)) for name in self.list_commands(ctx)])

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(_MAX_SUMMARY)


class LazyGroup(CommandGroup):
    """A group that knows its commands by a table and imports none of them for its own help."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table."""
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in self.entries:
            return None
        module, _, name = self.entries[cmd_name].target.partition(":")
        with uncollected():
            command: click.Command = getattr(import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """List what completes a word, from the table: a shell asks for it at a press of a key."""
        named = [item for item in self.entries.items() if item[0].startswith(incomplete)]
        found = [CompletionItem(name, help=entry.summary) for name, entry in named]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def _summary(self, ctx: click.Context, name: str) -> str:
        del ctx
        return self.entries[name].summary


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage: what is imported stays, and to look through it again and again takes a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
