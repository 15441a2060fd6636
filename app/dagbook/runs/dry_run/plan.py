"""Dry run of a definition: the main DAG, then the documents of its file that it calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from dagbook.engine import action, event
from dagbook.engine.advance import advance, due
from dagbook.engine.event import ABORT, EXIT, FAILURE, HANDLER_NAMES, INIT, SUCCESS
from dagbook.engine.plan import Plan, initial_state
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.executors.contract import SetupError
from dagbook.runs.dry_run import policies
from dagbook.runs.dry_run.step import Called, Fact, StepPreview, StepReader, describe_container, pairs_text
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.evaluation.inputs import check_names, evaluate_inputs
from dagbook.runs.evaluation.last_success import NEVER
from dagbook.runs.evaluation.placeholders import Placeholders
from dagbook.runs.model import ClaimedRun, RunInputs, RunLocation
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Dag, Definition, MailOn, Pair
from dagbook.spec.params.param_text import GivenParams

_WHEN = {
    INIT: "before the steps",
    SUCCESS: "if the run succeeds",
    FAILURE: "if the run fails",
    ABORT: "if the run is stopped",
    EXIT: "at the end, whatever happened",
}
_START = datetime(2000, 1, 1, tzinfo=UTC)


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a run of one DAG."""

    title: str
    facts: tuple[Fact, ...]
    steps: tuple[StepPreview, ...]
    handlers: tuple[StepPreview, ...]
    ending: str


async def plan_runs(
    definition: Definition, given: GivenParams, location: RunLocation, placeholders: Placeholders
) -> list[DryRun]:
    """Preview a run and its local sub-runs; raises BadRequestError if the run could not start."""
    location = msgspec.structs.replace(location, machine=placeholders.without_commands(location.machine))
    first, waiting = await _plan_run(definition, given, location, placeholders)
    runs, seen = [first], {definition.dag.name}
    while waiting:
        call = waiting.pop(0)
        local = definition.called(call.name)
        if local is None or call.name in seen:
            continue
        seen.add(call.name)
        machine = msgspec.structs.replace(location.machine, environ=call.environ)
        last = NEVER if local.dag.names_last_success else None  # a local DAG has no root runs
        below = msgspec.structs.replace(
            location, default_directory=call.directory, machine=machine, last_success=last, of_caller=call.environ
        )
        first_of = f", the first of {call.count} runs" if call.count > 1 else ""
        suffix = f", called by step {call.step}{first_of}"
        run, more = await _plan_run(local, call.params, below, placeholders, suffix=suffix)
        runs.append(run)
        waiting += more
    return runs


async def _plan_run(
    definition: Definition, given: GivenParams, location: RunLocation, placeholders: Placeholders, *, suffix: str = ""
) -> tuple[DryRun, list[Called]]:
    dag = msgspec.structs.replace(
        definition.dag,
        env=placeholders.hide_credentials(definition.dag.env),
        params=placeholders.hide_credentials(definition.dag.params),
    )
    inputs, facts = await _evaluate_inputs(dag, _hide(given, placeholders), location, placeholders)
    environment = _environment(definition, dag, inputs, location, placeholders)
    plan = Plan.of(dag)
    reader = StepReader(plan, environment, placeholders)
    facts += [*await reader.read_dag_conditions(), *await _read_mails(dag, environment, placeholders)]
    steps = {key: await reader.read(key) for key in (*range(len(dag.steps)), *plan.handlers)}
    state = simulate(dag, reader.unmet)
    previews = {key: _step_preview(plan, key, step_facts, state) for key, step_facts in steps.items()}
    run = DryRun(
        title=dag.name + suffix,
        facts=tuple(facts),
        steps=tuple(previews[key] for key in range(len(dag.steps))),
        handlers=tuple(previews[key] for key in sorted(plan.handlers, reverse=True)),
        ending=_describe_outcome(state),
    )
    return run, reader.called


def _hide(given: GivenParams, placeholders: Placeholders) -> GivenParams:
    """Replace the values of given params whose names indicate a secret."""
    pairs = given.read()
    hidden = placeholders.hide_credentials(pairs)
    return given if hidden == pairs else GivenParams.of_pairs(hidden)


async def _evaluate_inputs(
    dag: Dag, given: GivenParams, location: RunLocation, placeholders: Placeholders
) -> tuple[RunInputs, list[Fact]]:
    check_names(dag, given, location)
    inputs = await evaluate_inputs(msgspec.structs.replace(dag, params_schema=""), given, location)
    unchecked = ""
    if dag.params_schema and any(placeholders.is_in(pair.value) for pair in inputs.params):
        unchecked = f"would be checked against {dag.params_schema} once all of them are known"
    elif dag.params_schema:
        inputs = await evaluate_inputs(dag, given, location)
    dotenv = placeholders.hide_credentials(inputs.dotenv)
    secrets = tuple(Pair(secret.name, placeholders.hide()) for secret in dag.secrets)
    texts = {
        "type": dag.type,
        "params": pairs_text(inputs.params) or "(none)",
        "schema": unchecked,
        "env": pairs_text(inputs.env),
        "dotenv": pairs_text(dotenv),
        "secrets": "\n".join(f"{secret.name} from {secret.provider} {secret.key}" for secret in dag.secrets),
        "directory": inputs.work_dir,
        **dict(_settings(dag)),
    }
    facts = [Fact(label, placeholders.show(text)) for label, text in texts.items() if text]
    return msgspec.structs.replace(inputs, dotenv=dotenv, secrets=secrets), facts


