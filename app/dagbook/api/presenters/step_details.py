"""One step of a run in detail, and the summaries of steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from dagbook.api.presenters.approvals import step_approval
from dagbook.api.presenters.fields import formatter_for, or_unset
from dagbook.api.presenters.runs import run_summary
from dagbook.api.schemas.step_details import (
    GoodRun,
    NamedValue,
    RunSummaries,
    StepDetails,
    StepEnvironment,
    StepExecution,
    StepSummary,
    StepTry,
)
from dagbook.db.repositories.runs.runs import EventRow, NodeRow, RunRow
from dagbook.db.repositories.runs.step_details import EnvironmentRow, Ran, Summaries
from dagbook.engine.plan import find_step
from dagbook.engine.status import NodeStatus
from dagbook.executors.registry import COMMAND_TYPES
from dagbook.runs.output import summaries
from dagbook.runs.output.markdown import to_html
from dagbook.spec.expansion import scope
from dagbook.spec.model import HITL, Dag, Pair, Step

MOST_EVENTS, _MOST_TRIES = 1_000, 100
_FILES = ("DAG_RUN_LOG_FILE", "DAG_RUN_STEP_STDOUT_FILE", "DAG_RUN_STEP_STDERR_FILE")


class FoundStep(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a step: ``params`` of its run, and its newest events, at most ``MOST_EVENTS``."""

    run: RunRow
    dag: Dag
    node: NodeRow
    params: Sequence[Pair]
    environment: EnvironmentRow | None
    events: Sequence[EventRow]
    summary: str


def step_details(found: FoundStep, zone: tzinfo, *, is_manager: bool) -> StepDetails:
    """Convert a step; only for a manager of its DAG with the values of ``env``."""
    node, step = found.node, find_step(found.dag, found.node.position)
    ran = None if node.ran is None else msgspec.convert(node.ran, Ran)
    tries, output = _tries(found.events, zone), node.output_value
    return StepDetails(
        name=node.name,
        attempt=node.log_attempt or node.attempt,
        execution=UNSET if ran is None else _execution(ran, step),
        environment=_environment(found, step, ran or Ran(), is_manager=is_manager),
        outputs=[] if output is None else [NamedValue(name=node.output_name or "", value=output)],
        tries=tries[-_MOST_TRIES:],
        tries_left_out=or_unset(max(0, (tries[-1].number if tries else 0) - _MOST_TRIES)),
        approval=step_approval(node.approval, formatter_for(zone)) if node.approval else UNSET,
        summary=_summary(node.name, found.summary) if found.summary else UNSET,
    )


def _execution(ran: Ran, step: Step | None) -> StepExecution:
    script = step.script if ran.script is None and step is not None else ran.script
    return StepExecution(
        type=(step.executor.type if step is not None else "") or "command",
        commands=or_unset([list(words) for words in ran.commands]),
        script=or_unset(script),
        truncated=or_unset(ran.cut),
        directory=or_unset(ran.directory),
        host=or_unset(ran.host),
        service=or_unset(ran.service),
        account=or_unset(ran.account),
    )


# -- environment -------------------------------------------------------------------------------------------------------


def _environment(found: FoundStep, step: Step | None, ran: Ran, *, is_manager: bool) -> StepEnvironment:
    """Describe the variables, of those with the same name the strongest (docs/workflows/environment.md)."""
    row = found.environment or EnvironmentRow(env=[], dotenv=[])
    of_dag, dotenv = dict(row.env), {name for name, _ in row.dotenv}
    params = {pair.name: pair.value for pair in found.params}
    of_step = {pair.name for pair in step.env} if step is not None else set[str]()
    secrets = {secret.name for secret in found.dag.secrets}
    run = {
        "DAG_NAME": found.run.dag_name,
        "DAG_RUN_ID": found.run.run_id,
        "DAG_RUN_STEP_NAME": found.node.name,
        **({"PWD": ran.directory} if ran.directory else {}),
    }
    values = {name: value for name, value in (run | params).items() if name not in of_step}
    outputs = _outputs_seen(found)
    names = {*of_step, *of_dag, *dotenv, *secrets, *outputs, *_own_names(found, step)} - values.keys()
    stronger = {*dotenv, *secrets, *params, *outputs}
    managed = {name: value for name, value in of_dag.items() if name not in stronger}
    managed |= {pair.name: pair.value for pair in ran.env}
    return StepEnvironment(
        values=_pairs(values.items()), names=sorted(names), managed=_pairs(managed.items()) if is_manager else UNSET
    )


