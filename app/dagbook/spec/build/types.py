"""The type of a step beside its config and container, and what each type admits (DAG format 1.30, 1 and 3.2)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dagbook.json_values import Json, JsonObject
from dagbook.spec.build.calls import EXECUTOR_TYPES
from dagbook.spec.build.field import Field, describe
from dagbook.spec.build.hints import closest, join_words
from dagbook.spec.build.object_schema import ParsedObject
from dagbook.spec.build.scalars import trimmed
from dagbook.spec.config_keys import CONFIG_KEYS
from dagbook.spec.model import HITL, SQL_TYPES, Executor
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render
from dagbook.spec.schemas import accepts

# What a step runs: the name of the value among those that were read -> the key.
_KEYS = {
    "command_fields": "command",
    "script": "script",
    "shell": "shell",
    "shell_packages": "shellPackages",
    "call": "call",
    "run": "call",
    "messages": "messages",
}
_DOCKER, _CHAT = "docker", "chat"
_MAX_INPUTS = 100
NOT_IN_DAGU = "Dagu 1.x cannot run this file"
_COMMAND = frozenset({"command"})
_CALL = frozenset({"call"})
_SHELL = frozenset({"command", "script", "shell", "shellPackages"})
_ONE_LINE = frozenset({"http", "jq", "archive", "gha", "github_action", "github-action"})
_ADMITTED = {
    "command": _SHELL,
    "shell": _SHELL,
    "ssh": frozenset({"command", "shell", "shellPackages"}),
    **dict.fromkeys(("http", "jq", *SQL_TYPES), frozenset({"command", "script"})),
    **dict.fromkeys(("docker", "container", "archive", "gha", "github_action", "github-action"), _COMMAND),
    **dict.fromkeys(("dag", "subworkflow", "parallel"), _CALL),
    "chat": frozenset({"messages"}),
    **dict.fromkeys(("mail", HITL), frozenset[str]()),
}
TYPES = tuple(sorted(_ADMITTED))


@accepts({"type": "string", "pattern": rf"^\s*({'|'.join(TYPES)}|)\s*$"})
def step_type(field: Field) -> str | None:
    """Read the type of a step; a blank one is none."""
    kind = trimmed(field)
    if not kind or kind in EXECUTOR_TYPES:
        return kind
    meant = closest(kind, TYPES) if field.report.may_hint() else ""
    hint = f"; did you mean {meant}?" if meant else f"; known are {join_words(list(TYPES))}"
    field.refuse(f"there is no type {quoted(kind)}{hint}")
    return None


class Inherited(msgspec.Struct, frozen=True, kw_only=True):
    """What a step has from its DAG: the executor of steps that name none, the model of chat steps, and its place."""

    executor: Executor = Executor()
    model: ParsedObject | None = None
    for_workers: bool = False
    is_handler: bool = False


def apply_type(parsed: ParsedObject, inherited: Inherited) -> None:
    """Set the executor of a step from ``type``, ``config`` and ``container``; refuse values that it does not admit."""
    values, fields = parsed.values, parsed.fields
    kind, config = values.pop("type", ""), values.pop("config", {})
    if "executor" in fields:
        for name in [name for name, value in (("type", kind), ("config", config)) if value]:
            fields[name].refuse("cannot stand beside executor; give type and config, or executor alone")
    elif kind:
        values["executor"] = Executor(type=kind, config=config)
        _refuse_more(parsed, kind, f"of type {kind}")
    elif config and not parsed.refused("type"):
        fields["config"].warn("has no effect without type")
    if "container" in fields and not parsed.refused("type", "executor"):
        _apply_container(parsed, is_checked=bool(kind) and "executor" not in fields)
    executor: Executor = values.setdefault("executor", inherited.executor)
    if not kind and "container" not in fields and not {"call", "run"} & fields.keys():
        # The old form, and a step that works where its DAG does, are not refused: they used to be accepted.
        for entry, what in _unadmitted(parsed, executor.type):
            entry.warn(f"has no effect in a step of type {executor.type}, which takes no {what}")
    if len(values.get("command_fields", {}).get("lines", ())) > 1 and executor.type in _ONE_LINE:
        fields["command_fields"].refuse(f"a step of type {executor.type} takes one command line, these are several")
    if executor.type == HITL:
        _apply_approval(parsed, executor, inherited)
    _check_sql(parsed, executor)
    _check_chat(parsed, executor, inherited)


def _apply_approval(parsed: ParsedObject, executor: Executor, inherited: Inherited) -> None:
    config = _approval(parsed.field_for("config", "executor"), executor.config)
    parsed.values["executor"] = Executor(type=HITL, config=config)
    for name, key in (("retry", "retryPolicy"), ("repeat", "repeatPolicy")):
        if parsed.values.pop(name, None):
            parsed.fields[name].warn(f"has no effect on an approval; leave {key} out")
    if inherited.is_handler:
        parsed.field.refuse("a handler cannot wait for an approval; make it a step")
    if inherited.for_workers:
        parsed.field.refuse("a DAG with workerSelector cannot wait for an approval: leave out one of both")


def _approval(field: Field, config: JsonObject) -> dict[str, Json]:
    """Return the config of an approval: ``prompt`` as text, the other keys as lists of names.

    ``approvers`` is an extension: users, or groups as ``group:NAME``, who alone may decide.

    Problems are reported at ``field``, the one that has the config.
    """
    prompt, found = "", {"input": list[str](), "required": list[str](), "approvers": list[str]()}
    for key in [key for key in CONFIG_KEYS[HITL] if config.get(key) is not None]:
        value = config[key]
        names = [value] if isinstance(value, str) else value
        if key == "prompt" and not isinstance(value, list | dict):
            prompt = render(value)
        elif key != "prompt" and isinstance(names, list) and all(isinstance(name, str) for name in names):
            found[key] = [name.strip() for name in names if name.strip()]
        else:
            field.refuse_key(
                key, f"must be {'a text' if key == 'prompt' else 'a list of names'}, not {describe(value)}"
            )
    for name in [name for name in found["required"] if name not in found["input"]]:
        field.refuse_key("required", f"{quoted(name)} is none of the names in input; add it there")
    if len(found["input"]) > _MAX_INPUTS:
        field.refuse_key("input", f"may have {_MAX_INPUTS} names, these are {len(found['input'])}")
    return {"prompt": prompt, **found}


def _check_sql(parsed: ParsedObject, executor: Executor) -> None:
    """Refuse other keys than those that count: what they would have promised, such as a limit, would not be kept."""
    if executor.type not in SQL_TYPES:
        return
    place, known = parsed.field_for("config", "executor", "type"), CONFIG_KEYS[executor.type]
    given = {key.lower() for key, value in executor.config.items() if value not in (None, "")}
    for key in executor.config:
        if key.lower() not in map(str.lower, known):
            place.refuse_key(key, f"is not known for type {executor.type}; known are {join_words(list(known))}")
    if "dsn" not in given:
        place.refuse(f"a step of type {executor.type} needs dsn in its config: the address of the database")
    parsed.field_for("type", "executor").warn(f"{executor.type} is a type of Dagbook: {NOT_IN_DAGU}")


def _check_chat(parsed: ParsedObject, executor: Executor, inherited: Inherited) -> None:
    values, fields = parsed.values, parsed.fields
    own, messages = values.pop("llm", None), values.pop("messages", 0)
    if executor.type != _CHAT:
        if messages and "executor" not in fields and "type" not in fields:
            fields["messages"].refuse("are for a step of type chat; add type: chat, or leave them out")
        return
    if not messages and not parsed.refused("messages"):
        parsed.field.refuse("a chat step needs messages; add a list of maps with role and content")
    model = inherited.model
    if own is None and model is not None and not parsed.refused("llm"):
        missing = [name for name in ("provider", "model") if not model.values.get(name) and not model.refused(name)]
        if missing:
            parsed.field.refuse(
                f"llm of the DAG has no {join_words(missing)}; add it there, or give this step its own llm"
            )


def _apply_container(parsed: ParsedObject, *, is_checked: bool) -> None:
    """Run the step in its own container, whatever container executor the DAG configures."""
    executor: Executor = parsed.values.get("executor", Executor())
    if executor.type not in ("", _DOCKER, "container"):
        parsed.fields["container"].refuse(f"a step of type {executor.type} takes no container")
        return
    if executor.config:
        parsed.fields["container"].warn("replaces the config of the step's executor")
    parsed.values["executor"] = Executor(type=_DOCKER)
    if not is_checked:
        _refuse_more(parsed, _DOCKER, "in a container")


def _unadmitted(parsed: ParsedObject, kind: str) -> Iterator[tuple[Field, str]]:
    """Yield the fields that a type does not admit, and their names."""
    for name, key in _KEYS.items() if kind in _ADMITTED else ():
        is_script = name == "command_fields" and "script" in parsed.values.get(name, ())
        if name in parsed.fields and ("script" if is_script else key) not in _ADMITTED[kind]:
            yield parsed.fields[name], "command of several lines" if is_script else key


def _refuse_more(parsed: ParsedObject, kind: str, what_step: str) -> None:
    fields = parsed.fields
    for entry, what in _unadmitted(parsed, kind):
        entry.refuse(f"a step {what_step} takes no {what}")
    if "worker_selector" in fields and not {"call", "run"} & fields.keys():
        fields["worker_selector"].refuse("is for a step that calls a DAG; add call, or leave it out")
