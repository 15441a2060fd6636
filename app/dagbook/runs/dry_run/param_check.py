"""Check of params against their JSON Schema, without running or fetching anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from dagbook.errors import BadRequestError
from dagbook.runs.dry_run.placeholders import Placeholders
from dagbook.runs.evaluation.inputs import RunLocation, evaluate_inputs
from dagbook.runs.evaluation.params_schema import is_url, read_schema
from dagbook.spec.expansion import expand
from dagbook.spec.expansion.expand import Mode
from dagbook.spec.model import Dag, Definition, Pair
from dagbook.spec.params import json_schema
from dagbook.spec.problem import Problem, SpecError

_PARAMS, _SCHEMA = "params", "params.schema"


async def check_params(definition: Definition, location: RunLocation) -> list[Problem]:
    """Return the problems of the params of a definition's DAGs that can be known before a run.

    Users with read permission may request this: no command is run, no URL is fetched, and no value of the server's
    environment gets into a message. Values that depend on one of these are not checked.
    """
    problems = list(await _check(definition.dag, location))
    for dag in definition.local_dags:
        problems += [msgspec.structs.replace(problem, dag=dag.name) for problem in await _check(dag, location)]
    return problems


async def _check(dag: Dag, location: RunLocation) -> Iterable[Problem]:
    if not dag.params_schema or is_url(dag.params_schema):
        return ()
    placeholders = Placeholders()
    environ = {name: placeholders.replace(f"${name}") for name in location.machine.environ}
    machine = msgspec.structs.replace(location.machine, environ=environ, substitute=placeholders.replace_command)
    location = msgspec.structs.replace(location, machine=machine)
    try:
        inputs = await evaluate_inputs(msgspec.structs.replace(dag, params_schema="", dotenv=()), "", location)
    except BadRequestError:  # a start reports it; here the placeholder may be the cause
        return ()
    seen = {**environ, **{pair.name: pair.value for pair in inputs.env}}
    reference = expand.run_without_commands(expand.expand(dag.params_schema, mode=Mode.PLAIN, maps=(), environ=seen))
    if is_url(reference) or placeholders.is_in(reference) or placeholders.is_in(inputs.work_dir):
        return ()
    unknown = {pair.name for pair in inputs.params if placeholders.is_in(pair.value)}
    problems = await _find_problems(inputs.params, reference, location, inputs.work_dir)
    return [problem for problem in problems if _is_known(problem, unknown)]


async def _find_problems(
    pairs: tuple[Pair, ...], reference: str, location: RunLocation, directory: str
) -> Iterable[Problem]:
    try:
        schema = await read_schema(reference, location.schema_directories(directory), location.limit_seconds)
        await asyncio.to_thread(json_schema.validate, pairs, schema)
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
