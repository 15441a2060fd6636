"""Rows of a finished run and its steps, turned into the records of a Dagu 1.x home. Pure."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import yaml

from dagbook.db.repositories.runs.runs import AttemptRow, CompleteRun, EngineFields, NodeRow, ShownCommand
from dagbook.engine.event import ABORT, EXIT, FAILURE, HANDLER_NAMES, INIT, SUCCESS
from dagbook.engine.plan import find_step
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.executors.calls import SubRun
from dagbook.json_values import Json
from dagbook.runs.evaluation.sub_run_plan import read_record
from dagbook.runs.store.run_loading import collect_outputs
from dagbook.spec.model import (
    DEFAULT_HISTORY_RETENTION_DAYS,
    CommandLine,
    Condition,
    ContinueOn,
    Dag,
    Definition,
    Handlers,
    Pair,
    Parallel,
    Repeat,
    Retry,
    Step,
)
from dagbook.spec.params import param_text

Record = dict[str, Json]
NANOSECONDS = 1_000_000_000  # durations of records are whole numbers of these

_NEVER = "-"  # time of a node in a run that never started
_ATTEMPT_ID = 6
_LONGEST_DOCUMENTS = 100
Logs = Mapping[int, tuple[str, str]]  # files with the output of a node, by its position


def filled(**members: Json) -> Record:
    """Return the members that have a value, as records leave empty ones out."""
    return {name: value for name, value in members.items() if value not in ("", None, False, 0, [], {}, ())}


def pair_texts(pairs: Sequence[Pair]) -> list[str]:
    """Return pairs as ``NAME=value``."""
    return [f"{pair.name}={pair.value}" for pair in pairs]


def step_record(step: Step, *, shown: ShownCommand | None = None, unmet: Sequence[str] = ()) -> Record:
    """Return a step, in a run with its evaluated command and the reasons why its conditions were not met."""
    kind = step.executor.type or ("parallel" if step.parallel else "dag" if step.call else "")
    return filled(
        id=step.id,
        name=step.name,
        description=step.description,
        shell=step.shell[0] if step.shell else "",
        shellArgs=list(step.shell[1:]),
        shellPackages=list(step.shell_packages),
        dir=step.working_dir,
        executorConfig=filled(type=kind, config=step.executor.config),
        commands=_commands(step, shown or ShownCommand()),
        script=step.script,
        stdout=step.stdout,
        stderr=step.stderr,
        output=step.output,
        outputKey=step.output_key,
        outputOmit=step.output_omit,
        logOutput=step.log_output,
        depends=list(step.depends),
        continueOn=_continue_on(step.continue_on),
        retryPolicy=_retry(step.retry),
        repeatPolicy=_repeat(step.repeat),
        mailOnError=step.mail_on_error,
        preconditions=condition_records(step.preconditions, unmet),
        signalOnStop=step.signal_on_stop,
        childDag=filled(name=step.call.name, params=step.call.params) if step.call else None,
        params={pair.name: pair.value for pair in step.params},
        parallel=_parallel(step.parallel),
        env=pair_texts(step.env),
        timeout=step.timeout_seconds * NANOSECONDS,
        workerSelector=step.worker_selector,
    )


def condition_records(conditions: Sequence[Condition], unmet: Sequence[str] = ()) -> list[Record]:
    """Return conditions with the reasons why they were not met, in the same order."""
    errors = [*unmet, *[""] * (len(conditions) - len(unmet))]
    return [
        filled(condition=each.condition, expected=each.expected, negate=each.negate, error=error)
        for each, error in zip(conditions, errors, strict=False)
    ]


def _commands(step: Step, shown: ShownCommand) -> list[Record]:
    lines = list(step.lines)
    if not lines and step.command and not step.call:
        lines = [CommandLine(step.command_line, step.command, step.args)]
    if len(lines) == 1 and shown.command and (shown.command, shown.args) != (lines[0].command, lines[0].args):
        lines = [CommandLine("", shown.command, shown.args)]
    return [
        filled(
            command=each.command, args=list(each.args), cmdWithArgs=each.line or shlex.join((each.command, *each.args))
        )
        for each in lines
    ]


def _continue_on(found: ContinueOn) -> Record:
    return filled(
        failure=found.failure,
        skipped=found.skipped,
        exitCode=list(found.exit_codes),
        output=list(found.output),
        markSuccess=found.mark_success,
    )


def _retry(found: Retry | None) -> Record | None:
    if found is None:
        return None
    limit, interval = found.limit, found.interval_seconds
    return filled(
        limit=limit if isinstance(limit, int) else 0,
        limitStr=limit if isinstance(limit, str) else "",
        interval=interval * NANOSECONDS if isinstance(interval, int) else 0,
        intervalSecStr=interval if isinstance(interval, str) else "",
        exitCode=list(found.exit_codes),
        backoff=found.backoff,
        maxInterval=found.max_interval_seconds * NANOSECONDS,
    )


def _repeat(found: Repeat | None) -> Record | None:
    if found is None:
        return None
    return filled(
        repeatMode=found.mode,
        interval=found.interval_seconds * NANOSECONDS,
        limit=found.limit,
        backoff=found.backoff,
        maxInterval=found.max_interval_seconds * NANOSECONDS,
        condition=condition_records([found.condition])[0] if found.condition else None,
        exitCode=list(found.exit_codes),
    )


def _parallel(found: Parallel | None) -> Record | None:
    if found is None:
        return None
    items = [
        {"value": item} if isinstance(item, str) else {"params": {pair.name: pair.value for pair in item}}
        for item in found.items
    ]
    return filled(variable=found.variable, items=items, maxConcurrent=found.max_concurrent)


class ExportedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt with its nodes, and the summaries of nodes by position."""

    row: AttemptRow
    nodes: Sequence[NodeRow]
    summaries: Mapping[int, str] = {}


class ExportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its attempts, oldest first, its definition, and names and ids of its root and its caller."""

    run: CompleteRun
    attempts: Sequence[ExportedAttempt]
    definition: Definition
    spec: str
    root: tuple[str, str]
    parent: tuple[str, str] | None = None

    @property
    def params(self) -> list[Pair]:
        return msgspec.convert(self.run.params, list[Pair])


def attempt_id(run: CompleteRun, number: int) -> str:
    """Return the id of an attempt, which is the same in every export."""
    return hashlib.sha256(f"{run.id}/{number}".encode()).hexdigest()[:_ATTEMPT_ID]


def waiting_attempt(run: CompleteRun, first: ExportedAttempt) -> ExportedAttempt | None:
    """Return the attempt in which a run waited in its queue, which is one with its first attempt here."""
    if run.queued_at is None or run.created_at >= first.row.opened_at:
        return None
    row = msgspec.structs.replace(
        first.row, number=0, status=RunStatus.QUEUED, state=None, opened_at=run.created_at, closed_at=None
    )
    blank: Record = {"started_at": None, "finished_at": None, "retried_at": None, "retry_count": 0, "done_count": 0}
    blank |= {"repeated": False, "error": "", "output_value": None, "shown": None, "sub_runs": None, "detail": None}
    blank |= {"has_summary": False}
    nodes = [msgspec.structs.replace(node, status=NodeStatus.NOT_STARTED, **blank) for node in first.nodes]
    return ExportedAttempt(row=row, nodes=nodes)


def time_text(at: datetime | None, missing: str = "") -> str:
    """Format a time with whole seconds."""
    return missing if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def blank_definition(name: str, nodes: Sequence[NodeRow]) -> Definition:
    """Return a definition with the names of the nodes only, for a run whose text was redacted."""
    steps = {row.position: Step(name=row.name) for row in nodes}
    handlers = {
        field: steps.get(key)
        for key, field in ((INIT, "init"), (SUCCESS, "success"), (FAILURE, "failure"), (ABORT, "abort"), (EXIT, "exit"))
    }
    ordered = tuple(steps[key] for key in sorted(steps) if key >= 0)
    return Definition(dag=Dag(name=name, steps=ordered, handlers=Handlers(**handlers)))


def status_record(exported: ExportedRun, attempt: ExportedAttempt, logs: Logs, run_log: str) -> Record:
    """Return the status of an attempt."""
    run, row, is_last = exported.run, attempt.row, attempt.row.number == exported.run.attempt
    started_at = run.started_at if is_last else row.opened_at if row.closed_at else None
    dag = exported.definition.dag
    missing = _NEVER if started_at is None else ""
    nodes = {
        node.position: _node(node, dag, logs, missing) | filled(summary=attempt.summaries.get(node.position))
        for node in attempt.nodes
    }
    handlers = {HANDLER_NAMES[key]: nodes[key] for key in sorted(nodes, reverse=True) if key in HANDLER_NAMES}
    first = exported.attempts[0].row
    return {
        "root": dict(zip(("name", "id"), exported.root, strict=True)),
        **({"parent": dict(zip(("name", "id"), exported.parent, strict=True))} if exported.parent else {}),
        "name": run.dag_name,
        "dagRunId": run.run_id,
        "attemptId": attempt_id(run, row.number),
        "status": int(row.status),
        "nodes": [nodes[key] for key in sorted(nodes) if key >= 0],
        **handlers,
        "createdAt": int((first.closed_at or run.created_at).timestamp() * 1000),
        **filled(queuedAt=time_text(run.queued_at)),
        "startedAt": time_text(started_at),
        "finishedAt": time_text(run.finished_at if is_last else row.closed_at),
        "log": run_log,
        **filled(params=run.params_text, paramsList=pair_texts(exported.params)),
        **filled(preconditions=condition_records(dag.preconditions, EngineFields.of(row.state).conditions)),
    }


def _node(row: NodeRow, dag: Dag, logs: Logs, missing: str) -> Record:
    found = find_step(dag, row.position)
    step = found if found is not None and (row.handler or found.name == row.name) else Step(name=row.name)
    calls = read_record(row.sub_runs)
    stdout, stderr = logs.get(row.position, ("", ""))
    shown = msgspec.convert(row.shown or {}, ShownCommand)
    record = step_record(step, shown=shown, unmet=EngineFields.of(row.detail).conditions)
    return {
        "step": record | {"name": row.name},
        "stdout": stdout,
        "stderr": stderr,
        "startedAt": time_text(row.started_at, missing),
        "finishedAt": time_text(row.finished_at, missing),
        "status": int(row.status),
        **filled(
            retriedAt=time_text(row.retried_at),
            retryCount=row.retry_count,
            doneCount=row.done_count,
            repeated=row.repeated,
            error=row.error,
            children=_calls(calls.current if calls else ()),
            childrenRepeated=_calls(calls.earlier if calls else ()),
            outputVariables={row.output_name: f"{row.output_name}={row.output_value}"}
            if row.output_name and row.output_value is not None
            else None,
        ),
    }


def _calls(calls: Sequence[SubRun]) -> list[Record]:
    return [filled(dagRunId=call.id, params=call.params) for call in calls]


def outputs_record(exported: ExportedRun, attempt: ExportedAttempt) -> Record | None:
    """Return the collected outputs of an attempt, None without any."""
    run = exported.run
    outputs = collect_outputs(attempt.nodes, exported.definition.dag)
    if not outputs:
        return None
    metadata = {
        "dagName": run.dag_name,
        "dagRunId": run.run_id,
        "attemptId": attempt_id(run, attempt.row.number),
        "status": attempt.row.status.label,
        "completedAt": time_text(attempt.row.closed_at),
        "params": msgspec.json.encode(pair_texts(exported.params)).decode(),
    }
    return {"metadata": metadata, "outputs": outputs}


def snapshot_record(exported: ExportedRun, dags: str) -> Record:
    """Return the definition of a run; ``dags`` is the folder of definitions."""
    run, definition = exported.run, exported.definition
    location = f"{dags}/{run.file_name}.yaml" if run.file_name else ""
    local = _documents(exported.spec)
    own = local.get(run.dag_name, "") if exported.parent else ""
    common = filled(workingDir=run.work_dir, location=location, env=pair_texts(msgspec.convert(run.env, list[Pair])))
    others = {
        each.name: common | _dag_record(each, local.get(each.name, "")) for each in definition.local_dags if not own
    }
    record = common | _dag_record(definition.dag, own or exported.spec)
    return (
        record
        | {"name": run.dag_name}
        | filled(
            queue=run.queue if run.queue != run.dag_name else "",
            params=pair_texts(exported.params),
            paramsJSON=run.params_json,
            localDAGs=others,
        )
    )


def _dag_record(dag: Dag, spec: str) -> Record:
    handlers = dag.handlers
    named = {"init": handlers.init, "success": handlers.success, "failure": handlers.failure}
    named |= {"cancel": handlers.abort, "exit": handlers.exit}
    days = dag.history_retention_days
    retention = DEFAULT_HISTORY_RETENTION_DAYS if days is None else days
    return filled(
        name=dag.name,
        group=dag.group,
        type=dag.type,
        shell=dag.shell[0] if dag.shell else "",
        shellArgs=list(dag.shell[1:]),
        dotenv=list(dag.dotenv),
        tags=list(dag.tags),
        description=dag.description,
        schedule=[{"expression": each} for each in dag.schedule.start],
        stopSchedule=[{"expression": each} for each in dag.schedule.stop],
        restartSchedule=[{"expression": each} for each in dag.schedule.restart],
        skipIfSuccessful=dag.skip_if_successful,
        logDir=dag.log_dir,
        logOutput=dag.log_output,
        defaultParams=param_text.quote(dag.params, positions=True),
        steps=[step_record(step) for step in dag.steps],
        handlerOn={
            key: step_record(step) | {"name": f"on{key.capitalize()}"}
            for key, step in named.items()
            if step is not None
        },
        preconditions=condition_records(dag.preconditions),
        timeout=dag.timeout_seconds * NANOSECONDS,
        delay=dag.delay_seconds * NANOSECONDS,
        restartWait=dag.restart_wait_seconds * NANOSECONDS,
        maxActiveSteps=dag.max_active_steps,
        maxActiveRuns=dag.max_active_runs,
        maxCleanUpTime=dag.max_clean_up_seconds * NANOSECONDS,
        maxOutputSize=dag.max_output_size,
        workerSelector=dag.worker_selector,
        secrets=[
            filled(name=each.name, provider=each.provider, key=each.key, options=each.options) for each in dag.secrets
        ],
        yamlData=base64.b64encode(spec.encode()).decode(),
    ) | {"histRetentionDays": retention}  # left out it would be 0, and the next start there would delete all runs


def _documents(spec: str) -> dict[str, str]:
    """Return the texts of the DAGs after the first one in a text, by their names."""
    if "\n---" not in spec:
        return {}
    try:
        documents = list(yaml.safe_load_all(spec))[1:_LONGEST_DOCUMENTS]
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return {
        str(name): yaml.safe_dump(each, sort_keys=False, allow_unicode=True)
        for each in documents
        if isinstance(each, dict) and (name := each.get("name"))
    }
