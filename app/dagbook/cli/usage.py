"""Commands about the program: help, version, settings, schema, completion; commands of Dagu that are not needed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import click
from click.shell_completion import BashComplete, add_completion_class, get_completion_class

from dagbook import __version__
from dagbook.cli.commands import LocalOptions
from dagbook.cli.output import echo, print_json, report, wants_json
from dagbook.cli.settings import current_settings, json_option, with_settings
from dagbook.settings import TABLE
from dagbook.settings.definitions import REMOVED
from dagbook.settings.readers import Displayed
from dagbook.spec import grammar

_EVERYTHING = {"ignore_unknown_options": True}
_SHELLS = {
    "bash": 'eval "$(dagbook completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(dagbook completion zsh)"  # in ~/.zshrc, after compinit',
    "fish": "dagbook completion fish > ~/.config/fish/completions/dagbook.fish",
}


@add_completion_class
class _Bash(BashComplete):
    """A script that offers names and files; that of click drops the names where files are possible, too."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' answer type value
    answer=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            file)
                compopt -o default -o filenames  # default: readline knows more than compgen, such as variables
                mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$value")
                ;;
            dir)
                compopt -o dirnames -o filenames
                mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$value")
                ;;
        esac
    done <<<"$answer"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command("help", cls=LocalOptions, example="dagbook help queue list")
@click.argument(
    "words",
    nargs=-1,
    metavar="[COMMAND]...",
    shell_complete=lambda context, _, word: context.find_root().command.shell_complete(context.find_root(), word),
)
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
    echo(current.get_help())


@click.command(
    cls=LocalOptions,
    example="dagbook completion fish > ~/.config/fish/completions/dagbook.fish",
    epilog="\b\n" + "\n".join(f"{name}:  {line}" for name, line in _SHELLS.items()),
)
@click.argument("shell", type=click.Choice(list(_SHELLS)), metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, /, *, shell: str) -> None:
    """Print a script that lets a shell complete commands, options and file names."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has one for each of these shells
    echo(kind(context.find_root().command, {}, "dagbook", "_DAGBOOK_COMPLETE").source())


@click.command(cls=LocalOptions, context_settings=_EVERYTHING, example="dagbook serve")
@click.argument("_words", nargs=-1, type=click.UNPROCESSED, metavar="")
def scheduler(**_words: object) -> None:
    """Not needed: every server has a scheduler, and serve starts it."""
    raise click.ClickException(
        "there is no command for the scheduler alone; every server has one: run 'dagbook serve', several on one "
        "PostgreSQL database share the work"
    )


@click.command(cls=LocalOptions, context_settings=_EVERYTHING, example="dagbook serve")
@click.argument("_words", nargs=-1, type=click.UNPROCESSED, metavar="")
def coordinator(**_words: object) -> None:
    """Not needed: every server hands out runs to workers; start one with serve."""
    raise click.ClickException(
        "there is no command for a coordinator; every server is one: run 'dagbook serve', and 'dagbook worker' with "
        "the same PostgreSQL database"
    )


@click.command(cls=LocalOptions, example="dagbook version")
@json_option
def version() -> None:
    """Print the version."""
    report(__version__, {"version": __version__})


@click.command(cls=LocalOptions, example="dagbook schema > dag.schema.json")
def schema() -> None:
    """Print the JSON Schema (2020-12) of a definition.

    With it an editor completes fields, explains them and marks errors.
    """
    echo(json.dumps(grammar.schema(), indent=2, ensure_ascii=False))


_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/_.:@*+%?=&-]*")


_SECRETS = ", ".join(setting.variable for setting in TABLE if setting.kind.is_secret)


@click.command(
    cls=LocalOptions,
    epilog=f"Secrets have no option, because other users can read command lines: {_SECRETS}. "
    "With _FILE at its end, each of these variables names a file with the secret.",
    example="dagbook config --json",
)
@json_option
@with_settings(*(setting.name for setting in TABLE if setting.name != "home"), *REMOVED)
def config() -> None:
    """Print every setting, its value and its origin; secrets are not shown.

    The options are those of other commands; here they only show their effect.
    """
    settings = current_settings()
    displayed = {setting.name: setting.kind.display(getattr(settings, setting.name)) for setting in TABLE}
    if wants_json():
        print_json({name: {"value": value, "origin": settings.origins[name]} for name, value in displayed.items()})
    else:
        _print_yaml(displayed, settings.origins)


def _print_yaml(displayed: Mapping[str, Displayed], origins: Mapping[str, str]) -> None:
    lines: dict[str, str] = {}
    for name, value in displayed.items():
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        scalar = text if _NEEDS_NO_QUOTES.fullmatch(text) else json.dumps(value, ensure_ascii=False)
        lines[f"{name}: {scalar}"] = origins[name]
    width = max(map(len, lines))
    for line, origin in lines.items():
        echo(f"{line:{width}}  # {origin}")
