"""The type of a step beside its config and container, and what each type admits (DAG format 1.30, 1 and 3.2)."""

from __future__ import annotations

from app.spec.build.calls import EXECUTOR_TYPES
from app.spec.build.field import Field
from app.spec.build.hints import listed, near
from app.spec.build.scalars import trimmed
from app.spec.build.shape import Said
from app.spec.model import Executor
from app.spec.problem import show

# What a step says about what it runs: the names that its shape gives them, and their spellings.
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
    meant = near(kind, TYPES) if field.report.may_hint() else ""
    hint = f"; did you mean {meant}?" if meant else f"; known are {listed(list(TYPES))}"
    field.refuse(f"there is no type {show(kind)}{hint}")
    return None


def apply_type(said: Said) -> None:
    """Make of ``type``, ``config`` and ``container`` the executor they stand for; refuse what that does not admit."""
    fields, places = said.fields, said.places
    kind, config = fields.pop("type", ""), fields.pop("config", {})
    if "executor" in places:
        for name in [name for name, value in (("type", kind), ("config", config)) if value]:
            places[name].refuse("cannot stand beside executor; give type and config, or executor alone")
    elif kind:
        fields["executor"] = Executor(type=kind, config=config)
        _refuse_more(said, kind, f"of type {kind}")
    elif config and not said.refused("type"):
        places["config"].warn("has no effect without type")
    if "container" in places and not said.refused("type", "executor"):
        _apply_container(said, is_checked=bool(kind) and "executor" not in places)


def _apply_container(said: Said, *, is_checked: bool) -> None:
    """Let a step run in the container that it names, whatever an executor for containers is configured to."""
    executor: Executor = said.fields.get("executor", Executor())
    if executor.type not in ("", _DOCKER, "container"):
        said.places["container"].refuse(f"a step of type {executor.type} takes no container")
        return
    if executor.config:
        said.places["container"].warn("replaces the config of the step's executor")
    said.fields["executor"] = Executor(type=_DOCKER)
    if not is_checked:
        _refuse_more(said, _DOCKER, "in a container")


def _refuse_more(said: Said, kind: str, what_step: str) -> None:
    admitted, places = _ADMITTED[kind], said.places
    for name, key in _KEYS.items():
        is_script = name == "run_what" and "script" in said.fields.get(name, ())
        if name in places and ("script" if is_script else key) not in admitted:
            what = "command of several lines" if is_script else key
            places[name].refuse(f"a step {what_step} takes no {what}")
    if "worker_selector" in places and not {"call", "run"} & places.keys():
        places["worker_selector"].refuse("is for a step that calls a DAG; add call, or leave it out")
