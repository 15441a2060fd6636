"""The definition that an imported run is shown and retried with. Pure.

A run keeps the text that it was started with. Whether Dagbook reads the same steps and handlers from it is checked
against the run's nodes; the base configuration of that time is not kept anywhere, so the one of today is tried, then
none. A text that does not fit is replaced by one made from the recorded steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import yaml

from dagbook.engine.event import ABORT, EXIT, FAILURE, HANDLER_NAMES, INIT, SUCCESS, WAIT
from dagbook.engine.plan import Plan
from dagbook.json_values import Json
from dagbook.spec.model import Dag
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.transfer.layout import RecordError, StepRecord

_MADE = "# Made by `dagbook import` from the recorded steps of a run: {reason}.\n"
_HANDLER_KEYS = {INIT: "init", SUCCESS: "success", FAILURE: "failure", ABORT: "cancel", EXIT: "exit"}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the steps of a run in order, and the keys of its handlers."""

    steps: tuple[str, ...]
    handlers: frozenset[int]


class RunText(msgspec.Struct, frozen=True, kw_only=True):
    """A text with its base, the DAG that is read from it, and why the run's own text was not used."""

    spec: str
    base: str
    dag: Dag
    made: str = ""


class TextChooser:
    """Chooses texts; ``base`` is the base configuration of the source.

    A text may also have those of the handlers ``untold`` that a run does not show.
    """

    def __init__(self, library: DefinitionCache, base: str, untold: frozenset[int] = frozenset()) -> None:
        self._untold = untold
        self._library = library
        self._bases = (base, "") if base else ("",)

    def choose(self, spec: str, name: str, shape: Shape, steps: Sequence[StepRecord], *, is_sub_run: bool) -> RunText:
        """Return the text for a run; raises RecordError if its steps cannot be written as a definition."""
        for base in self._bases if spec.strip() else ():
            dag = self._read(spec, name, base, is_sub_run=is_sub_run)
            if _shape_of(dag, self._untold - shape.handlers) == shape:
                return RunText(spec=spec, base=base, dag=dag)
        reason = "its own text has other steps or handlers" if spec.strip() else "it has no text of its own"
        made = make_text(name, shape, steps, reason)
        dag = self._read(made, name, "", is_sub_run=False)
        if _shape_of(dag) != shape:
            raise RecordError(f"{reason}, and its recorded steps are not valid in a definition")
        return RunText(spec=made, base="", dag=dag, made=reason)

    def _read(self, spec: str, name: str, base: str, *, is_sub_run: bool) -> Dag:
        if is_sub_run:
            return self._library.get_called(spec, name, base=base).definition.dag
        return self._library.read(spec, override=name, base=base).definition.dag


def _shape_of(dag: Dag, untold: frozenset[int] = frozenset()) -> Shape | None:
    """Return the shape of a DAG, without the wait handler, which runs do not record; None if its graph is broken."""
    names = tuple(step.name for step in dag.steps)
    if any(dependency not in names for step in dag.steps for dependency in step.depends):
        return None
    return Shape(steps=names, handlers=frozenset(Plan.of(dag).handlers) - untold - {WAIT})


def make_text(name: str, shape: Shape, steps: Sequence[StepRecord], reason: str) -> str:
    """Write a definition with the recorded steps; handlers come after the steps, by the names of their nodes."""
    by_name = {step.name: step for step in steps}
    document: dict[str, Json] = {"name": name, "type": "graph"}
    document["steps"] = [
        {
            "name": each,
            **_action(by_name[each]),
            "depends": [up for up in by_name[each].depends or () if up in shape.steps],
        }
        for each in shape.steps
    ]
    handlers = {
        _HANDLER_KEYS[key]: _action(by_name[HANDLER_NAMES[key]]) for key in sorted(shape.handlers, reverse=True)
    }
    if handlers:
        document["handlerOn"] = handlers
    return _MADE.format(reason=reason) + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _action(step: StepRecord) -> dict[str, Json]:
    if step.child_dag is not None and step.child_dag.name:
        params = {"params": step.child_dag.params} if step.child_dag.params else {}
        return {"call": step.child_dag.name, **params}
    found: dict[str, Json] = {"script": step.script} if step.script else {}
    commands = step.commands or ([shown] if (shown := step.shown) else [])
    lines = [each.cmd_with_args or " ".join((each.command, *(each.args or ()))) for each in commands]
    if lines:
        return found | {"command": lines[0] if len(lines) == 1 else lines}
    return found or {"command": "true"}
