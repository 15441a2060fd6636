"""What needs the whole document: names, ids, dependencies and cycles (DAG format 1.1 and 3.14)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from app.spec.build.field import Field
from app.spec.build.hints import near
from app.spec.build.step import Draft
from app.spec.model import Step
from app.spec.problem import show

LONGEST_NAME = 40
RESERVED_IDS = frozenset({"env", "params", "args", "stdout", "stderr", "output", "outputs"})

_NAME = re.compile(r"[A-Za-z0-9_.-]*")
_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_COMMAND_TYPES = frozenset({"", "command", "shell"})
_LONGEST_CYCLE_SHOWN = 10
_MOST_COMPARED = 200  # names that a wrong one is held against: with thousands of both it would take minutes


def name_fault(name: str) -> str:
    """Say what is wrong with the name of a DAG (1.1); an empty text when nothing is."""
    if not _NAME.fullmatch(name):
        return f"{show(name)} may only hold letters, digits, _, - and ."
    if len(name.encode()) > LONGEST_NAME:
        return f"{show(name)} is {len(name)} bytes long, the limit is {LONGEST_NAME}"
    return ""


def check_steps(steps: Sequence[Step], drafts: Sequence[Draft]) -> tuple[Step, ...]:
    """Check the steps of a DAG as a set, and give them with the ids in ``depends`` turned into names.

    The drafts are those that the steps were made of, in the same order; problems are noted at their places.
    """
    _check_identities(steps, drafts)
    names = {step.id: step.name for step in reversed(steps) if step.id}
    translated = tuple(
        replace(step, depends=tuple(dict.fromkeys(names.get(name, name) for name in step.depends))) for step in steps
    )
    for step, draft in zip(translated, drafts, strict=True):
        for check in _STEP_CHECKS:
            check(step, draft)
    _check_dependencies(translated, drafts)
    return translated


def _check_identities(steps: Sequence[Step], drafts: Sequence[Draft]) -> None:
    names, ids = Counter(step.name for step in steps), Counter(step.id for step in steps)
    seen_names: set[str] = set()
    seen_ids: set[str] = set()
    for step, draft in zip(steps, drafts, strict=True):
        if step.name in seen_names:
            draft.place("name").refuse(f"the name {show(step.name)} belongs to another step; give it a name of its own")
        if step.id and step.id in seen_ids:
            draft.place("id").refuse(f"the id {show(step.id)} belongs to another step; give it an id of its own")
        if step.id and names[step.id] > (step.name == step.id):
            draft.place("id").refuse(f"the id {show(step.id)} is the name of another step; choose another id")
        if ids[step.name] > (step.name == step.id):
            draft.place("name").refuse(f"the name {show(step.name)} is the id of another step; choose another name")
        seen_names.add(step.name)
        seen_ids.add(step.id)


def _check_id(step: Step, draft: Draft) -> None:
    if not step.id:
        return
    if not _ID.fullmatch(step.id):
        draft.place("id").refuse(f"the id {show(step.id)} must be letters, digits, _ and -, beginning with a letter")
    elif step.id.lower() in RESERVED_IDS:
        draft.place("id").refuse(f"the id {show(step.id)} is reserved; choose another one")


def _check_name(step: Step, draft: Draft) -> None:
    size = len(step.name.encode())
    if not size:
        draft.field.refuse("a step must have a name that is not empty")
    if size > LONGEST_NAME:
        where = draft.place("name")
        where.refuse(f"the step name {show(step.name)} is {size} bytes long, the limit is {LONGEST_NAME}")


def _check_parallel(step: Step, draft: Draft) -> None:
    if step.parallel is None:
        return
    where = draft.place("parallel")
    if step.call is None and not draft.said.refused("call", "run"):
        where.refuse(f"the step {show(step.name)} has nothing to run in parallel; add call")
    if step.parallel.max_concurrent <= 0:
        where.refuse(f"maxConcurrent must be above 0, not {step.parallel.max_concurrent}")
    if not step.parallel.variable and not step.parallel.items:
        where.refuse("parallel needs at least one item, or a text that gives items")


def _check_type(step: Step, draft: Draft) -> None:
    kind = step.executor.type
    if draft.said.refused("run_what", "script", "call", "run", "executor", "type"):
        return
    if kind in _COMMAND_TYPES and not (step.command or step.script or step.call):
        draft.field.refuse(f"the step {show(step.name)} has nothing to run; add command, script, container or call")
    if kind == "ssh" and step.script:
        where = draft.place("script", "run_what")
        where.refuse(f"the step {show(step.name)} cannot run a script over SSH; write a command of one line")
    if kind == "archive" and not step.command:
        draft.field.refuse(f"the step {show(step.name)} needs the command extract, create or list")


_STEP_CHECKS: tuple[Callable[[Step, Draft], None], ...] = (_check_id, _check_name, _check_parallel, _check_type)


def _check_dependencies(steps: Sequence[Step], drafts: Sequence[Draft]) -> None:
    places = {step.name: draft.place("depends") for step, draft in zip(steps, drafts, strict=True)}
    for step in steps:
        for name in step.depends:
            if name not in places:
                message = f"the step {show(step.name)} depends on {show(name)}, which is no step here"
                where = places[step.name]
                where.refuse(message + (_meant(name, places) if where.report.may_hint() else ""))
    # Of steps with one name nobody can tell which of them is meant.
    if len(places) == len(steps):
        _check_cycles(steps, places)


def _meant(name: str, known: Collection[str]) -> str:
    """Say which steps somebody may have meant who named one that is not there."""
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and all(part in known for part in parts):
        return f"; write a list: [{', '.join(parts)}]"
    found = near(name.strip(), known) if len(known) <= _MOST_COMPARED else ""
    return f"; did you mean {show(found)}?" if found else ""


def _check_cycles(steps: Sequence[Step], places: Mapping[str, Field]) -> None:
    """Refuse each dependency of a step on itself, and one ring of several."""
    for step in steps:
        if step.name in step.depends:
            places[step.name].refuse(f"the step {show(step.name)} depends on itself")
    edges = {step.name: [name for name in step.depends if name in places and name != step.name] for step in steps}
    cycle = find_cycle(edges)
    if cycle:
        places[cycle[0]].refuse(f"the steps {_show_cycle(cycle)} wait for each other; remove one of the dependencies")


def find_cycle(edges: dict[str, list[str]]) -> list[str]:
    """Find names that depend on each other in a ring; ``edges`` leads from a name to those it depends on."""
    waiting = _cut_free(edges)
    name = next(iter(waiting), None)
    passed: dict[str, int] = {}
    while name is not None and name not in passed:
        passed[name] = len(passed)
        name = next(other for other in edges[name] if other in waiting)
    return [] if name is None else list(passed)[passed[name] :]


def _cut_free(edges: dict[str, list[str]]) -> dict[str, int]:
    """Take away, over and over, what depends on nothing that is left; what remains leads into a ring."""
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


def _show_cycle(cycle: Iterable[str]) -> str:
    names = list(cycle)
    shown = [show(name) for name in names[:_LONGEST_CYCLE_SHOWN]]
    if len(names) > _LONGEST_CYCLE_SHOWN:
        shown.append(f"{len(names) - _LONGEST_CYCLE_SHOWN} more")
    return " -> ".join([*shown, show(names[0])])
