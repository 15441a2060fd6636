"""What a run needs from the outside before it exists: env, params, dotenv and directory, evaluated once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dagbook.errors import BadRequestError
from dagbook.runs.evaluate import ShellContext, evaluate
from dagbook.runs.evaluation.params_schema import read_schema
from dagbook.runs.server_context import HostEnvironment
from dagbook.runs.store.claimed_run import RunInputs
from dagbook.spec import paths
from dagbook.spec.expansion import expand
from dagbook.spec.expansion.expand import ExpansionError, Mode
from dagbook.spec.model import Dag, Pair
from dagbook.spec.params import dotenv, json_schema, param_text
from dagbook.spec.problem import SpecError


class RunLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run comes from and where it may work."""

    source_directory: str | None
    default_directory: str = ""  # of a sub-run: where the calling step works
    private_directory: Path | None = None  # of an inline run: a folder that is made for it and removed at its end
    work_dir: Path  # the setting: where other runs work by default, and what relative directories start from
    machine: HostEnvironment
    limit_seconds: float

    def schema_directories(self, directory: str) -> tuple[str, str]:
        """List where a schema is looked for by a run that works in a directory."""
        return (directory, str(_base_environment(self)))


async def evaluate_inputs(dag: Dag, override: str, location: RunLocation) -> RunInputs:
    """Evaluate what a definition says about its environment; raises BadRequestError naming the field."""
    around = _shell_context(location, location.machine.environ)
    env = await _evaluate_env(dag, location, around)
    seen = {**location.machine.environ, **{pair.name: pair.value for pair in env}}
    around = msgspec.structs.replace(around, env=seen)
    work_dir, keep_dir = _find_directory(dag, seen, location)
    pairs = await _evaluate_params(dag, override, seen, work_dir, location, around)
    return RunInputs(
        params=pairs,
        env=env,
        dotenv=await _read_dotenv(dag, seen, work_dir, location, around),
        work_dir=work_dir,
        keep_dir=keep_dir,
        source_directory=location.source_directory,
    )


async def reevaluate_inputs(dag: Dag, kept: RunInputs, location: RunLocation) -> RunInputs:
    """Evaluate what a retry does not take over from the first start; raises BadRequestError naming the field.

    Params and env stay as they are, whatever computed them; dotenv files are read again (runtime 21.3).
    """
    seen = {**location.machine.environ, **{pair.name: pair.value for pair in kept.env}}
    work_dir, keep_dir = _restore_directory(dag, kept, seen, location)
    variables = await _read_dotenv(dag, seen, work_dir, location, _shell_context(location, seen))
    return msgspec.structs.replace(kept, dotenv=variables, work_dir=work_dir, keep_dir=keep_dir)


def create_workdir(inputs: RunInputs) -> str:
    """Make the directory that a run was told to work in (DAG format 2.4); returns what is wrong, or nothing."""
    directory = Path(inputs.work_dir)
    told = inputs.keep_dir and inputs.work_dir != inputs.source_directory  # a file's own folder is there, or never was
    if not told or directory.is_dir():
        return ""
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        return f"workingDir: {directory} could not be made: {error.strerror}"
    return ""


def _base_environment(location: RunLocation) -> Path:
    return Path(location.source_directory) if location.source_directory else location.work_dir


def _shell_context(location: RunLocation, env: Mapping[str, str]) -> ShellContext:
    base = _base_environment(location)
    cwd = base if base.is_dir() else Path(location.machine.home or "/")
    return ShellContext(
        shell=location.machine.default_shell,
        env=env,
        cwd=cwd,
        limit_seconds=location.limit_seconds,
        encoding=location.machine.encoding,
        substitute=location.machine.substitute,
    )


async def _evaluate_env(dag: Dag, location: RunLocation, around: ShellContext) -> tuple[Pair, ...]:
    if not dag.env:
        return ()
    try:
        return await evaluate(
            expand.evaluate_env(dag.env, environ=location.machine.environ, home=location.machine.home), around
        )
    except ExpansionError as error:
        raise BadRequestError(f"env: a value could not be evaluated: {error}") from error


async def _evaluate_params(
    dag: Dag, override: str, seen: Mapping[str, str], work_dir: str, location: RunLocation, around: ShellContext
) -> tuple[Pair, ...]:
    try:
        pairs = await evaluate(
            param_text.evaluate(dag.params, override, environ=seen, home=location.machine.home), around
        )
    except ExpansionError as error:
        raise BadRequestError(f"params: a value could not be evaluated: {error}") from error
    if not dag.params_schema:
        return pairs
    reference = expand.run_without_commands(expand.expand(dag.params_schema, mode=Mode.PLAIN, maps=(), environ=seen))
    return _validate(pairs, await read_schema(reference, location.schema_directories(work_dir), location.limit_seconds))


def _validate(pairs: tuple[Pair, ...], wanted: dict[str, Any]) -> tuple[Pair, ...]:
    try:
        return json_schema.validate(pairs, wanted)
    except (SpecError, ValueError) as error:
        raise BadRequestError(f"params: the values do not match the schema: {error}") from error


def _find_directory(dag: Dag, seen: Mapping[str, str], location: RunLocation) -> tuple[str, bool]:
    """Name the directory that a run works in, and tell whether it stays when the run is over (runtime 10.2)."""
    if dag.working_dir:
        return paths.resolve(
            _expand_directory(dag, seen), base=str(_base_environment(location)), home=location.machine.home
        ), True
    if given := location.default_directory or location.source_directory:
        return given, True
    return str(location.private_directory or location.work_dir), location.private_directory is None


def _restore_directory(dag: Dag, kept: RunInputs, seen: Mapping[str, str], location: RunLocation) -> tuple[str, bool]:
    """Name the directory of a run that was stored before.

    It is the same as before, but for what follows from the ``work_dir`` setting: a worker has its own, and runs of
    stored DAGs used to have folders of their own. What a caller gave is known to the rows alone, or given anew.
    """
    is_called = kept.base_environment is not None
    if dag.working_dir:
        anew = not kept.source_directory and not _expand_directory(dag, seen).startswith(("/", "~"))
    else:
        anew = bool(location.default_directory) if is_called else not kept.source_directory
    return _find_directory(dag, seen, location) if anew else (kept.work_dir, kept.keep_dir)


def _expand_directory(dag: Dag, seen: Mapping[str, str]) -> str:
    return expand.run_without_commands(expand.expand(dag.working_dir, mode=Mode.PLAIN, maps=(), environ=seen))


async def _read_dotenv(
    dag: Dag, seen: Mapping[str, str], work_dir: str, location: RunLocation, around: ShellContext
) -> tuple[Pair, ...]:
    """Read the first candidate that exists and can be parsed; a missing one is no error."""
    for name in dict.fromkeys((".env", *dag.dotenv)) if dag.dotenv else ():
        evaluation = expand.expand(name, mode=Mode.FULL, maps=(), environ=seen, home=location.machine.home)
        try:
            text = await evaluate(evaluation, around)
        except ExpansionError as error:
            raise BadRequestError(f"dotenv: {name!r} could not be evaluated: {error}") from error
        for directory in filter(None, (work_dir, location.source_directory)):
            pairs = _parse_file(Path(paths.resolve(text, base=directory, home=location.machine.home)))
            if pairs is not None:
                return pairs
    return ()


def _parse_file(path: Path) -> tuple[Pair, ...] | None:
    try:
        return dotenv.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
