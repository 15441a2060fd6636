"""Steps of a definition as the records of a Dagu 1.x home have them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from dagbook.spec.model import CommandLine, Condition, ContinueOn, Pair, Parallel, Repeat, Retry, Step

Record = dict[str, Any]
NANOSECONDS = 1_000_000_000  # durations of records are whole numbers of these


def filled(**members: Any) -> Record:
    """Return the members that have a value, as records leave empty ones out."""
    return {name: value for name, value in members.items() if value not in ("", None, False, 0, [], {}, ())}


def pair_texts(pairs: Sequence[Pair]) -> list[str]:
    """Return pairs as ``NAME=value``."""
    return [f"{pair.name}={pair.value}" for pair in pairs]


def step_record(step: Step, *, shown: Mapping[str, Any] | None = None, unmet: Sequence[str] = ()) -> Record:
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
        commands=_commands(step, shown or {}),
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


def _commands(step: Step, shown: Mapping[str, Any]) -> list[Record]:
    lines = list(step.lines)
    if not lines and step.command and not step.call:
        lines = [CommandLine(step.command_line, step.command, step.args)]
    evaluated = (shown.get("command"), tuple(shown.get("args") or ()))
    if len(lines) == 1 and shown.get("command") and evaluated != (lines[0].command, lines[0].args):
        lines = [CommandLine("", shown["command"], evaluated[1])]
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
