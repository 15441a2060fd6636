"""The run's own log, told from its history: one change makes no line, one line or several (runtime 11.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from app.engine.event import HANDLER_NAMES
from app.engine.history import Change
from app.engine.state import Kill
from app.engine.status import NodeStatus, RunStatus
from app.spec.model import Dag

Level = Literal["INFO", "ERROR"]
_KILLS = {
    Kill.STOP: "stop not obeyed, processes are killed",
    Kill.STEP_TIMEOUT: "step is out of time, processes are killed",
    Kill.RUN_TIMEOUT: "run is out of time, processes are killed",
}


class Line(msgspec.Struct, frozen=True):
    """One line: a level, a message and attributes; when it happened is the record's business."""

    level: Level
    message: str
    attributes: dict[str, Any] = {}


def describe(dag: Dag, change: Change, error: str = "") -> tuple[Line, ...]:
    """Return the lines that tell of one recorded change.

    ``error`` is what counts against the run by then; the change that ends it no longer says.
    """
    if change.key is None:
        return tuple(_of_run(change.fields, error))
    if change.key < 0:
        return tuple(_of_node(change.fields, "handler", HANDLER_NAMES[change.key]))
    return tuple(_of_node(change.fields, "step", name_of(dag, change.key)))


def name_of(dag: Dag, key: int) -> str:
    """Return the name of a step; its number where the definition was redacted, so that no step is known any more."""
    return dag.steps[key].name if key < len(dag.steps) else f"#{key + 1}"


def _of_run(fields: dict[str, Any], error: str) -> Iterator[Line]:
    if fields.get("status") == RunStatus.RUNNING:
        yield Line("INFO", "run started")
    unmet = [text for text in fields.get("conditions", ()) if text]
    if unmet:
        yield Line("INFO", "preconditions of the run are not met", {"err": "; ".join(unmet)})
    if fields.get("stop_asked_at"):
        yield Line("INFO", "stop requested")
    elif fields.get("signalled_at"):
        yield Line("INFO", "stop signal sent again")
    if fields.get("timed_out"):
        yield Line("ERROR", "run is out of time")
    if fields.get("killed_at"):
        yield Line("INFO", "clean-up time is over")
    if fields.get("finished_at"):
        yield from _end_of_run(fields, error)


def _end_of_run(fields: dict[str, Any], error: str) -> Iterator[Line]:
    status = RunStatus(fields["status"])
    yield Line("INFO", "run finished", {"status": status.label})
    if status is RunStatus.FAILED:
        yield Line("ERROR", "run failed", {"err": error} if error else {})


def _of_node(fields: dict[str, Any], kind: str, name: str) -> Iterator[Line]:
    about = {"step": name}
    status = NodeStatus(fields.get("status", NodeStatus.NOT_STARTED))
    if status is NodeStatus.RUNNING:
        yield Line("INFO", f"{kind} started", about)
    if fields.get("checking"):
        what = "repeat condition is" if "execution" not in fields and status is not NodeStatus.RUNNING else ""
        yield Line("INFO", f"{what or 'preconditions are'} looked at", about)
    if fields.get("due_at"):
        yield _wait(fields, about)
    elif fields.get("execution", 0) > 1:
        yield Line("INFO", f"{kind} executed again", {**about, "execution": fields["execution"]})
    if fields.get("kill"):
        yield Line("ERROR", _KILLS[Kill(fields["kill"])], about)
    if status.is_final:
        yield from _end_of_node(fields, kind, status, about)


def _wait(fields: dict[str, Any], about: dict[str, Any]) -> Line:
    until = {**about, "until": fields["due_at"]}
    if "retry_count" not in fields:
        return Line("INFO", "step will be repeated", until)
    told = {"err": "error", "retry": "retry_count", "exit-code": "exit_code"}
    return Line("INFO", "step failed and will be retried", {**until, **_picked(fields, told)})


def _end_of_node(fields: dict[str, Any], kind: str, status: NodeStatus, about: dict[str, Any]) -> Iterator[Line]:
    unmet = [text for text in fields.get("conditions", ()) if text]
    if unmet:
        yield Line("INFO", f"preconditions of the {kind} are not met", {**about, "err": "; ".join(unmet)})
    level: Level = "ERROR" if status is NodeStatus.FAILED else "INFO"
    told = _picked(fields, {"exit-code": "exit_code", "err": "error"})
    what = "finished" if "finished_at" in fields else "is not run"
    yield Line(level, f"{kind} {what}", {**about, "status": status.label, **told})


def _picked(fields: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
    return {name: fields[field] for name, field in told.items() if fields.get(field) not in (None, "")}
