"""Resolving of secret values at the start of every attempt (runtime 29, DAG format 2.16).

The provider ``env`` reads a variable of the server, of the DAG's ``env`` or of dotenv; ``file`` reads a complete file.
``SecretSources`` limits both.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec

from dagbook.runs.model import ClaimedRun, RunInputs
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import HostEnvironment, SecretSources
from dagbook.spec.model import Pair, Secret
from dagbook.unix.unix_accounts import AccountError, read_regular_file

MAX_BYTES = 64 * 1024


class SecretError(Exception):
    """A secret cannot be resolved; the message gives the reason and never contains the value."""


async def resolve_secrets(run: ClaimedRun, machine: HostEnvironment) -> tuple[ClaimedRun, str]:
    """Resolve the secrets of a run; returns the run and a problem that fails it, or "".

    Every attempt of every run calls this. Values of the last attempt stay masked, but no step gets them.
    """
    dag, inputs = run.definition.dag, run.inputs
    if not dag.secrets:
        return (_with_inputs(run, inputs, machine) if inputs.hidden or machine.credentials else run), ""
    return await asyncio.to_thread(_resolve, run, machine.for_run(inputs.base_environment, inputs.run_as))


def _resolve(run: ClaimedRun, machine: HostEnvironment) -> tuple[ClaimedRun, str]:
    found, problems = [], []
    for secret in run.definition.dag.secrets:
        try:
            found.append(Pair(secret.name, _read(secret, run.inputs, machine)))
        except SecretError as error:
            problems.append(f"secret {secret.name}: {error}")
    values = {pair.value for pair in found}
    hidden = tuple(value for value in dict.fromkeys(run.inputs.to_hide) if value not in values)
    inputs = msgspec.structs.replace(run.inputs, secrets=tuple(found), hidden=hidden)
    return _with_inputs(run, inputs, machine), "; ".join(problems)


def _with_inputs(run: ClaimedRun, inputs: RunInputs, machine: HostEnvironment) -> ClaimedRun:
    return msgspec.structs.replace(run, inputs=inputs, masker=Masker(inputs.to_hide, machine.credentials))


def _read(secret: Secret, inputs: RunInputs, machine: HostEnvironment) -> str:
    match secret.provider:
        case "env":
            value = _read_env(secret, inputs, machine)
        case "file":
            value = _read_file(secret, inputs, machine)
        case _:
            raise SecretError(f"there is no provider {secret.provider!r}; write env or file")
    if "\0" in value:
        raise SecretError("its value contains a NUL character, which cannot be passed to a process; store it as base64")
    return value


def _read_env(secret: Secret, inputs: RunInputs, machine: HostEnvironment) -> str:
    own = {pair.name: pair.value for pair in (*inputs.env, *inputs.dotenv)}
    seen: Mapping[str, str] = {**machine.environ, **own}
    is_server_s = secret.key not in own and inputs.base_environment is None
    if is_server_s and not any(fnmatchcase(secret.key, pattern) for pattern in machine.secret_sources.variables):
        raise SecretError(f"the setting secret_env_allow does not let secrets read the variable {secret.key!r}")
    if secret.key not in seen:
        raise SecretError(f"the environment variable {secret.key!r} is not set; set it where the server is started")
    return _decode(os.fsencode(seen[secret.key]), f"the environment variable {secret.key!r}")


def _read_file(secret: Secret, inputs: RunInputs, machine: HostEnvironment) -> str:
    tried = []
    # The account of the steps, unless the settings say which files secrets may be.
    reader = machine.account if machine.secret_sources.directories is None else ""
    for directory in filter(None, (inputs.work_dir, inputs.source_directory)):
        path = Path(directory, secret.key)
        tried.append(str(path))
        try:
            check = partial(_check_file, path, machine.secret_sources)
            data = read_regular_file(path, MAX_BYTES + 1, reader, check)
        except AccountError as error:
            raise SecretError(str(error)) from error
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise SecretError(f"the file {path} cannot be read: {error.strerror}") from error
        if data is None:
            raise SecretError(f"{path} is no file")
        return _decode(data, f"the file {path}")
    raise SecretError(f"there is no file {secret.key!r}; looked for {', '.join(dict.fromkeys(tried))}")


def _check_file(path: Path, sources: SecretSources, descriptor: int) -> None:
    """Raise SecretError for an open file that no secret may read, by whatever name or link it was opened."""
    status = os.fstat(descriptor)
    for own in sources.own_files:
        with suppress(OSError):
            if os.path.samestat(own.stat(), status):
                raise SecretError(f"the file {path} contains credentials of the server, which no secret may read")
    real = Path(f"/proc/self/fd/{descriptor}").readlink()
    if real.is_relative_to("/proc"):
        raise SecretError(f"{path} is no file")
    directories = sources.directories
    if directories is not None and not any(real.is_relative_to(directory.resolve()) for directory in directories):
        raise SecretError(f"the file {path} is outside of the directories in the setting secret_file_dirs")


def _decode(data: bytes, what: str) -> str:
    if len(data) > MAX_BYTES:
        raise SecretError(f"{what} has more than {MAX_BYTES // 1024} KiB, the limit for a secret")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{what} is not UTF-8 text, as a variable must be; store it as base64") from None
