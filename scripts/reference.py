#!/usr/bin/env python3
"""Make the reference pages docs/reference/keys.md and docs/reference/commands.md.

    scripts/reference.py            write them
    scripts/reference.py --check    fail when one is out of date; change nothing

The keys, their types, defaults and meanings come from the JSON Schema of the format (`dagbook schema`), commands and
options from the command line itself. To correct a page, change these.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from dagbook.cli import cli
from dagbook.cli.options import GlobalOptions, LocalOptions
from dagbook.settings import TABLE
from dagbook.spec.build.dag_fields import KINDS
from dagbook.spec.build.step import OUTPUT
from dagbook.spec.grammar.document import PARTS, schema

DOCS = Path(__file__).parents[1] / "docs" / "reference"
KEYS, COMMANDS = "keys.md", "commands.md"
Json = dict[str, Any]

TITLES = {"dag": "DAG"}  # of other parts: their name
# Types in words, where the schema takes more than a line to say them.
NAMED = {
    "steps": "list or map of [steps](#step)",
    "preconditions": "text, [condition](#condition) or list of them",
    "modelOfStep": "[llm](#llm)",
}
WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "boolean", "object": "map"}
MOST_WORDS = 8  # an enumeration with more is called a text: its description lists the values
MOST_TYPES = 3
_TYPES = {bool: "boolean", str: "text", dict: "map"}
# The types of keys whose other values are ignored with a warning, so that they fit the schema.
LOOSE = {
    **{f"otel.{key}": _TYPES[kind] for key, kind in KINDS.items()},
    **{f"output.{key}": _TYPES[kind] for key, (_, kind) in OUTPUT.items()},
    "backoff": "boolean or number",
}
# The page of docs/ that explains keys, by object and key; without a key, those of the whole object.
TOPICS = {
    "workflows/steps.md": "dag.type dag.shell dag.steps dag.logOutput dag.delaySec dag.maxActiveSteps step.name step.id "
    "step.command step.script step.shell step.shellPackages step.stdout step.stderr step.logOutput step.depends",
    "workflows/params.md": "dag.params dag.runConfig runConfig",
    "workflows/environment.md": "dag.env dag.dotenv step.env",
    "workflows/outputs.md": "step.output dag.maxOutputSize",
    "workflows/failure.md": "dag.timeoutSec dag.maxCleanUpTimeSec step.timeoutSec step.continueOn step.retryPolicy "
    "step.signalOnStop retryPolicy",
    "workflows/repeat.md": "step.repeatPolicy repeatPolicy",
    "workflows/conditions.md": "dag.preconditions dag.precondition step.preconditions step.precondition condition",
    "workflows/handlers.md": "dag.handlerOn handlerOn",
    "workflows/sub-dags.md": "step.call step.run step.params step.parallel",
    "workflows/schedules.md": "dag.schedule dag.skipIfSuccessful dag.restartWaitSec",
    "workflows/queues.md": "dag.queue dag.maxActiveRuns",
    "workflows/format.md": "dag.llm step.type step.config step.llm step.messages llm thinking message",
    "reference/configuration.md#where-a-step-works": "dag.workingDir step.workingDir step.dir",
    "how-to/retention.md": "dag.histRetentionDays",
    "workflows/approvals.md": "dag.waitMail handlerOn.wait mailOn.wait",
    "workflows/mail.md": "dag.smtp dag.mailOn dag.errorMail dag.infoMail step.mailOnError smtp mailOn mail",
    "workflows/remote.md": "dag.ssh dag.container dag.registryAuths step.container container ssh",
    "how-to/secrets.md": "dag.secrets secret",
    "how-to/scaling.md": "dag.workerSelector step.workerSelector",
    "how-to/authentication.md#rights-per-dag": "dag.tags",
    "workflows/http-jq-archive.md": "step.executor",
}
KEYS_INTRO = """\
Every key of a definition, by the object that it belongs to. Keys are case-insensitive. A key without a value, or with
`null`, is as if it were absent, except in a [condition](#condition). A default counts where neither the definition
nor the base configuration has the key; texts, lists and maps without one are empty. The keys of a step's `config`
depend on its type: see [http, jq and archive](../workflows/http-jq-archive.md), [ssh and
docker](../workflows/remote.md), [mail](../workflows/mail.md) and [hitl](../workflows/approvals.md).
[format.md](../workflows/format.md) has the pages by topic, with examples, and what differs between releases. Editors
complete and explain the keys with the schema that `dagbook schema` prints, which this page is made from."""
COMMANDS_INTRO = """\
Every command and option, as `dagbook COMMAND --help` describes them. [command-line.md](command-line.md) explains what
commands share: far servers, JSON, params, completion, exit status. `dagbook` without a command prints its help,
`dagbook --version` its version. Options that stand for settings are explained in
[configuration.md](configuration.md)."""
TOPIC_OF = {name: page for page, names in TOPICS.items() for name in names.split()}


class Key(NamedTuple):
    """A key of an object, or of a map inside it as ``key.inner``, and its schema."""

    name: str
    schema: Json
    is_required: bool


def list_keys(part: str) -> Iterator[Key]:
    """List the keys of an object of the format, each with those of the map that it may have as its value."""
    for key, value in schema()["$defs"][part]["properties"].items():
        yield Key(key, value, key in PARTS[part][2])
        for one in [value, *value.get("anyOf", [])]:
            for inner, inner_value in one.get("properties", {}).items():
                yield Key(f"{key}.{inner}", inner_value, inner in one.get("required", []))


def describe_type(value: Json, *, plural: bool = False) -> str:
    """Return a type in words, with links to the objects of the format; null is left out."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return NAMED.get(name) or f"[{title(name)}](#{anchor(title(name))})"
    choices = value.get("anyOf", [value])
    if any("enum" in choice for choice in choices):  # the patterns beside it are its words with blanks around them
        choices = [choice for choice in choices if "pattern" not in choice]
    described = [
        one
        for choice in choices
        if not (choice.get("deprecated") and "anyOf" in value)
        for one in _describe_choice(choice, plural=plural)
    ]
    *before, last = sorted(dict.fromkeys(described), key=lambda one: one.startswith("list")) or ["any"]
    comma = "," if last.startswith("list of") and " or " in last else ""
    return f"{', '.join(before)}{comma} or {last}" if before else last


def _describe_choice(value: Json, *, plural: bool) -> list[str]:
    if "$ref" in value or "anyOf" in value:
        return [describe_type(value, plural=plural)]
    if "enum" in value and len(value["enum"]) <= MOST_WORDS:
        return [f"`{_format_value(word)}`" for word in value["enum"]]
    if "enum" in value or "const" in value:
        return ["text"] if "enum" in value else []
    kinds = value.get("type", [])
    names = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    if len(names) > MOST_TYPES:  # a value that is ignored
        return []
    return [_describe_list(value) if name == "array" else WORDS[name] + "s" * plural for name in names]


def _describe_list(value: Json) -> str:
    items = describe_type(value["items"], plural=True) if "items" in value else ""
    return f"list of {items}" if items and "list" not in items else "list"


def _format_value(value: object) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def make_keys() -> str:
    """Return the page of the keys."""
    lines = [
        *_head("Keys of a definition", "the JSON Schema of the format (`dagbook schema`)"),
        *KEYS_INTRO.splitlines(),
    ]
    for part in PARTS:
        lines += ["", f"## {title(part)}", ""]
        places = [f"{keys} in [{title(other)}](#{anchor(title(other))})" for other, keys in _find_places(part)]
        lines += [f"The value of {'; '.join(places)}.", ""] if places else []
        lines += ["| key | type | default | meaning | more |", "|---|---|---|---|---|"]
        lines += [_key_row(part, key) for key in list_keys(part)]
    return "\n".join(lines) + "\n"


def _key_row(part: str, key: Key) -> str:
    value = key.schema
    default = (
        "**required**" if key.is_required else f"`{_format_value(value['default'])}`" if "default" in value else ""
    )
    page = TOPIC_OF.get(f"{part}.{key.name.partition('.')[0]}") or TOPIC_OF.get(part, "")
    more = f"[{Path(page).stem}](../{page})" if page else ""
    meaning = value["description"] + (" Deprecated." if value.get("deprecated") else "")
    kind = LOOSE.get(key.name) or describe_type(value)
    return f"| `{key.name}` | {kind} | {default} | {escape(meaning)} | {more} |"


def _find_places(part: str) -> Iterator[tuple[str, str]]:
    """Find the objects with keys whose values are, or contain, an object of the format, and name these keys."""
    link = f"(#{anchor(title(part))})"
    for other in PARTS:
        types = {key.name: describe_type(key.schema) for key in list_keys(other)}
        keys = [f"`{name}`" for name, described in types.items() if link in described]
        if keys and other != part:
            yield other, ", ".join(keys)


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


def make_commands() -> str:
    """Return the page of the commands."""
    contexts = list(walk(cli))
    lines = [*_head("Commands", "the command line itself"), *COMMANDS_INTRO.splitlines()]
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
            flags.append(f"`{one.opts[-1]}`")
        elif isinstance(one, click.Option) and record:  # arguments are in the line above, and have no words
            records.append(record)
    if records:
        yield from ["", *_option_table(records)]
    if flags:
        yield from ["", f"Settings as options ([configuration.md](configuration.md)): {', '.join(flags)}."]
    if isinstance(command, LocalOptions):
        yield from ["", "Works on this machine only."]
    if isinstance(command, GlobalOptions) and command.example:
        yield from ["", "Example:", "", "```sh", command.example, "```"]
    if command.epilog:
        yield from ["", *list(_paragraphs(command.epilog))[:-1]]


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            yield from ["```text", *paragraph.splitlines()[1:], "```", ""]
        else:
            yield from [escape(" ".join(paragraph.split())).replace("\\|", "|"), ""]


def _option_table(records: Iterable[tuple[str, str]]) -> list[str]:
    rows = [f"| `{names.replace('|', chr(92) + '|')}` | {escape(' '.join(text.split()))} |" for names, text in records]
    return ["| option | meaning |", "|---|---|", *rows]


def _head(title_of_page: str, source: str) -> list[str]:
    return [f"# {title_of_page}", "", f"<!-- Made by scripts/reference.py from {source}. -->", ""]


def title(part: str) -> str:
    """Return the heading of an object of the format."""
    return TITLES.get(part, part)


def anchor(heading: str) -> str:
    """Return the anchor of a heading of letters, digits, blanks and hyphens."""
    return heading.lower().replace(" ", "-")


def escape(text: str) -> str:
    """Return a plain text as Markdown for a table; what is in backticks stays code."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


def main() -> int:
    """Write or check the pages; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    check, status = parser.parse_args().check, 0
    for name, text in ((KEYS, make_keys()), (COMMANDS, make_commands())):
        path = DOCS / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"docs/reference/{name} is out of date; run scripts/reference.py", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
