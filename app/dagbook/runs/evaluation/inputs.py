"""Inputs of a run: env, params and their JSON Schema (DAG format 2.9), dotenv files, directory.

Nothing is run before the run is stored: what needs a command or a request is pending until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from dagbook.errors import BadRequestError
from dagbook.json_values import Json, JsonObject
from dagbook.runs.evaluate import ShellContext, evaluate
from dagbook.runs.evaluation import last_success
from dagbook.runs.evaluation.schema_source import is_url, read_schema
from dagbook.runs.model import PendingInputs, RunInputs, RunLocation
from dagbook.runs.store.new_run import given_params
from dagbook.spec import paths
from dagbook.spec.expansion import expand
from dagbook.spec.expansion.expand import ExpansionError, Mode, Variables
from dagbook.spec.expansion.scope import filter_environment
from dagbook.spec.expansion.shell_expansion import expand_plain
from dagbook.spec.model import Dag, Pair
from dagbook.spec.params import dotenv, names, param_text
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.problem import SpecError
from dagbook.unix import unix_accounts
from dagbook.unix.unix_accounts import AccountError, files_as, read_regular_file

_LONGEST_PARAMS, _MOST_PARAMS = 1024 * 1024, 1000
_MAX_BYTES = 1024 * 1024  # of a dotenv file
_QUICK = 8 * 1024  # characters that are parsed in a few milliseconds
_NAMED_BEFORE = ". The run has them from its first start: start the DAG again instead"


class _NotNowError(Exception):
    """An evaluation needs a command or a request, which only runs after the run was stored."""


async def prepare_inputs(dag: Dag, given: GivenParams, location: RunLocation) -> RunInputs:
    """Evaluate the inputs of a new run without running anything; else they are pending. Raises BadRequestError."""
    await _check_params(given)
    check_names(dag, given, location)
    try:
        return await evaluate_inputs(dag, given, _running_nothing(location))
    except _NotNowError:
        work_dir, keep_dir = _given_directory(location)
        return RunInputs(
            params=given_params(dag, given),
            work_dir=work_dir,
            keep_dir=keep_dir,
            source_directory=location.source_directory,
            run_as=location.run_as,
            pending=PendingInputs.of(given),
        )


async def prepare_again(dag: Dag, stored: RunInputs, location: RunLocation) -> RunInputs:
    """Evaluate the stored inputs of a run that is about to begin, as ``prepare_inputs``; raises BadRequestError."""
    try:
        return await complete_inputs(dag, stored, _running_nothing(location))
    except _NotNowError:
        work_dir, keep_dir = _given_directory(location) if stored.pending else (stored.work_dir, stored.keep_dir)
        pending = stored.pending or PendingInputs(dotenv_alone=True)
        return msgspec.structs.replace(
            stored, work_dir=work_dir, keep_dir=keep_dir, pending=pending, run_as=location.run_as
        )


async def complete_inputs(dag: Dag, stored: RunInputs, location: RunLocation) -> RunInputs:
    """Evaluate what is pending of stored inputs, or what a later attempt evaluates again; raises BadRequestError."""
    if stored.pending is None or stored.pending.dotenv_alone:
        inputs = await reevaluate_inputs(dag, stored, location)
    else:
        check_names(dag, stored.pending.given, location)
        evaluated = await evaluate_inputs(dag, stored.pending.given, location)
        retained = {name: getattr(stored, name) for name in ("base_environment", "secrets", "hidden", "variables")}
        inputs = msgspec.structs.replace(evaluated, **retained)
    return msgspec.structs.replace(inputs, pending=None)


async def _check_params(given: GivenParams) -> None:
    """Refuse a params text that is too long, or has too many values for the environment of a process."""
    if len(given.text) > _LONGEST_PARAMS:
        raise BadRequestError(
            f"params: the text is longer than {_LONGEST_PARAMS} characters; pass large data in a file"
        )
    if len(given.text) > _MOST_PARAMS and len(await asyncio.to_thread(given.read)) > _MOST_PARAMS:
        raise BadRequestError(f"params: there are more than {_MOST_PARAMS} values; pass large data in a file")


def check_names(dag: Dag, given: GivenParams, location: RunLocation) -> None:
    """Refuse names that the definition has to declare; raises BadRequestError.

    Those of a DAG with a schema are checked when that is read.
    """
    _refuse_names(given.read(), dag, location, None)


def _refuse_names(
    pairs: Iterable[Pair], dag: Dag, location: RunLocation, schema: JsonObject | None, advice: str = ""
) -> None:
    reason = "a call into another account takes no others" if location.crosses_accounts else ""
    problem = names.find_problem(
        pairs, dag, location.undeclared_params, schema, of_caller=location.of_caller, reason=reason
    )
    if problem:
        raise BadRequestError(problem + advice)


def _running_nothing(location: RunLocation) -> RunLocation:
    machine = location.machine
    if machine.substitute is None:

        async def refuse(_command: str, _shell_context: ShellContext) -> str:
            raise _NotNowError

        machine = msgspec.structs.replace(machine, substitute=refuse)
    return msgspec.structs.replace(location, machine=machine, fetches=False)


async def evaluate_inputs(dag: Dag, given: GivenParams, location: RunLocation) -> RunInputs:
    """Evaluate the inputs of a new run; raises BadRequestError naming the field."""
    if dag.names_last_success and location.last_success is None:
        raise _NotNowError  # they are read when it begins: the run before it may end until then
    _require_account(location)
    last = location.last_success or ()
    env = (*last, *await _evaluate_env(dag, location, _shell_context(location, last)))
    seen = {**location.machine.environ, **{pair.name: pair.value for pair in env}}
    shell_context = _shell_context(location, env)
    work_dir, keep_dir = _find_directory(dag, seen, location)
    pairs = await _evaluate_params(dag, given, seen, work_dir, location, shell_context)
    return RunInputs(
        params=pairs,
        params_json=given.json_text,
        env=env,
        dotenv=await _read_dotenv(dag, seen, work_dir, location, shell_context),
        work_dir=work_dir,
        keep_dir=keep_dir,
        source_directory=location.source_directory,
        run_as=location.run_as,
    )


def _require_account(location: RunLocation) -> None:
    if location.machine.account:
        try:
            unix_accounts.require(location.machine.account)
        except AccountError as error:
            raise BadRequestError(str(error)) from error


async def reevaluate_inputs(dag: Dag, stored: RunInputs, location: RunLocation) -> RunInputs:
    """Evaluate the inputs that a later attempt does not take from the stored ones; raises BadRequestError.

    Params and env are retained; dotenv files are read again (runtime 21.3).
    """
    _require_account(location)
    seen = {**location.machine.environ, **{pair.name: pair.value for pair in stored.env}}
    work_dir, keep_dir = _restore_directory(dag, stored, seen, location)
    await _check_stored_names(dag, stored, seen, work_dir, location)
    variables = await _read_dotenv(dag, seen, work_dir, location, _shell_context(location, stored.env))
    return msgspec.structs.replace(
        stored, dotenv=variables, work_dir=work_dir, keep_dir=keep_dir, run_as=location.run_as
    )


async def _check_stored_names(
    dag: Dag, stored: RunInputs, seen: Mapping[str, str], work_dir: str, location: RunLocation
) -> None:
    """Refuse names that the run got before they were checked, or before the setting was changed."""
    schemaless = msgspec.structs.replace(dag, params_schema="")
    if names.find_problem(stored.params, schemaless, location.undeclared_params, of_caller=location.of_caller):
        schema = await _read_schema(dag, seen, work_dir, location) if dag.params_schema else None
        _refuse_names(stored.params, dag, location, schema, _NAMED_BEFORE)


def create_workdir(inputs: RunInputs, account: str) -> str:
    """Create the ``workingDir`` of a run if it is missing (DAG format 2.4); returns an error text, or ""."""
    directory = Path(inputs.work_dir)
    if not inputs.keep_dir:
        return ""
    try:
        with files_as(account):
            if directory.is_dir():
                return ""
            if inputs.work_dir == inputs.source_directory:  # without its files, a new directory is of no use
                return f"the directory of the DAG's file, {directory}, is not on this machine; put its files there too"
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        return f"workingDir: {directory} could not be created: {error.strerror}"
    except AccountError as error:
        return str(error)
    return ""


def _shell_context(location: RunLocation, env: Iterable[Pair]) -> ShellContext:
    """Return the context of commands in texts, which get of the server's environment what steps get."""
    base = location.base_directory
    own = last_success.for_process({pair.name: pair.value for pair in env})
    cwd = base if base.is_dir() else Path(location.machine.home or "/")
    return ShellContext(
        shell=location.machine.default_shell,
        env={**filter_environment(location.machine.environ), **own},
        cwd=cwd,
        limit_seconds=location.limit_seconds,
        encoding=location.machine.encoding,
        account=location.machine.account,
        substitute=location.machine.substitute,
    )