def _outputs_seen(found: FoundStep) -> set[str]:
    """Return the names of the outputs, and of the values given with approvals, that a step sees."""
    steps, position = found.dag.steps, found.node.position
    if position >= len(steps):
        return set()
    sources = range(len(steps)) if position < 0 else scope.visible_outputs(steps, position)
    names = {steps[source].output for source in sources}
    for source in sources:
        given = steps[source].executor.config.get("input") if steps[source].executor.type == HITL else None
        names |= {name for name in given if isinstance(name, str)} if isinstance(given, list | tuple) else set()
    return names - {""}


def _own_names(found: FoundStep, step: Step | None) -> Iterable[str]:
    """Yield the variables of the run whose values are paths in the spool, or repeat what is shown elsewhere."""
    yield from _FILES
    if step is not None and step.executor.type in COMMAND_TYPES:
        yield summaries.VARIABLE
    if found.params:
        yield "DAGU_PARAMS_JSON"
    if found.node.handler:
        yield "DAG_RUN_STATUS"


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[NamedValue]:
    return [NamedValue(name=name, value=value) for name, value in pairs]


# -- tries -------------------------------------------------------------------------------------------------------------


class _Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What an event changed, as far as it concerns executions."""

    execution: int | None = None
    executed_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    status: NodeStatus = NodeStatus.RUNNING
    verdict: NodeStatus | None = None
    exit_code: int | None = None
    error: str = ""
    edited_by: str | None = None


def _tries(events: Sequence[EventRow], zone: tzinfo) -> list[StepTry]:
    """Read the executions of a step from its events, which begin anywhere."""
    times, tries = formatter_for(zone), list[StepTry]()
    for event in events:
        changed = msgspec.convert(event.data, _Changed)
        if changed.edited_by is not None:
            continue
        begun = changed.executed_at or event.at
        if changed.execution:
            if tries and tries[-1].finished_at is UNSET:  # both are in one event, so the end is not told
                tries[-1].finished_at, tries[-1].finished_at_millis = times.text(begun), _millis(begun)
            tries.append(StepTry(number=changed.execution, started_at="", started_at_millis=0))
        if not tries:
            continue
        current = tries[-1]
        if changed.execution or changed.executed_at:
            current.started_at, current.started_at_millis = times.text(begun), _millis(begun)
        has_ended = changed.finished_at or changed.due_at or changed.verdict is not None
        if has_ended and current.finished_at is UNSET:
            ended = changed.finished_at or event.at
            current.finished_at, current.finished_at_millis = times.text(ended), _millis(ended)
            # Before a repetition it has a verdict; before a retry it has failed.
            current.status = changed.status if changed.status.is_final else changed.verdict or NodeStatus.FAILED
            current.exit_code = UNSET if changed.exit_code is None else changed.exit_code
            current.error = or_unset(changed.error)
    return tries


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


# -- summaries ---------------------------------------------------------------------------------------------------------


def run_summaries(found: Summaries) -> RunSummaries:
    """Convert the summaries of a run; takes long, so that it belongs into a thread."""
    return RunSummaries(
        summaries=[_summary(row.name, row.text) for row in found.rows], has_more=or_unset(found.has_more)
    )


def _summary(step: str, text: str) -> StepSummary:
    return StepSummary(step=step, text=text, html=to_html(text))


# -- the last good run -------------------------------------------------------------------------------------------------


def good_run(run: RunRow, zone: tzinfo, *, same_params: bool) -> GoodRun:
    """Convert the last good run before another one, whose params may be the same."""
    seconds: float | UnsetType = UNSET
    if run.started_at is not None and run.finished_at is not None:
        seconds = round((run.finished_at - run.started_at).total_seconds(), 3)
    return GoodRun(**asdict(run_summary(run, zone)), duration_seconds=seconds, same_params=same_params)
