"""The type of a step beside its config and container, and what each type admits (DAG format 1.30, 1 and 3.2)."""

from __future__ import annotations

from dagbook.spec.build.calls import EXECUTOR_TYPES
from dagbook.spec.build.field import Field
from dagbook.spec.build.hints import closest, join_words
from dagbook.spec.build.object_schema import ParsedObject
from dagbook.spec.build.scalars import trimmed
from dagbook.spec.model import Executor
from dagbook.spec.problem import quoted

# The values of a step that tell what it runs: the names in the model, and their spellings.
_KEYS = {
    "run_what": "command",
    "script": "script",
    "shell": "shell",
    "shell_packages": "shellPackages",
    "call": "call",
    "run": "call",
}
_DOCKER = "docker"
_COMMAND = frozenset({"command"})
_CALL = frozenset({"call"})
_SHELL = frozenset({"command", "script", "shell", "shellPackages"})
_ADMITTED = {
    "command": _SHELL,
    "shell": _SHELL,
    "ssh": frozenset({"command", "shell", "shellPackages"}),
    **dict.fromkeys(("http", "jq"), frozenset({"command", "script"})),
    **dict.fromkeys(("docker", "container", "archive", "gha", "github_action", "github-action"), _COMMAND),
    **dict.fromkeys(("dag", "subworkflow", "parallel"), _CALL),
    "mail": frozenset[str](),
}
TYPES = tuple(sorted(_ADMITTED))


def step_type(field: Field) -> str | None:
    """Read the type of a step; a blank one is none."""
    kind = trimmed(field)
    if not kind or kind in EXECUTOR_TYPES:
        return kind
    meant = closest(kind, TYPES) if field.report.may_hint() else ""
    hint = f"; did you mean {meant}?" if meant else f"; known are {join_words(list(TYPES))}"
    field.refuse(f"there is no type {quoted(kind)}{hint}")
    return None


def apply_type(parsed: ParsedObject) -> None:
    """Turn ``type``, ``config`` and ``container`` into an executor; refuse values that it does not admit."""
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


def _refuse_more(parsed: ParsedObject, kind: str, what_step: str) -> None:
    admitted, fields = _ADMITTED[kind], parsed.fields
    for name, key in _KEYS.items():
        is_script = name == "run_what" and "script" in parsed.values.get(name, ())
        if name in fields and ("script" if is_script else key) not in admitted:
            what = "command of several lines" if is_script else key
            fields[name].refuse(f"a step {what_step} takes no {what}")
    if "worker_selector" in fields and not {"call", "run"} & fields.keys():
        fields["worker_selector"].refuse("is for a step that calls a DAG; add call, or leave it out")
