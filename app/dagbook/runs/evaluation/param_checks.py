"""Checks of the params of a definition that can be made before a run, without running or fetching anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from dagbook.errors import BadRequestError
from dagbook.runs.evaluation.inputs import evaluate_inputs
from dagbook.runs.evaluation.placeholders import Placeholders
from dagbook.runs.evaluation.schema_source import is_url, read_schema
from dagbook.runs.model import RunLocation
from dagbook.spec.expansion.shell_expansion import expand_plain
from dagbook.spec.model import Dag, Definition, Pair
from dagbook.spec.params import names, param_text
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.problem import Problem, SpecError

_PARAMS, _SCHEMA = "params", "params.schema"
_UNREAD = f"{_SCHEMA}: the file is not read here, because you may not write definitions; a run checks its params by it"


async def check_params(definition: Definition, location: RunLocation, given: GivenParams) -> list[Problem]:
    """Return the problems of the params of a definition's DAGs that can be known before a run.

    ``given`` are params for the first of them.

    Users with read permission may request this: no command is run, no URL is fetched, and no value of the server's
    environment gets into a message. Values that depend on one of these are not checked, nor are those of a DAG that
    begins from its last success.
    """
    problems = list(await _check(definition.dag, location, given))
    for dag in definition.local_dags:
        problems += [
            msgspec.structs.replace(problem, dag=dag.name) for problem in await _check(dag, location, GivenParams())
        ]
    return problems


def unread_schemas(definition: Definition) -> list[str]:
    """Return a warning for each schema in a file, for callers who may not have files opened: it tells nothing of them.

    Whether a file exists, may be read, is JSON and fits values would tell what is on the machine. Who may write
    definitions can read files anyway, by a step.
    """
    dags = (definition.dag, *definition.local_dags)
    schemas = [dag for dag in dags if dag.params_schema and not is_url(dag.params_schema)]
    return [f"{dag.name}: {_UNREAD}" if dag is not definition.dag else _UNREAD for dag in schemas]


async def _check(dag: Dag, location: RunLocation, given: GivenParams) -> Iterable[Problem]:
    if not dag.params_schema or is_url(dag.params_schema) or dag.names_last_success:
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