async def _evaluate_env(dag: Dag, location: RunLocation, shell_context: ShellContext) -> tuple[Pair, ...]:
    if not dag.env:
        return ()
    machine = location.machine
    earlier = {pair.name: pair.value for pair in location.last_success or ()}
    variables = Variables(environ=machine.environ)
    try:
        return await evaluate(
            expand.evaluate_env(dag.env, variables=variables, home=machine.home, earlier=earlier), shell_context
        )
    except ExpansionError as error:
        raise BadRequestError(f"env: a value could not be evaluated: {error}") from error


async def _evaluate_params(
    dag: Dag,
    given: GivenParams,
    seen: Mapping[str, str],
    work_dir: str,
    location: RunLocation,
    shell_context: ShellContext,
) -> tuple[Pair, ...]:
    try:
        pairs = await evaluate(
            param_text.evaluate(
                dag.params,
                given.read(),
                environ=seen,
                home=location.machine.home,
                # A command in them would be the caller's, and run under the account of the called DAG.
                evaluate_override=location.evaluate_caller_values and not location.crosses_accounts,
            ),
            shell_context,
        )
    except ExpansionError as error:
        raise BadRequestError(f"params: a value could not be evaluated: {error}") from error
    if not dag.params_schema:
        return pairs
    schema = await _read_schema(dag, seen, work_dir, location)
    _refuse_names(pairs, dag, location, schema)
    try:
        return await asyncio.to_thread(param_text.validate, pairs, schema)
    except (SpecError, ValueError) as error:
        raise BadRequestError(f"params: the values do not match the schema: {error}") from error


