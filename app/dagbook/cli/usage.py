"""Commands about the program: help, version, schema, completion, and commands of Dagu that Dagbook does not need."""

from __future__ import annotations

import json

import click
from click.shell_completion import CompletionItem, get_completion_class

from dagbook import __version__
from dagbook.cli.options import GlobalOptions
from dagbook.spec.grammar import document

_EVERYTHING = {"ignore_unknown_options": True}
_SHELLS = {
    "bash": 'eval "$(dagbook completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(dagbook completion zsh)"  # in ~/.zshrc, after compinit',
    "fish": "dagbook completion fish > ~/.config/fish/completions/dagbook.fish",
}


def _complete_command(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    root = context.find_root()
    return root.command.shell_complete(root, incomplete)


@click.command("help", cls=GlobalOptions)
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete_command)
@click.pass_context
def show_help(context: click.Context, /, *, words: tuple[str, ...]) -> None:
    """Show the help of COMMAND, as COMMAND --help does, for example: dagbook help queue list."""
    root = context.find_root()
    current = click.Context(root.command, info_name=root.info_name, **root.command.context_settings)
    for word in words:
        if not isinstance(current.command, click.Group):
            raise click.UsageError(f"{current.command_path} has no commands, and none named {word!r}.", current)
        _, command, _ = current.command.resolve_command(current, [word])
        assert command is not None  # noqa: S101 - resolve_command raises when there is none
        current = click.Context(command, info_name=word, parent=current)
    click.echo(current.get_help())


@click.command(
    cls=GlobalOptions,
    epilog="\b\n" + "\n".join(f"{name}:  {line}" for name, line in _SHELLS.items()),
)
@click.argument("shell", type=click.Choice(list(_SHELLS)), metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, /, *, shell: str) -> None:
    """Print a script that lets a shell complete commands, options and file names."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has one for each of these shells
    click.echo(kind(context.find_root().command, {}, "dagbook", "_DAGBOOK_COMPLETE").source())


@click.command(cls=GlobalOptions, context_settings=_EVERYTHING)
@click.argument("_words", nargs=-1, type=click.UNPROCESSED, metavar="")
def scheduler(**_words: object) -> None:
    """Not needed: every server has a scheduler, and serve starts it."""
    raise click.ClickException(
        "there is no command for the scheduler alone; every server has one: run 'dagbook serve', several on one "
        "PostgreSQL database share the work"
    )


@click.command(cls=GlobalOptions, context_settings=_EVERYTHING)
@click.argument("_words", nargs=-1, type=click.UNPROCESSED, metavar="")
def coordinator(**_words: object) -> None:
    """Not needed: every server hands out runs to workers; start one with serve."""
    raise click.ClickException(
        "there is no command for a coordinator; every server is one: run 'dagbook serve', and 'dagbook worker' with "
        "the same PostgreSQL database"
    )


@click.command(cls=GlobalOptions)
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@click.command(cls=GlobalOptions)
def schema() -> None:
    """Print the JSON Schema (2020-12) of a definition.

    With it an editor completes fields, explains them and marks errors.
    """
    click.echo(json.dumps(document.schema(), indent=2, ensure_ascii=False))
