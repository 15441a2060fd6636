"""Checks that need the whole document: names, ids, dependencies and cycles (DAG format 1.1 and 3.14)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from dagbook.spec.build.field import Field
from dagbook.spec.build.hints import closest
from dagbook.spec.build.object_schema import ParsedObject
from dagbook.spec.model import SQL_TYPES, Step
from dagbook.spec.problem import quoted

MAX_NAME_LENGTH = 40
RESERVED_IDS = frozenset({"env", "params", "args", "stdout", "stderr", "output", "outputs"})

_NAME = re.compile(r"[A-Za-z0-9_.-]*")
_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_COMMAND_TYPES = frozenset({"", "command", "shell"})
_LONGEST_CYCLE_SHOWN = 10
_MAX_COMPARED = 200  # candidates for a suggestion: with thousands of names and mistakes it would take minutes


def name_error(name: str) -> str:
    """Return the error of a DAG name (1.1); an empty text if it is valid."""
    if not _NAME.fullmatch(name):
        return f"{quoted(name)} may only hold letters, digits, _, - and ."
    if len(name.encode()) > MAX_NAME_LENGTH:
        return f"{quoted(name)} is {len(name)} bytes long, the limit is {MAX_NAME_LENGTH}"
    return ""


def check_steps(steps: Sequence[Step], drafts: Sequence[ParsedObject]) -> tuple[Step, ...]:
    """Check the steps of a DAG as a set, and return them with the ids in ``depends`` replaced by names.

    The drafts are in the same order as the steps; problems are reported at their fields.
    """
    _check_identities(steps, drafts)
    names = {step.id: step.name for step in reversed(steps) if step.id}
    translated = tuple(
        replace(step, depends=tuple(dict.fromkeys(names.get(name, name) for name in step.depends))) for step in steps
    )
    for step, draft in zip(translated, drafts, strict=True):
        for check in (_check_id, _check_name, _check_parallel, _check_type):
            check(step, draft)
    _check_dependencies(translated, drafts)
    return translated


def _check_identities(steps: Sequence[Step], drafts: Sequence[ParsedObject]) -> None:
    names, ids = Counter(step.name for step in steps), Counter(step.id for step in steps)
    seen_names: set[str] = set()
    seen_ids: set[str] = set()
    for step, draft in zip(steps, drafts, strict=True):
        if step.name in seen_names:
            draft.field_for("name").refuse(
                f"the name {quoted(step.name)} belongs to another step; give it a name of its own"
            )
        if step.id and step.id in seen_ids:
            draft.field_for("id").refuse(f"the id {quoted(step.id)} belongs to another step; give it an id of its own")
        if step.id and names[step.id] > (step.name == step.id):
            draft.field_for("id").refuse(f"the id {quoted(step.id)} is the name of another step; choose another id")
        if ids[step.name] > (step.name == step.id):
            draft.field_for("name").refuse(
                f"the name {quoted(step.name)} is the id of another step; choose another name"
            )
        seen_names.add(step.name)
        seen_ids.add(step.id)


def _check_id(step: Step, draft: ParsedObject) -> None:
    if not step.id:
        return
    if not _ID.fullmatch(step.id):
        draft.field_for("id").refuse(
            f"the id {quoted(step.id)} must be letters, digits, _ and -, beginning with a letter"
        )
    elif step.id.lower() in RESERVED_IDS:
        draft.field_for("id").refuse(f"the id {quoted(step.id)} is reserved; choose another one")


def _check_name(step: Step, draft: ParsedObject) -> None:
    size = len(step.name.encode())
    if not size:
        draft.field.refuse("a step must have a name that is not empty")
    if size > MAX_NAME_LENGTH:
        where = draft.field_for("name")
        where.refuse(f"the step name {quoted(step.name)} is {size} bytes long, the limit is {MAX_NAME_LENGTH}")


def _check_parallel(step: Step, draft: ParsedObject) -> None:
    if step.parallel is None:
        return
    where = draft.field_for("parallel")
    if step.call is None and not draft.refused("call", "run"):
        where.refuse(f"the step {quoted(step.name)} has nothing to run in parallel; add call")
    if step.parallel.max_concurrent <= 0:
        where.refuse(f"maxConcurrent must be above 0, not {step.parallel.max_concurrent}")
    if not step.parallel.variable and not step.parallel.items:
        where.refuse("parallel needs at least one item, or a text that gives items")


def _check_type(step: Step, draft: ParsedObject) -> None:
    kind = step.executor.type
    if draft.refused("command_fields", "script", "call", "run", "executor", "type"):
        return
    if kind in _COMMAND_TYPES and not (step.command or step.script or step.call):
        draft.field.refuse(f"the step {quoted(step.name)} has nothing to run; add command, script, container or call")
    if kind == "ssh" and step.script:
        where = draft.field_for("script", "command_fields")
        where.refuse(f"the step {quoted(step.name)} cannot run a script over SSH; write a command of one line")
    if kind in SQL_TYPES and bool(step.command) == bool(step.script):
        draft.field.refuse(f"the step {quoted(step.name)} needs its statements in command or in script")
    if kind == "archive" and not step.command:
        draft.field.refuse(f"the step {quoted(step.name)} needs the command extract, create or list")


def _check_dependencies(steps: Sequence[Step], drafts: Sequence[ParsedObject]) -> None:
    fields = {step.name: draft.field_for("depends") for step, draft in zip(steps, drafts, strict=True)}
    for step in steps:
        for name in step.depends:
            if name not in fields:
                message = f"the step {quoted(step.name)} depends on {quoted(name)}, which is no step here"
                where = fields[step.name]
                where.refuse(message + (_suggestion(name, fields) if where.report.may_hint() else ""))
    # With duplicate names a dependency is ambiguous.
    if len(fields) == len(steps):
        _check_cycles(steps, fields)


def _suggestion(name: str, known: Collection[str]) -> str:
    """Suggest the step that an unknown dependency stands for."""
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and all(part in known for part in parts):
        return f"; write a list: [{', '.join(parts)}]"
    found = closest(name.strip(), known) if len(known) <= _MAX_COMPARED else ""
    return f"; did you mean {quoted(found)}?" if found else ""


def _check_cycles(steps: Sequence[Step], fields: Mapping[str, Field]) -> None:
    """Refuse each dependency of a step on itself, and one cycle of several steps."""
    for step in steps:
        if step.name in step.depends:
            fields[step.name].refuse(f"the step {quoted(step.name)} depends on itself")
    edges = {step.name: [name for name in step.depends if name in fields and name != step.name] for step in steps}
    cycle = find_cycle(edges)
    if cycle:
        shown = [quoted(name) for name in cycle[:_LONGEST_CYCLE_SHOWN]]
        if len(cycle) > _LONGEST_CYCLE_SHOWN:
            shown.append(f"{len(cycle) - _LONGEST_CYCLE_SHOWN} more")
        path = " -> ".join([*shown, quoted(cycle[0])])
        fields[cycle[0]].refuse(f"the steps {path} wait for each other; remove one of the dependencies")


def find_cycle(edges: dict[str, list[str]]) -> list[str]:
    """Return names that form a cycle; ``edges`` maps a name to its dependencies."""
    waiting = _prune(edges)
    name = next(iter(waiting), None)
    passed: dict[str, int] = {}
    while name is not None and name not in passed:
        passed[name] = len(passed)
        name = next(other for other in edges[name] if other in waiting)
    return [] if name is None else list(passed)[passed[name] :]


def _prune(edges: dict[str, list[str]]) -> dict[str, int]:
    """Remove repeatedly what depends on nothing that is left; what remains leads into a cycle."""
    waiting = {name: len(others) for name, others in edges.items()}
    dependents: dict[str, list[str]] = {name: [] for name in edges}
    for name, others in edges.items():
        for other in others:
            dependents[other].append(name)
    free = [name for name, count in waiting.items() if not count]
    while free:
        name = free.pop()
        del waiting[name]
        for dependent in dependents[name]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                free.append(dependent)
    return waiting
