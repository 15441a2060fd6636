"""``dagbook why``: why a run waits, goes on, has failed or was stopped, and what the schedule of a DAG does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import httpx
import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.alerts import DAGRunAlerts
from dagbook.api.schemas.batches import Batch, BatchList, DagSlot, DagSlots
from dagbook.api.schemas.dags import DAGFileDetails, DAGSuspension, NextStarts, Slot, Slots
from dagbook.api.schemas.maintenance import HeldDatabase, PauseStatus
from dagbook.api.schemas.run_logs import RunEvent
from dagbook.api.schemas.runs import DAGRunAnswer, DAGRunDetails, Log, Node
from dagbook.cli.api import Api, decode, path_of, segment, with_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.complete import complete_runs, complete_what
from dagbook.cli.output import count_of, echo, echo_output, first_line, notice, print_json, wants_json, words
from dagbook.cli.runs.alerts import told_of
from dagbook.cli.runs.lookup import (
    events_of_attempt,
    find_name,
    get_run,
    nodes_of,
    read_events,
    read_name,
    retry_waits,
    status_of,
)
from dagbook.engine.admission import EVERYTHING_PAUSED
from dagbook.engine.status import NodeStatus, RunStatus

_TAIL_LINES = 10
_MOST_STEPS = 5  # failed ones, whose output is shown
_NOT_STARTED = ("skipped", "suspended", "missed", "failed")
# What became of a scheduled time that has no run, in words.
_NO_RUN = {
    "missing": "no run of it was started",
    "skipped": "its start was skipped",
    "suspended": "its schedule was suspended",
    "unknown": "what became of it is not known any more",
}


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its events, the last lines of output by step, and its receipts."""

    run: DAGRunDetails
    events: list[RunEvent]
    tails: dict[str, list[str]]
    alerts: DAGRunAlerts | None = None


class ScheduleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The next starts of a DAG by its schedule, its last slots, open batches, and the problems of its definition."""

    starts: NextStarts
    slots: list[Slot]
    errors: list[str]
    suspension: DAGSuspension | UnsetType = UNSET
    batches: list[Batch] = []


@click.command(cls=GlobalOptions, example="dagbook why etl")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID|TIME]", shell_complete=complete_runs)
@with_api()
async def why(api: Api, *, what: str, run_id: str) -> None:
    """Explain why run RUN_ID of a DAG waits, is still running, has failed or was stopped; without an id, its newest.

    Without an id it also explains when its schedule starts it next, and why it did not. With a scheduled TIME, such as
    2026-03-01T02:00:00+01:00, it explains what became of that.
    """
    name = read_name(what)
    if ":" in run_id:
        await _explain_time(api, name, run_id)
        return
    facts = await _read_run(api, await find_name(api, name), run_id)
    schedule = None if run_id else await _read_schedule(api, name)
    if facts is None and schedule is None:
        raise click.ClickException(f"there is no DAG named {name!r}, and no run of it; `dagbook dag list` shows them")
    hold, pause = await read_hold(api), await read_pause(api)
    reasons = [] if facts is None else [*explain_run(facts), *explain_batch(facts.run), *explain_alerts(facts)]
    planned = (
        []
        if schedule is None
        else explain_schedule(schedule, is_held=hold is not None, pause="" if pause is None else describe_pause(pause))
    )
    if wants_json():
        run, tails = (None, None) if facts is None else (facts.run, facts.tails)
        print_json({"run": run, "reasons": reasons, "schedule": planned, "tails": tails})
        return
    if facts is None:
        echo(f"the DAG {name} has no run")
    else:
        echo(f"{facts.run.name}  {facts.run.dag_run_id}  {status_of(facts.run)}", bold=True)
    for sentence in (*reasons, *planned):
        echo(f"- {sentence}")
    is_unfinished = facts is not None and not facts.run.status.is_final
    is_due = schedule is not None and schedule.starts.starts and not schedule.starts.suspended
    if api.transport.is_alone and (is_unfinished or is_due):
        notice("no server is running, so nothing is started or continued; `dagbook serve` does that")
    if hold is not None:
        echo(describe_hold(hold), fg="red", err=True)
    for step, lines in facts.tails.items() if facts else ():
        echo(f"\nthe end of the output of {step}:", bold=True)
        for line in lines:
            echo_output(f"  {line}")


async def read_hold(api: Api) -> HeldDatabase | None:
    """Return the hold of the database, None when it is not held."""
    state = await api.find("/hold", HeldDatabase)  # which earlier versions do not have
    return state if state is not None and state.held else None


async def read_pause(api: Api) -> PauseStatus | None:
    """Return the pause of everything, None without one."""
    state = await api.find("/pause", PauseStatus)  # which earlier versions do not have
    return state if state is not None and state.paused else None


async def _read_run(api: Api, dag_name: str, run_id: str) -> RunFacts | None:
    answer = await get_run(api, dag_name, run_id)
    if answer.status_code == httpx.codes.NOT_FOUND and not run_id:
        return None
    run = decode(answer, DAGRunAnswer).dag_run_details
    path = path_of(run)
    events = await read_events(api, run)
    tails = {}
    for node in failed_steps(run)[:_MOST_STEPS]:
        if lines := await _tail(api, f"{path}/steps/{segment(node.step.name)}/log"):
            tails[node.step.name] = lines
    if run.status is RunStatus.FAILED and not tails:
        tails["the run"] = await _tail(api, f"{path}/log")
    told = await api.find(f"{path}/alerts", DAGRunAlerts)  # which sub-runs do not have, and earlier versions
    return RunFacts(run=run, events=events, tails=tails, alerts=told)


async def _tail(api: Api, path: str) -> list[str]:
    """Return the last lines on stderr, or on stdout if there are none."""
    for stream in ("stderr", "stdout"):
        answer = await api.send("GET", path, query={"tail": _TAIL_LINES, "stream": stream})
        content = decode(answer, Log).content if answer.is_success else ""
        if content.strip():
            return content.rstrip("\n").split("\n")
    return []


async def _read_schedule(api: Api, name: str) -> ScheduleFacts | None:
    """Return what the schedule of a stored DAG does; None when there is no such DAG."""
    starts = await api.find(f"/dags/{name}/schedule/next", NextStarts)
    if starts is None:
        return None
    slots = await api.find("/schedules/slots", Slots, {"dag": name, "perPage": 5})
    dag = await api.get(f"/dags/{name}", DAGFileDetails)
    known = slots.slots if slots else []
    listed = await api.find("/batches", BatchList)  # which earlier versions do not have
    of_dag = [one for one in listed.batches if one.dag == name and not one.ended_at] if listed else []
    return ScheduleFacts(starts=starts, slots=known, errors=dag.errors, suspension=dag.suspension, batches=of_dag)


async def _explain_time(api: Api, name: str, at: str) -> None:
    """Print what became of a scheduled time, and which batch has it."""
    found = await api.get(f"/dags/{name}/slots", DagSlots, {"from": at, "to": at})
    if not found.slots:
        raise click.ClickException(f"the schedule of {name} has no start at {at} that is past")
    slot = found.slots[0]
    batch = await api.find(f"/batches/{slot.batch_id}", Batch) if slot.batch_id else None
    reasons = explain_slot(slot, batch)
    if wants_json():
        print_json({"slot": slot, "batch": batch, "reasons": reasons})
        return
    echo(f"{name}  {slot.scheduled_at}  {words(slot.outcome)}", bold=True)
    for sentence in reasons:
        echo(f"- {sentence}")


def failed_steps(run: DAGRunDetails) -> list[Node]:
    """Return the steps and handlers of a run that have failed."""
    return [node for node in nodes_of(run) if node.status is NodeStatus.FAILED]


def explain_run(facts: RunFacts) -> list[str]:
    """Return the reasons for the status of a run, the most important first."""
    run = facts.run
    events = events_of_attempt(run, facts.events)
    # What ends a run without the engine is also the error of the steps that were running.
    own = [first_line(run.error)] if run.error and all(node.error != run.error for node in failed_steps(run)) else []
    match run.status:
        case RunStatus.QUEUED:
            return _explain_waiting(run)
        case RunStatus.RUNNING | RunStatus.NOT_STARTED:
            return [*_explain_running(run, events)] or ["it is being started"]
        case RunStatus.SUCCEEDED:
            return [f"it succeeded at {run.finished_at}", *_explain_skipped(run)]
        case RunStatus.ABORTED:
            reasons = [*_explain_stop(events), *own, *_explain_failures(run), *_explain_skipped(run)]
            return reasons or ["it was stopped before it finished"]
        case _:
            return [*own, *_explain_failures(run), *_explain_skipped(run)] or [
                "no step failed; `dagbook logs` has the output"
            ]


def explain_alerts(facts: RunFacts) -> list[str]:
    """Return which channels were told, or that no rule and no mail reports a failed run; and what has its trace."""
    found = facts.alerts
    if found is None:
        return []
    told = [receipt for receipt in found.receipts if receipt.purpose != "trace"]
    traces = [receipt for receipt in found.receipts if receipt.purpose == "trace"]
    is_silent = facts.run.status is RunStatus.FAILED and not found.covered
    about = [f"told: {told_of(told)}"] if told else ["nobody is told of this"] if is_silent else []
    return [*about, f"traced: {told_of(traces)}"] if traces else about


def explain_batch(run: DAGRunDetails) -> list[str]:
    """Return which batch has started a run."""
    if not run.batch:
        return []
    by = f" of {run.batch.created_by}" if run.batch.created_by else ""
    reason = f": {run.batch.reason}" if run.batch.reason else ""
    return [f"it is a run of batch {run.batch.id}{by}{reason}"]


def explain_slot(slot: DagSlot, batch: Batch | None) -> list[str]:
    """Return what became of a scheduled time, and what its open batch does, if the caller sees that."""
    run = f"its run {slot.dag_run_id} is {words(slot.outcome)}; `dagbook why` explains it by its id"
    reasons = [run if slot.dag_run_id else _NO_RUN.get(slot.outcome, f"it is {words(slot.outcome)}")]
    if slot.batch_id:
        reasons.append(f"it is an item of {describe_batch(batch) if batch else f'batch {slot.batch_id}'}")
    elif not slot.dag_run_id:
        reasons.append("no batch has it; `dagbook backfill` starts it")
    return reasons


def describe_batch(batch: Batch) -> str:
    """Describe an open batch: who has made it, how far it is, and why it is paused."""
    by, counts = f" of {batch.created_by}" if batch.created_by else "", batch.counts
    text = f"batch {batch.id}{by}, of which {counts.planned:,} are planned and {counts.begun:,} have begun"
    if batch.paused_at:
        text += f"; it is paused since {batch.paused_at}{f' by {batch.paused_by}' if batch.paused_by else ''}"
        text += f" ({batch.paused_why})" if batch.paused_why else ""
    return text


def _explain_waiting(run: DAGRunDetails) -> list[str]:
    wait = run.waiting_for
    if not wait:
        return ["it is queued, and is started next"]
    held = [f"{other.name} {other.dag_run_id} is running" for other in wait.held_by or ()]
    since = [f"it has been queued since {run.queued_at}"] if run.queued_at else []
    return [wait.message, *held, *since]


def _explain_running(run: DAGRunDetails, events: Sequence[RunEvent]) -> Iterator[str]:
    if run.reason:
        yield run.reason
    waits = retry_waits(run, events)
    for node in nodes_of(run):
        name = node.step.name
        if node.status is not NodeStatus.RUNNING or node.waiting:  # the reason of the run names those that wait
            continue
        tries = f", after {node.retry_count} retries" if node.retry_count else ""
        error = f": {first_line(node.error)}" if node.error else ""
        if name in waits:
            yield f"the step {name} is tried again at {waits[name]}{tries}{error}"
        else:
            yield f"the step {name} has been running since {node.started_at}{tries}"
    yield from _explain_stop(events)


def _explain_stop(events: Sequence[RunEvent]) -> Iterator[str]:
    for event in events:
        by = f" by {event.actor}" if event.actor else ""
        if event.timed_out and not event.step:
            yield f"the time limit of the run ended at {event.at}"
        elif event.stop_requested_at:
            yield f"it was asked to stop{by} at {event.stop_requested_at}"
        elif event.dequeued:
            yield f"it was removed from its queue{by} at {event.at}"


def _explain_failures(run: DAGRunDetails) -> Iterator[str]:
    for node in failed_steps(run):
        retries = f" after {node.retry_count} retries" if node.retry_count else ""
        error = f": {first_line(node.error)}" if node.error else ""
        yield f"the step {node.step.name} failed{retries}{error}"


def _explain_skipped(run: DAGRunDetails) -> Iterator[str]:
    for node in nodes_of(run):
        if node.status is NodeStatus.SKIPPED:
            unmet = [one.error for one in node.step.preconditions or () if one.error]
            reason = f": {first_line(unmet[0])}" if unmet else ""
            yield f"the step {node.step.name} was skipped{reason}"


def explain_schedule(facts: ScheduleFacts, *, is_held: bool = False, pause: str = "") -> list[str]:
    """Return when a DAG is started by its schedule, and why it was not.

    ``is_held`` says that nothing starts in the database until it is resumed, ``pause`` why everything is paused.
    """
    sentences = [f"its definition has a problem, so it cannot start: {problem}" for problem in facts.errors]
    if facts.starts.suspended:
        found = facts.suspension or DAGSuspension()
        by, until = f" by {found.by}" if found.by else "", f" until {found.until}" if found.until else ""
        why = f"{by}{until}{f' ({found.reason})' if found.reason else ''}"
        sentences.append(f"its schedules are suspended{why}, so they start nothing; `dagbook dag resume` resumes them")
    elif is_held:
        sentences.append("its schedule starts nothing: the database was restored and is held until `dagbook resume`")
    elif pause:
        sentences.append(f"its schedule starts nothing: {pause}")
    elif facts.starts.starts:
        start = facts.starts.starts[0]
        sentences.append(f"its schedule starts it next at {start.at} ({start.expression})")
    else:
        sentences.append("it has no schedule that starts it")
    for slot in facts.slots[:1]:
        if slot.kind == "start" and slot.outcome in _NOT_STARTED:
            reason = f": {slot.reason}" if slot.reason else ""
            sentences.append(f"its start of {slot.scheduled_at} was {slot.outcome}{reason}")
    sentences += [f"scheduled times of it are items of {describe_batch(batch)}" for batch in facts.batches]
    return sentences


def describe_pause(state: PauseStatus) -> str:
    """Describe the pause of everything that the API has returned."""
    by, until = f" by {state.by}" if state.by else "", f" until {state.until}" if state.until else ""
    return f"{EVERYTHING_PAUSED}{by}{until}: {state.reason}"


def describe_hold(state: HeldDatabase) -> str:
    """Describe the hold that the API has returned."""
    text = (
        f"This database was restored from {state.origin or 'a backup'} at {state.since} and is held: nothing starts "
        "until `dagbook resume`."
    )
    if state.unfinished_runs is not msgspec.UNSET:
        text += (
            f" That fails {count_of(state.unfinished_runs, 'run')} that had not finished then, and starts "
            f"{state.queued_runs:,} from queues."
        )
    return text
