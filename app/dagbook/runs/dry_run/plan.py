"""Dry run of a definition: the main DAG, then the documents of its file that it calls; its params are checked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS
from dagbook.engine.plan import Plan
from dagbook.engine.state import RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import BadRequestError
from dagbook.executors.contract import SetupError
from dagbook.runs.dry_run import policies
from dagbook.runs.dry_run.placeholders import Placeholders
from dagbook.runs.dry_run.policies import DryRun, Fact, StepPreview, simulate
from dagbook.runs.dry_run.step import Called, StepReader, describe_container, name_of, pairs_text
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.evaluation.inputs import check_names, evaluate_inputs
from dagbook.runs.evaluation.schema_source import is_url, read_schema
from dagbook.runs.model import ClaimedRun, RunInputs, RunLocation
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.expansion.shell_expansion import expand_plain
from dagbook.spec.model import Dag, Definition, MailOn, Pair
from dagbook.spec.params import names, param_text
from dagbook.spec.params.given import NOTHING, GivenParams, of_pairs
from dagbook.spec.problem import Problem, SpecError

_WHEN = {
    INIT: "before the steps",
    SUCCESS: "if the run succeeds",
    FAILURE: "if the run fails",
    ABORT: "if the run is stopped",
    EXIT: "at the end, whatever happened",
}


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
        below = msgspec.structs.replace(location, default_directory=call.directory, machine=machine)
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
    return given if hidden == pairs else of_pairs(hidden)


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
    name = name_of(plan, key)
    if key < 0:
        return StepPreview(title=f"{name} ({_WHEN[key]})", facts=facts)
    depends = plan.dag.steps[key].depends
    after = Fact("after", ", ".join(depends)) if depends and plan.dag.type == "graph" else None
    return StepPreview(
        title=f"{key + 1}. {name}",
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


_PARAMS, _SCHEMA = "params", "params.schema"
_UNREAD = f"{_SCHEMA}: the file is not read here, because you may not write definitions; a run checks its params by it"


async def check_params(definition: Definition, location: RunLocation, given: GivenParams = NOTHING) -> list[Problem]:
    """Return the problems of the params of a definition's DAGs that can be known before a run.

    ``given`` are params for the first of them.

    Users with read permission may request this: no command is run, no URL is fetched, and no value of the server's
    environment gets into a message. Values that depend on one of these are not checked.
    """
    problems = list(await _check(definition.dag, location, given))
    for dag in definition.local_dags:
        problems += [msgspec.structs.replace(problem, dag=dag.name) for problem in await _check(dag, location)]
    return problems


def unread_schemas(definition: Definition) -> list[str]:
    """Return a warning for each schema in a file, for callers who may not have files opened: it tells nothing of them.

    Whether a file exists, may be read, is JSON and fits values would tell what is on the machine. Who may write
    definitions can read files anyway, by a step.
    """
    dags = (definition.dag, *definition.local_dags)
    schemas = [dag for dag in dags if dag.params_schema and not is_url(dag.params_schema)]
    return [f"{dag.name}: {_UNREAD}" if dag is not definition.dag else _UNREAD for dag in schemas]


async def _check(dag: Dag, location: RunLocation, given: GivenParams = NOTHING) -> Iterable[Problem]:
    if not dag.params_schema or is_url(dag.params_schema):
        return ()
    placeholders = Placeholders()
    environ = {name: placeholders.replace(f"${name}") for name in location.machine.environ}
    machine = msgspec.structs.replace(location.machine, environ=environ, substitute=placeholders.replace_command)
    location = msgspec.structs.replace(location, machine=machine)
    try:
        inputs = await evaluate_inputs(msgspec.structs.replace(dag, params_schema="", dotenv=()), given, location)
    except BadRequestError:  # a start reports it; here the placeholder may be the cause
        return ()
    seen = {**environ, **{pair.name: pair.value for pair in inputs.env}}
    reference = expand_plain(dag.params_schema, seen)
    if is_url(reference) or placeholders.is_in(reference) or placeholders.is_in(inputs.work_dir):
        return ()
    unknown = {pair.name for pair in inputs.params if placeholders.is_in(pair.value)}
    problems = await _find_problems(inputs.params, dag, reference, location, inputs.work_dir)
    return [problem for problem in problems if _is_known(problem, unknown)]


async def _find_problems(
    pairs: tuple[Pair, ...], dag: Dag, reference: str, location: RunLocation, directory: str
) -> Iterable[Problem]:
    try:
        directories, machine = location.schema_directories(directory), location.machine
        schema = await read_schema(reference, directories, machine.egress, machine.account)
        if problem := names.find_problem(pairs, dag, machine.undeclared_params, schema):
            return (Problem(_PARAMS, problem.removeprefix(f"{_PARAMS}: ")),)
        await asyncio.to_thread(param_text.validate, pairs, schema)
    except BadRequestError as error:
        return (Problem(_SCHEMA, error.message.removeprefix(f"{_SCHEMA}: ")),)
    except SpecError as error:
        return error.problems
    except ValueError as error:
        return (Problem(_PARAMS, f"the values do not match the schema: {error}"),)
    return ()


def _is_known(problem: Problem, unknown: set[str]) -> bool:
    """Whether a problem does not depend on the values that are not known yet."""
    member = problem.path.removeprefix(_PARAMS).lstrip(".").partition(".")[0]
    return not unknown or problem.path == _SCHEMA or (bool(member) and member not in unknown)