async def _read_schema(dag: Dag, seen: Mapping[str, str], work_dir: str, location: RunLocation) -> dict[str, Json]:
    reference = expand_plain(dag.params_schema, seen)
    if is_url(reference) and not location.fetches:
        raise _NotNowError
    machine = location.machine
    return await read_schema(reference, location.schema_directories(work_dir), machine.egress, machine.account)


def _find_directory(dag: Dag, seen: Mapping[str, str], location: RunLocation) -> tuple[str, bool]:
    """Return the working directory of a run, and whether it stays after the run (runtime 10.2)."""
    if dag.working_dir:
        return paths.resolve(
            _expand_directory(dag, seen), base=str(location.base_directory), home=location.machine.home
        ), True
    return _given_directory(location)


def _given_directory(location: RunLocation) -> tuple[str, bool]:
    """Return the directory of a run whose definition names none, and whether it stays after the run."""
    if given := location.default_directory or location.source_directory:
        return given, True
    return str(location.private_directory or location.work_dir), location.private_directory is None


def _restore_directory(dag: Dag, stored: RunInputs, seen: Mapping[str, str], location: RunLocation) -> tuple[str, bool]:
    """Return the working directory of a stored run, and whether it stays.

    It is the stored one unless it depends on the ``work_dir`` setting: a worker has its own setting, and runs of stored
    DAGs used to have private directories. The directory given by a caller is stored, or given again.
    """
    is_sub_run = stored.base_environment is not None
    if dag.working_dir:
        find_again = not stored.source_directory and not _expand_directory(dag, seen).startswith(("/", "~"))
    else:
        find_again = bool(location.default_directory) if is_sub_run else not stored.source_directory
    return _find_directory(dag, seen, location) if find_again else (stored.work_dir, stored.keep_dir)


def _expand_directory(dag: Dag, seen: Mapping[str, str]) -> str:
    return expand_plain(dag.working_dir, seen)


async def _read_dotenv(
    dag: Dag, seen: Mapping[str, str], work_dir: str, location: RunLocation, shell_context: ShellContext
) -> tuple[Pair, ...]:
    """Read the dotenv files in order, of which later ones win (1.30, 10); one that cannot be read is no error."""
    found: dict[str, str] = {}
    for name in dict.fromkeys((".env", *dag.dotenv)) if dag.dotenv else ():
        evaluation = expand.expand(name, mode=Mode.FULL, variables=Variables(environ=seen), home=location.machine.home)
        try:
            text = await evaluate(evaluation, shell_context)
        except ExpansionError as error:
            raise BadRequestError(f"dotenv: {name!r} could not be evaluated: {error}") from error
        for directory in filter(None, (work_dir, location.source_directory)):
            path = Path(paths.resolve(text, base=directory, home=location.machine.home))
            pairs = await _read_pairs(path, location.machine.account)
            if pairs is not None:
                found |= {pair.name: pair.value for pair in pairs}
                break
    return tuple(Pair(*item) for item in found.items())


async def _read_pairs(path: Path, account: str) -> tuple[Pair, ...] | None:
    try:
        data = read_regular_file(path, _MAX_BYTES + 1, account)
        if data is None or len(data) > _MAX_BYTES:
            return None
        text = data.decode()
        return await asyncio.to_thread(dotenv.parse, text) if len(text) > _QUICK else dotenv.parse(text)
    except AccountError as error:
        raise BadRequestError(str(error)) from error
    except (OSError, ValueError):
        return None
