"""The page of the keys of a definition, from the JSON Schema of the format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dagbook.spec.build.dag_fields import OTEL
from dagbook.spec.build.output import OUTPUT
from dagbook.spec.config_keys import CONFIG_KEYS, ConfigKey
from dagbook.spec.grammar import PARTS, schema
from dagbook.spec.model import SQL_TYPES
from scripts.documentation.pages.markdown import anchor, code, escape, head, show, table

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
    **{f"otel.{key}": _TYPES[member.kind] for key, member in OTEL.items() if member.kind in _TYPES},
    **{f"output.{key}": _TYPES[member.kind] for key, member in OUTPUT.items()},
    "backoff": "boolean or number",
}
# The page of docs/ that explains keys, by object and key; without a key, those of the whole object.
TOPICS = {
    "workflows/steps.md": "dag.type dag.shell dag.steps dag.logOutput dag.delaySec dag.maxActiveSteps step.name "
    "step.id step.command step.script step.shell step.shellPackages step.stdout step.stderr step.logOutput "
    "step.depends",
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
    "how-to/rights.md": "dag.tags",
    "workflows/http-jq-archive.md": "step.executor",
}
COLUMNS = "key type default example meaning since more"
INTRO = """\
Every key of a definition, by the object that it belongs to. Keys are case-insensitive. A key without a value, or with
`null`, is as if it were absent, except in a [condition](#condition). A default counts where neither the definition
nor the base configuration has the key; texts, lists and maps without one are empty. *Since* is the release of Dagu 1.x
that came with the key, where 1.26 stands for all releases up to it; `Dagbook` marks keys that only Dagbook has. Keys of
the `config` of a step are [at the end](#keys-of-config). [format.md](../workflows/format.md) has the pages by topic,
and what differs between releases. Editors complete and explain the keys with the schema that `dagbook schema` prints,
which this page is made from."""
CONFIG_INTRO = """\
## Keys of config

The `config` of a step has other keys for each type. They are case-insensitive. Numbers and booleans may be given as
text, a text as a number; unknown keys are ignored, but refused in `postgres` and `sqlite`; an invalid value
fails the step with an error that names it. Steps
of the types `command` and `shell`, of those that call DAGs, and of `chat` have none."""
CONFIG_TOPICS = {
    **dict.fromkeys(("http", "jq", "archive"), "workflows/http-jq-archive.md"),
    **dict.fromkeys(("ssh", "docker"), "workflows/remote.md"),
    **dict.fromkeys(SQL_TYPES, "workflows/sql.md"),
    "mail": "workflows/mail.md",
    "hitl": "workflows/approvals.md",
}
TOPIC_OF = {name: page for page, names in TOPICS.items() for name in names.split()}


class Key(NamedTuple):
    """A key of an object, or of a map inside it as ``key.inner``, and its schema."""

    name: str
    schema: Json
    is_required: bool


def list_keys(part: str) -> Iterator[Key]:
    """List the keys of an object of the format, each with those of the map that it may have as its value."""
    for key, value in schema()["$defs"][part]["properties"].items():
        yield Key(key, value, key in PARTS[part].required)
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
        return [code(show(word)) for word in value["enum"]]
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


def make() -> str:
    """Return the page of the keys."""
    lines = head("Keys of a definition", "the JSON Schema of the format (`dagbook schema`)", INTRO)
    for part in PARTS:
        lines += ["", f"## {title(part)}", ""]
        places = [f"{keys} in [{title(other)}](#{anchor(title(other))})" for other, keys in _find_places(part)]
        lines += [f"The value of {'; '.join(places)}.", ""] if places else []
        lines += table(COLUMNS, (_key_row(part, key) for key in list_keys(part)))
    lines += ["", *CONFIG_INTRO.splitlines()]
    for name, keys in CONFIG_KEYS.items():
        lines += ["", f"### {config_title(name)}", ""]
        page = CONFIG_TOPICS[name.partition(":")[0]]
        lines += [f"See [{Path(page).stem}](../{page}).", ""]
        lines += table(COLUMNS.removesuffix(" more"), (_config_row(key, known) for key, known in keys.items()))
    return "\n".join(lines) + "\n"


def title(part: str) -> str:
    """Return the heading of an object of the format."""
    return TITLES.get(part, part)


def config_title(name: str) -> str:
    """Return the heading of a table of keys of a config, as of ``docker: exec``."""
    kind, _, inner = name.partition(": ")
    return f"{inner} in the config of {kind}" if inner else f"config of {kind}"


def _config_row(key: str, known: ConfigKey) -> tuple[str, ...]:
    meaning = known.meaning.removeprefix("Required. ")
    default = "**required**" if meaning != known.meaning else "" if known.default is None else code(show(known.default))
    return code(key), known.kind, default, _example(known.example), escape(meaning), known.since


def _example(data: object) -> str:
    if isinstance(data, str) and "\n" in data:
        return code(json.dumps(data))
    text = yaml.safe_dump(data, default_flow_style=True, width=1000, sort_keys=False)
    return code(text.removesuffix("...\n").strip())


def _key_row(part: str, key: Key) -> tuple[str, ...]:
    found = key.schema
    default = "**required**" if key.is_required else code(show(found["default"])) if "default" in found else ""
    page = TOPIC_OF.get(f"{part}.{key.name.partition('.')[0]}") or TOPIC_OF.get(part, "")
    more = f"[{Path(page).stem}](../{page})" if page else ""
    meaning = found["description"] + (" Deprecated." if found.get("deprecated") else "")
    kind = LOOSE.get(key.name) or describe_type(found)
    return code(key.name), kind, default, _example(found["examples"][0]), escape(meaning), found["x-since"], more


def _find_places(part: str) -> Iterator[tuple[str, str]]:
    """Find the objects with keys whose values are, or contain, an object of the format, and name these keys."""
    link = f"(#{anchor(title(part))})"
    for other in PARTS:
        types = {key.name: describe_type(key.schema) for key in list_keys(other)}
        keys = [f"`{name}`" for name, described in types.items() if link in described]
        if keys and other != part:
            yield other, ", ".join(keys)
