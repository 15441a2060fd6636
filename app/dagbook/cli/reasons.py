"""Sentences about why a run waits, goes on, has failed or was stopped, and about the schedule of a DAG. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dagbook.engine.status import NodeStatus, RunStatus

_HANDLERS = ("onWait", "onSuccess", "onFailure", "onCancel", "onExit")
_NOT_STARTED = ("skipped", "suspended", "missed", "failed")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its events, as the API has them, and the last lines of output by step."""

    run: dict[str, Any]
    events: list[dict[str, Any]]
    tails: dict[str, list[str]]


def nodes_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps and handlers of a run."""
    return [*run["nodes"], *(run[name] for name in _HANDLERS if name in run)]


def failed_steps(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps and handlers of a run that have failed."""
    return [node for node in nodes_of(run) if NodeStatus(node["status"]) is NodeStatus.FAILED]


def explain_run(facts: Facts) -> list[str]:
    """Return the reasons for the status of a run, the most important first."""
    run, status = facts.run, RunStatus(facts.run["status"])
    events = of_attempt(run, facts.events)
    # What ends a run without the engine is also the error of the steps that were running.
    error = run.get("error", "")
    own = [_first_line(error)] if error and all(node.get("error") != error for node in failed_steps(run)) else []
    match status:
        case RunStatus.QUEUED:
            return _explain_waiting(run)
        case RunStatus.RUNNING | RunStatus.NOT_STARTED:
            return [*_explain_running(run, events)] or ["it is being started"]
        case RunStatus.SUCCEEDED:
            return [f"it succeeded at {run['finishedAt']}", *_explain_skipped(run)]
        case RunStatus.ABORTED:
            reasons = [*_explain_stop(events), *own, *_explain_failures(run), *_explain_skipped(run)]
            return reasons or ["it was stopped before it finished"]
        case _:
            return [*own, *_explain_failures(run), *_explain_skipped(run)] or [
                "no step failed; `dagbook logs` has the output"
            ]


def of_attempt(run: dict[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events of the newest attempt of a run."""
    return [event for event in events if event["attempt"] == run.get("attempt", 1)]


def _explain_waiting(run: dict[str, Any]) -> list[str]:
    wait = run.get("waitingFor")
    if wait is None:
        return ["it is queued, and is started next"]
    held = [f"{other['name']} {other['dagRunId']} is running" for other in wait.get("heldBy", ())]
    since = [f"it has been queued since {run['queuedAt']}"] if "queuedAt" in run else []
    return [wait["message"], *held, *since]


def _explain_running(run: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[str]:
    if reason := run.get("reason"):
        yield reason
    waits = retry_waits(run, events)
    for node in nodes_of(run):
        name = node["step"]["name"]
        if NodeStatus(node["status"]) is not NodeStatus.RUNNING:
            continue
        tries = f", after {node['retryCount']} retries" if node["retryCount"] else ""
        error = f": {_first_line(node['error'])}" if node.get("error") else ""
        if name in waits:
            yield f"the step {name} is tried again at {waits[name]}{tries}{error}"
        else:
            yield f"the step {name} has been running since {node['startedAt']}{tries}"
    yield from _explain_stop(events)


def retry_waits(run: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, str]:
    """Return the steps that wait for their next execution, and when that is, from the events of the run's attempt."""
    newest = {event["step"]: event for event in events if "step" in event}
    running = [node["step"]["name"] for node in nodes_of(run) if NodeStatus(node["status"]) is NodeStatus.RUNNING]
    return {name: newest[name]["dueAt"] for name in running if "dueAt" in newest.get(name, ())}


def _explain_stop(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        if event.get("timedOut") and "step" not in event:
            yield f"the time limit of the run ended at {event['at']}"
        elif "stopRequestedAt" in event:
            by = f" by {event['actor']}" if event.get("actor") else ""
            yield f"it was asked to stop{by} at {event['stopRequestedAt']}"
        elif event.get("dequeued"):
            by = f" by {event['actor']}" if event.get("actor") else ""
            yield f"it was removed from its queue{by} at {event['at']}"


def _explain_failures(run: dict[str, Any]) -> Iterator[str]:
    for node in failed_steps(run):
        retries = f" after {node['retryCount']} retries" if node["retryCount"] else ""
        error = f": {_first_line(node['error'])}" if node.get("error") else ""
        yield f"the step {node['step']['name']} failed{retries}{error}"


def _explain_skipped(run: dict[str, Any]) -> Iterator[str]:
    for node in nodes_of(run):
        if NodeStatus(node["status"]) is not NodeStatus.SKIPPED:
            continue
        unmet = [one["error"] for one in node["step"].get("preconditions", ()) if one.get("error")]
        reason = f": {_first_line(unmet[0])}" if unmet else ""
        yield f"the step {node['step']['name']} was skipped{reason}"


def explain_schedule(found: dict[str, Any], *, is_held: bool = False) -> list[str]:
    """Return when a DAG is started by its schedule, and why it was not, from its next starts and last slots.

    ``is_held`` says that nothing starts in the database until it is resumed.
    """
    sentences = [f"its definition has a problem, so it cannot start: {problem}" for problem in found["errors"]]
    if found["suspended"]:
        sentences.append("its schedules are suspended, so they start nothing; `dagbook dag resume` resumes them")
    elif is_held:
        sentences.append("its schedule starts nothing: the database was restored and is held until `dagbook resume`")
    elif found["starts"]:
        start = found["starts"][0]
        sentences.append(f"its schedule starts it next at {start['at']} ({start['expression']})")
    else:
        sentences.append("it has no schedule that starts it")
    for slot in found["slots"][:1]:
        if slot["kind"] == "start" and slot["outcome"] in _NOT_STARTED:
            reason = f": {slot['reason']}" if "reason" in slot else ""
            sentences.append(f"its start of {slot['scheduledAt']} was {slot['outcome']}{reason}")
    return sentences


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def describe_hold(state: dict[str, Any]) -> str:
    """Describe the hold that the API has returned."""
    text = (
        f"This database was restored from {state.get('origin', 'a backup')} at {state['since']} and is held: nothing "
        "starts until `dagbook resume`."
    )
    if "unfinishedRuns" in state:
        text += (
            f" That fails {state['unfinishedRuns']} runs that had not finished then, and starts "
            f"{state['queuedRuns']} from queues."
        )
    return text
