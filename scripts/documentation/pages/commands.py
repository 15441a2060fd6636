"""The page of the commands, from the command line itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator

import click

from dagbook.cli import cli
from dagbook.cli.commands import GlobalOptions, LocalOptions
from dagbook.settings import TABLE
from scripts.documentation.pages.markdown import anchor, escape, head

INTRO = """\
Every command and option, as `dagbook COMMAND --help` describes them. [command-line.md](command-line.md) explains what
commands share: far servers, JSON, params, completion, exit status. `dagbook` without a command prints its help,
`dagbook --version` its version. Options that stand for settings are in
[settings.md](settings.md)."""


def walk(command: click.Command, parent: click.Context | None = None, name: str = "dagbook") -> Iterator[click.Context]:
    """List the contexts of all commands below a command, in the order of its help."""
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    if parent is not None:
        yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from walk(found, context, child)


def make() -> str:
    """Return the page of the commands."""
    contexts = list(walk(cli))
    lines = head("Commands", "the command line itself", INTRO)
    lines += ["", "| command | |", "|---|---|"]
    for context in contexts:
        if context.parent is not None and context.parent.parent is None:
            summary = cli.entries[context.info_name or ""].summary
            lines.append(f"| [`{context.command_path}`](#{anchor(context.command_path)}) | {escape(summary)} |")
    lines += ["", "## Options of every command", "", *_option_table(_shared_options(LocalOptions)), ""]
    far = [record for record in _shared_options(GlobalOptions) if record not in _shared_options(LocalOptions)]
    lines += ["Except commands of this machine, every command also has:", "", *_option_table(far)]
    seen: dict[click.Command, str] = {}
    for context in contexts:
        lines += ["", *_command_section(context, seen.setdefault(context.command, context.command_path))]
    return "\n".join(lines) + "\n"


def _shared_options(kind: type[click.Command]) -> list[tuple[str, str]]:
    context = click.Context(kind("x"), help_option_names=["-h", "--help"])
    return [record for one in context.command.get_params(context) if (record := one.get_help_record(context))]


def _command_section(context: click.Context, first: str) -> Iterator[str]:
    command = context.command
    depth = len(context.command_path.split())
    yield f"{'#' * depth} {context.command_path}"
    yield ""
    if first != context.command_path:
        yield f"The same as [{first}](#{anchor(first)})."
        return
    yield from _paragraphs(command.help or "")
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    settings = {setting.name for setting in TABLE if setting.name != "home"}
    records: list[tuple[str, str]] = []
    flags: list[str] = []
    for one in command.params:
        record = one.get_help_record(context)
        if one.name in settings and one.metavar == "VALUE":
            flags.append(" ".join(f"`{name}`" for name in one.opts))
        elif isinstance(one, click.Option) and record:  # arguments are in the line above, and have no words
            records.append(record)
    if records:
        yield from ["", *_option_table(records)]
    if flags:
        yield from ["", f"Settings as options ([settings.md](settings.md)): {', '.join(flags)}."]
    if isinstance(command, LocalOptions):
        yield from ["", "Works on this machine only."]
    if isinstance(command, GlobalOptions) and command.example:
        yield from ["", "Example:", "", *_marks(command.example), "```sh", command.example, "```"]
    if command.epilog:
        yield from ["", *list(_paragraphs(command.epilog))[:-1]]


def _marks(example: str) -> list[str]:
    """Tell examples.py what to run before an example, or why it cannot be run."""
    if example == "dagbook unpause":
        return ['<!-- prepare: dagbook pause --reason "an example" -->']
    return [] if _runs_alone(example) else ["<!-- not run: the names in it are examples; a test parses it -->"]


def _runs_alone(example: str) -> bool:
    """Whether an example is nothing but the words of a command that ends, so that examples.py can run it."""
    found: click.Command | None = cli
    for word in example.split()[1:]:
        found = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
    return found is not None and example != "dagbook serve"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            yield from ["```text", *paragraph.splitlines()[1:], "```", ""]
        else:
            yield from [escape(" ".join(paragraph.split())).replace("\\|", "|"), ""]


def _option_table(records: Iterable[tuple[str, str]]) -> list[str]:
    rows = [f"| `{names.replace('|', chr(92) + '|')}` | {escape(' '.join(text.split()))} |" for names, text in records]
    return ["| option | meaning |", "|---|---|", *rows]
