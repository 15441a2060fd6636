"""The steps of a DAG in all their notations, with names and links (DAG format 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dagbook.spec.build.calls import call, config, deprecated_call, executor, parallel
from dagbook.spec.build.chat import messages, step_llm
from dagbook.spec.build.commands import command, shell
from dagbook.spec.build.env_params import env, params
from dagbook.spec.build.field import Field, Fields, describe
from dagbook.spec.build.hints import for_list
from dagbook.spec.build.hosts import step_container
from dagbook.spec.build.object_schema import Key, ObjectSchema, ParsedObject
from dagbook.spec.build.output import output
from dagbook.spec.build.policies import continue_on, preconditions, repeat, retry
from dagbook.spec.build.scalars import (
    boolean,
    log_output,
    non_negative,
    signal,
    text_map,
    texts,
    texts_or_scalars,
    trimmed,
)
from dagbook.spec.build.types import Inherited, apply_type, step_type
from dagbook.spec.check import check_steps
from dagbook.spec.model import Call, Executor, Step
from dagbook.spec.params.param_text import quote
from dagbook.spec.reading.yaml_reader import YamlNode

MAX_STEPS = 5_000
MAX_LINKS = 250_000
_NAME_PREFIXES = (("parallel", "parallel"), ("script", "script"), ("command", "cmd"))
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
STEP = ObjectSchema(
    "step",
    Key("name", trimmed, "load", "Name of the step, unique, at most 40 bytes; one is made when it is missing."),
    Key("id", trimmed, "load",
        "A short name for references to the results of the step: a letter, then letters, digits, '_' and '-'."),
    Key("description", trimmed, "Load the rows into the warehouse.", "What the step is for."),
    Key("workingDir", trimmed, "/srv/reports", "Directory that the step works in."),
    Key("dir", trimmed, "/srv/reports", "The old spelling of workingDir."),
    Key("executor", executor, {"type": "jq", "config": {"raw": True}},
        "What carries the step out: a type, or a map of type and config. Without one, the shell."),
    Key("type", step_type, "http",
        "The kind of step, instead of executor, such as shell, http, jq, docker or ssh.", since="1.30"),
    Key("config", config, {"timeout": 30}, "The config of the type.", since="1.30"),
    Key("container", step_container, "web",
        "A container that only this step runs in: the name of one that runs already, or a map.", since="1.26.7"),
    Key("command", command, ["npm ci", "npm test"],
        "What to run: a line, a script of several, a list of lines, or one of a program and its arguments.",
        name="command_fields"),
    Key("script", trimmed, "set -e\n./fetch.sh\n./load.sh\n",
        "A script, run by the shell, by its #! line, or by 'command'."),
    Key("shell", shell, ["/bin/bash", "-e"], "The shell of this step, as one text or a list."),
    Key("shellPackages", texts, ["jq", "curl"], "Packages that nix-shell provides."),
    Key("stdout", trimmed, "load.out", "A file that gets what the step writes to stdout, too."),
    Key("stderr", trimmed, "load.err", "A file that gets what the step writes to stderr, too."),
    Key("output", output, "ROWS",
        "A variable that later steps find the step's stdout in, or a map of its name, key and omit."),
    Key("logOutput", log_output, "merged",
        "Whether stdout and stderr have one log (merged) or two (separate), instead of the DAG's.", since="1.29"),
    Key("depends", texts_or_scalars, ["fetch"],
        "Names or ids of the steps that have to end first. An empty list cuts the link of a chain."),
    Key("continueOn", continue_on, {"failure": True, "markSuccess": True},
        "When dependents run although this step failed or was skipped."),
    Key("retryPolicy", retry, {"limit": 3, "intervalSec": 10},
        "How often and when the step is tried again after a failure.", name="retry"),
    Key("repeatPolicy", repeat, {"repeat": "until", "condition": "test -f /data/ready", "intervalSec": 30, "limit": 20},
        "How often and when the step is repeated.", name="repeat"),
    Key("preconditions", preconditions, [{"condition": "${ENV}", "expected": "production"}, "test -f /data/ready"],
        "Conditions that have to hold; otherwise the step is skipped."),
    Key("precondition", preconditions, "test -f /data/ready", "More conditions, after those of preconditions."),
    Key("mailOnError", boolean, True, "Send the error mail when this step fails."),
    Key("signalOnStop", signal, "SIGINT", "The signal that asks the step to stop, instead of SIGTERM."),
    Key("call", call, "load-one", "The DAG to run as this step."),
    Key("run", deprecated_call, "load-one", "The old spelling of call."),
    Key("params", params, {"FILE": "a.csv"}, "Parameters for the DAG that is called."),
    Key("parallel", parallel, {"items": ["a.csv", "b.csv"], "maxConcurrent": 2},
        "Items for each of which the DAG is called; ${ITEM} is the item."),
    Key("workerSelector", text_map, {"gpu": "true"}, "Labels that a worker must have."),
    Key("env", env, [{"PGHOST": "db.example.com"}], "Environment variables of this step."),
    Key("timeoutSec", non_negative, 600, "Time limit of the step in seconds; 0 for none.", name="timeout_seconds"),
    Key("llm", step_llm, {"provider": "openai", "model": "gpt-4o"},
        "The model of a chat step, instead of the DAG's.", since="1.30"),
    Key("messages", messages, [{"role": "user", "content": "Summarise ${ROWS}"}],
        "What a chat step says to the model.", since="1.30"),
    model=Step,
    expected="a step such as {command: echo hello}",
    only_2x=("action", "with"),
)
# fmt: on


class Item(msgspec.Struct):
    """A step with the number of its item, and the steps of the item before."""

    draft: ParsedObject
    number: int
    before: tuple[ParsedObject, ...] = ()


def read_steps(field: Field, inherited: Inherited, *, chain: bool) -> tuple[Step, ...]:
    """Read a list of steps or a map of them by name; a chain links each to the item before it.

    The steps get their names and are checked as a set.
    """
    if not _is_countable(field):
        return ()
    match field.value:
        case list():
            items = list(_read_list(field, inherited))
        case dict():
            items = list(_read_map(field, inherited))
        case _:
            field.expect("a list or a map of steps", for_list(field.value))
            items = []
    # Two large groups in a chain have as many links as the product of their sizes.
    links = sum(len(item.before) for item in items)
    if chain and links > MAX_LINKS:
        field.refuse(f"groups in a chain may have {MAX_LINKS:,} links, these have {links:,}; write type: graph")
        return ()
    _generate_names(items)
    steps = [build_step(item.draft, depends=_depends(item, chain=chain)) for item in items]
    return check_steps(steps, [item.draft for item in items])


def _is_countable(field: Field) -> bool:
    value = field.value
    nodes = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    field.report.steps += sum(len(node.value) if isinstance(node.value, list) else 1 for node in nodes)
    if field.report.steps <= MAX_STEPS:
        return True
    field.refuse(f"a definition may hold {MAX_STEPS:,} steps, this one has {field.report.steps:,}")
    return False


def _read_list(field: Field, inherited: Inherited) -> Iterator[Item]:
    before: tuple[ParsedObject, ...] = ()
    for number, item in enumerate(field.items(), 1):
        members = list(item.items()) if isinstance(item.value, list) else [item]
        read = [_read_item(member, inherited) for member in members]
        drafts = tuple(draft for draft in read if draft)
        for draft in drafts:
            yield Item(draft, number, before)
        before = drafts


def _read_item(item: Field, inherited: Inherited) -> ParsedObject | None:
    match item.value:
        case str():
            node = YamlNode({"command": item.node}, *item.mark, {"command": item.mark})
            return read_step(Field(node, item.path, item.report), inherited)
        case dict():
            return read_step(item, inherited)
        case list():
            item.refuse("steps can be grouped in one list, but not in a list within a list")
        case _:
            item.refuse(f"a step must be a text, a map or a list of these, not {describe(item.value)}")
    return None


def _read_map(field: Field, inherited: Inherited) -> Iterator[Item]:
    for number, (name, entry) in enumerate(field.entries(), 1):
        if entry.value is None:
            entry.node = YamlNode({}, *entry.mark)
        draft = read_step(entry, inherited)
        if draft:
            draft.values["name"] = name.strip()
            yield Item(draft, number)


def _generate_names(items: Iterable[Item]) -> None:
    """Name the unnamed steps: prefix and item number, counted on while another generated name is the same."""
    following: dict[str, dict[int, int]] = {}  # by prefix: from a taken number to where to look next
    for item in items:
        fields = item.draft.values
        if fields.get("name"):
            continue
        prefix = name_prefix(fields)
        taken = following.setdefault(prefix, {})
        number = item.number
        passed: list[int] = []
        while number in taken:
            passed.append(number)
            number = taken[number]
        taken.update(dict.fromkeys([*passed, number], number + 1))
        fields["name"] = f"{prefix}_{number}"


def _depends(item: Item, *, chain: bool) -> tuple[str, ...]:
    """Return explicit dependencies, then the links of the chain; an empty list removes these (3.7)."""
    fields = item.draft.values
    explicit: tuple[str, ...] = fields.get("depends", ())
    if not chain or ("depends" in fields and not explicit):
        return explicit
    listed = set(explicit)
    links = (draft.values for draft in item.before)
    return explicit + tuple(link["name"] for link in links if listed.isdisjoint((link["name"], link.get("id"))))


def read_step(field: Field, inherited: Inherited) -> ParsedObject | None:
    """Read a step object."""
    parsed = STEP.read(field)
    if parsed is None:
        return None
    fields = parsed.values
    fields["working_dir"] = fields.get("working_dir") or fields.pop("dir", "")
    fields.pop("dir", None)
    fields["preconditions"] = fields.get("preconditions", ()) + fields.pop("precondition", ())
    apply_type(parsed, inherited)
    if fields.get("script") and "script" in fields.get("command_fields", ()):
        parsed.fields["script"].warn("is ignored beside a command of several lines; write that in one line (>-)")
    fields |= fields.pop("command_fields", {})
    fields |= fields.pop("output", {})
    if len(fields.get("lines", ())) > 1 and fields.pop("script", ""):
        parsed.fields["script"].warn("is ignored beside several command lines; put it into a step of its own")
    _apply_call(fields)
    return parsed


def build_step(draft: ParsedObject, **more: object) -> Step:
    """Build the step of a draft, which may lack its name and its links to others; ``more`` overrides its values."""
    return Step(**(draft.values | more))


def name_prefix(fields: Fields) -> str:
    """Return the prefix of a generated name (3.2)."""
    kind: str = fields["executor"].type
    return kind or next((prefix for name, prefix in _NAME_PREFIXES if fields.get(name)), "step")


def _apply_call(fields: Fields) -> None:
    """Set what a call implies: executor, command and arguments (3.13)."""
    name = fields.pop("call", "") or fields.get("run", "")
    fields.pop("run", None)
    if not name:
        return
    pairs = fields.get("params", ())
    given = quote(pairs, positions=False)
    fields["call"] = Call(name=name, pairs=pairs, params=given)
    fields["executor"] = Executor(type="parallel" if fields.get("parallel") else "dag")
    fields |= {"command_line": f"{name} {given}".strip(), "command": "call", "args": (name, given)}
    fields["command_list"] = False
