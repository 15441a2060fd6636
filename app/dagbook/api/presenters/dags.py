"""Definitions of DAGs and steps. Pure; section 7 of the format reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.schemas import dags as dag_schemas
from dagbook.api.schemas import runs as run_schemas
from dagbook.db.repositories.dags import DagRow
from dagbook.definitions.timetable import NextStart
from dagbook.spec.model import CommandLine, Condition, Dag, Handlers, Parallel, Repeat, Step
from dagbook.spec.params import param_text
from dagbook.spec.params.param_text import map_text
from dagbook.spec.time.cron_words import describe


def next_start(start: NextStart) -> dag_schemas.NextStart:
    """Convert a scheduled start; its time is in the schedule's own zone."""
    at = start.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return dag_schemas.NextStart(at=at, expression=start.expression)


def _run_config(dag: Dag) -> dag_schemas.RunConfig | UnsetType:
    if dag.run_config is None:
        return UNSET
    return dag_schemas.RunConfig(
        disable_param_edit=dag.run_config.disable_param_edit,
        disable_run_id_edit=dag.run_config.disable_run_id_edit,
    )


def dag_in_list(dag: Dag) -> dag_schemas.DAG:
    """Convert a DAG for a list."""
    return dag_schemas.DAG(
        name=dag.name,
        group=or_unset(dag.group),
        description=or_unset(dag.description),
        schedule=or_unset([dag_schemas.Schedule(expression=text, words=describe(text)) for text in dag.schedule.start]),
        params=or_unset(list(param_text.describe(dag.params))),
        default_params=or_unset(param_text.quote(dag.params, positions=True)),
        tags=or_unset(list(dag.tags)),
        queue=or_unset(dag.queue),
        max_active_runs=or_unset(dag.max_active_runs),
        run_config=_run_config(dag),
    )


def dag_details(dag: Dag, *, default_retention_days: int | None = None) -> dag_schemas.DAGDetails:
    """Convert a DAG with its steps, texts unevaluated; the retention default applies to the details of a file only."""
    retention = dag.history_retention_days
    env = {pair.name: pair.value for pair in dag.env}  # the last value of each name is the effective one
    return dag_schemas.DAGDetails(
        **asdict(dag_in_list(dag)),
        env=or_unset([f"{name}={value}" for name, value in env.items()]),
        log_dir=or_unset(dag.log_dir),
        handler_on=_handlers(dag.handlers),
        steps=or_unset([step(item) for item in dag.steps]),
        delay=or_unset(dag.delay_seconds),
        hist_retention_days=default_retention_days or UNSET if retention is None else retention,
        preconditions=or_unset(conditions(dag.preconditions)),
        max_active_steps=or_unset(dag.max_active_steps),
    )


def _handlers(handlers: Handlers) -> dag_schemas.HandlerOn | UnsetType:
    defined = {
        "success": handlers.success,
        "failure": handlers.failure,
        "cancel": handlers.abort,
        "exit": handlers.exit,
    }
    present = {name: step(handler) for name, handler in defined.items() if handler is not None}
    return dag_schemas.HandlerOn(**present) if present else UNSET


def step(item: Step) -> run_schemas.Step:
    """Convert a step; empty members are left out, except the empty arguments of a command."""
    has_line = bool(item.command) and not item.call
    args = list(item.args) if has_line or item.args else UNSET
    return run_schemas.Step(
        name=item.name,
        id=or_unset(item.id),
        description=or_unset(item.description),
        dir=or_unset(item.working_dir),
        cmd_with_args=or_unset(item.command_line),
        command=or_unset(item.command),
        script=or_unset(item.script),
        stdout=or_unset(item.stdout),
        stderr=or_unset(item.stderr),
        output=or_unset(item.output),
        args=args,
        commands=step_commands(item.lines or [CommandLine("", item.command, item.args)]) if has_line else UNSET,
        executor_config=run_schemas.ExecutorConfig(type=item.executor.type) if item.executor.type else UNSET,
        call=or_unset(item.call.name) if item.call else UNSET,
        params=or_unset(item.call.params) if item.call else UNSET,
        parallel=_parallel(item.parallel),
        depends=or_unset(list(item.depends)),
        repeat_policy=_repeat(item.repeat),
        mail_on_error=or_unset(item.mail_on_error),
        preconditions=or_unset(conditions(item.preconditions)),
        timeout_sec=or_unset(item.timeout_seconds),
    )


def step_commands(lines: Iterable[CommandLine]) -> list[run_schemas.StepCommand]:
    return [run_schemas.StepCommand(command=each.command, args=or_unset(list(each.args))) for each in lines]


def _parallel(parallel: Parallel | None) -> run_schemas.Parallel | UnsetType:
    if parallel is None:
        return UNSET
    items: list[str] | str = parallel.variable or [
        item if isinstance(item, str) else map_text(item) for item in parallel.items
    ]
    return run_schemas.Parallel(items=items, max_concurrent=parallel.max_concurrent)


def _repeat(repeat: Repeat | None) -> run_schemas.RepeatPolicy | UnsetType:
    if repeat is None:
        return UNSET
    return run_schemas.RepeatPolicy(
        repeat=repeat.mode,
        interval=or_unset(repeat.interval_seconds),
        limit=or_unset(repeat.limit),
        backoff=or_unset(repeat.backoff),
        max_interval_sec=or_unset(repeat.max_interval_seconds),
        condition=conditions((repeat.condition,))[0] if repeat.condition else UNSET,
        exit_code=or_unset(list(repeat.exit_codes)),
    )


def conditions(items: Sequence[Condition], errors: Sequence[str] = ()) -> list[run_schemas.Condition]:
    """Convert conditions; ``errors`` are the reasons why they were not met in a run."""
    padded = [*errors, *[""] * (len(items) - len(errors))]
    return [
        run_schemas.Condition(
            condition=item.condition,
            expected=or_unset(item.expected),
            negate=or_unset(item.negate),
            error=or_unset(error),
        )
        for item, error in zip(items, padded, strict=False)
    ]


def present_suspension(row: DagRow, zone: tzinfo) -> dag_schemas.DAGSuspension | UnsetType:
    """Convert the suspension of a DAG; unset without one, and when nothing is known of it."""
    if not row.suspended or not (row.suspended_by or row.suspend_reason or row.suspended_until):
        return UNSET
    return dag_schemas.DAGSuspension(
        by=or_unset(row.suspended_by),
        reason=or_unset(row.suspend_reason),
        until=or_unset(time_text(row.suspended_until, zone)),
    )