def _settings(dag: Dag) -> Iterator[tuple[str, str]]:
    yield "schedule", "\n".join(dag.schedule.start)
    yield "queue", dag.queue
    yield "time limit", policies.seconds(dag.timeout_seconds) if dag.timeout_seconds > 0 else ""
    yield "pause", f"{policies.seconds(dag.delay_seconds)} between steps" if dag.delay_seconds else ""
    yield "at a time", f"{dag.max_active_steps} steps" if dag.max_active_steps > 0 else ""
    yield "container", describe_container(dag.container) if dag.container else ""


def _environment(
    definition: Definition, dag: Dag, inputs: RunInputs, location: RunLocation, placeholders: Placeholders
) -> RunEnvironment:
    run = ClaimedRun(
        key=0,
        dag_name=dag.name,
        run_id=placeholders.replace("${DAG_RUN_ID}"),
        definition=definition,
        inputs=inputs,
    )
    return RunEnvironment(run, dag, location.machine, placeholders.replace("${DAG_RUN_LOG_FILE}"))


async def _read_mails(dag: Dag, environment: RunEnvironment, placeholders: Placeholders) -> list[Fact]:
    """Return the recipients of the mails about the run."""
    on = dag.mail_on or MailOn()
    mails = (
        ("if it fails", on.failure, dag.error_mail),
        ("if it succeeds", on.success, dag.info_mail),
        ("if it waits for approval", on.wait, dag.wait_mail),
    )
    facts = []
    for when, is_enabled, mail in mails:
        if not is_enabled or mail is None or dag.smtp is None:
            continue
        try:
            recipients = ", ".join((await environment.evaluate_struct(mail)).to)
        except (ExpansionError, SetupError) as error:
            recipients = f"would fail: {error}"
        facts.append(Fact("mail", f"{when}: {placeholders.show(recipients)}"))
    return facts


def _step_preview(plan: Plan, key: int, facts: tuple[Fact, ...], state: RunState) -> StepPreview:
    if key < 0:
        return StepPreview(title=f"{HANDLER_NAMES[key]} ({_WHEN[key]})", facts=facts)
    depends = plan.dag.steps[key].depends
    after = Fact("after", ", ".join(depends)) if depends and plan.dag.type == "graph" else None
    return StepPreview(
        title=f"{key + 1}. {plan.dag.steps[key].name}",
        facts=(*((after,) if after else ()), *facts),
        note=_note(state, key),
    )


def _note(state: RunState, key: int) -> str:
    node = state.steps[key]
    match node.status:
        case NodeStatus.SKIPPED:
            own = any(node.conditions)
            return "would be skipped" + ("" if own else ": a step before it is skipped")
        case NodeStatus.SUCCEEDED:
            return ""
    return "would not start"


def _describe_outcome(state: RunState) -> str:
    if state.status is RunStatus.ABORTED:
        return "The run would be aborted before its first step: a precondition does not hold."
    return f"If every command succeeds, the run ends {state.status.label}."


def simulate(dag: Dag, unmet: Mapping[int | None, tuple[str, ...]]) -> RunState:
    """Return the final state of a run; ``unmet`` has the errors of the preconditions of the DAG (None) and of nodes."""
    # Without delays, time limits, retries and repetitions.
    steps = tuple(msgspec.structs.replace(step, retry=None, repeat=None, timeout_seconds=0) for step in dag.steps)
    plan = Plan.of(msgspec.structs.replace(dag, steps=steps, timeout_seconds=0, delay_seconds=0))
    now = _START
    state, actions = advance(plan, initial_state(plan), event.RunStarted(), now)
    pending = deque(actions)
    while state.phase is not Phase.CLOSED:
        if not pending:
            now = max(now, due(plan, state) or now)
        for result in _events_of(pending.popleft(), unmet) if pending else (event.TimerFired(),):
            state, actions = advance(plan, state, result, now)
            pending += actions
    return state


def _events_of(requested: action.Action, unmet: Mapping[int | None, tuple[str, ...]]) -> Iterator[event.Event]:
    match requested:
        case action.CheckConditions(key=key):
            yield event.ConditionsChecked(key=key, errors=unmet.get(key, ()))
        case action.StartStep(key=key, execution=number):
            yield event.ExecutionStarted(key=key, execution=number)
            yield event.StepExited(key=key, execution=number, exit_code=0)
