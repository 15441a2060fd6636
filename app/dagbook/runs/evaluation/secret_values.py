"""Resolving of secret values at the start of every attempt (runtime 29, DAG format 2.16).

The provider ``env`` reads a variable of the server, of the DAG's ``env`` or of dotenv; ``file`` reads a complete file.
``SecretSources`` limits both. Other providers are asked outside of this process, and only after the run is stored.
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

from dagbook.db.database import Database
from dagbook.db.repositories.accounts import principals
from dagbook.runs.evaluation.secret_commands import MAX_BYTES, MOST_ASKED, SecretError, read_from_command
from dagbook.runs.evaluation.vault import Answer, Vault
from dagbook.runs.model import ClaimedRun, PendingInputs, RunInputs, SecretUse
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import VAULT, HostEnvironment, SecretSources
from dagbook.settings.secret_commands import SecretCommand
from dagbook.spec.model import Pair, Secret
from dagbook.unix.unix_accounts import AccountError, read_regular_file


class AskedProviders:
    """The providers that this process asks outside of it: the commands of the settings, and Vault."""

    def __init__(self, database: Database, machine: HostEnvironment) -> None:
        self._database = database
        self._environ = machine.environ
        self._commands = {command.name: command for command in machine.secret_sources.commands}
        self._free = asyncio.Semaphore(MOST_ASKED)
        vault = machine.secret_sources.vault
        self._vault = None if vault is None else Vault(vault, machine.egress)

    async def read(self, run: ClaimedRun, secret: Secret) -> Answer | SecretError:
        """Return the value of a secret, or why there is none."""
        try:
            if secret.provider == VAULT and self._vault is not None:
                return await self._vault.read(secret)
            return await self._run_command(self._commands[secret.provider], run, secret.key)
        except SecretError as error:
            return error

    async def _run_command(self, command: SecretCommand, run: ClaimedRun, key: str) -> Answer:
        if not command.is_for_all:
            dag = await self._database.read(lambda connection: principals.find_stored_dag(connection, run.key))
            if dag is None or not command.may_ask(dag):
                raise SecretError(f"the setting secret_commands does not let this DAG ask {command.name!r}")
        async with self._free:
            return Answer(await read_from_command(command, key, self._environ))


async def resolve_secrets(
    run: ClaimedRun, machine: HostEnvironment, providers: AskedProviders | None = None
) -> tuple[ClaimedRun, str]:
    """Resolve the secrets of a run; returns the run and a problem that fails it, or "".

    Every attempt of every run calls this. Values of the last attempt stay masked, but no step gets them. Without
    ``providers``, before the run is stored, secrets of providers that are asked outside leave the inputs pending.
    """
    dag, inputs = run.definition.dag, run.inputs
    if not dag.secrets:
        return (_with_inputs(run, inputs, machine) if inputs.hidden or machine.credentials else run), ""
    asked = [secret for secret in dag.secrets if secret.provider in machine.secret_sources.asked]
    answers: dict[str, Answer | SecretError] = {}
    if providers is not None:
        found = await asyncio.gather(*(providers.read(run, secret) for secret in asked))
        answers = dict(zip((secret.name for secret in asked), found, strict=True))
    elif asked:
        inputs = msgspec.structs.replace(inputs, pending=inputs.pending or PendingInputs(dotenv_alone=True))
        run = msgspec.structs.replace(run, inputs=inputs)
    return await asyncio.to_thread(_resolve, run, machine.for_run(inputs.base_environment, inputs.run_as), answers)


def _resolve(
    run: ClaimedRun, machine: HostEnvironment, answers: Mapping[str, Answer | SecretError]
) -> tuple[ClaimedRun, str]:
    found, uses, problems = [], [], []
    for secret in run.definition.dag.secrets:
        if secret.provider in machine.secret_sources.asked and secret.name not in answers:
            continue  # it is pending
        answer = answers.get(secret.name)
        try:
            found.append(Pair(secret.name, _read(secret, run.inputs, machine, answer)))
        except SecretError as error:
            problems.append(f"secret {secret.name}: {error}")
        else:
            uses.append(SecretUse(secret, answer.version if isinstance(answer, Answer) else None))
    values = {pair.value for pair in found}
    hidden = tuple(value for value in dict.fromkeys(run.inputs.to_hide) if value not in values)
    inputs = msgspec.structs.replace(run.inputs, secrets=tuple(found), hidden=hidden)
    return msgspec.structs.replace(_with_inputs(run, inputs, machine), uses=tuple(uses)), "; ".join(problems)


def _with_inputs(run: ClaimedRun, inputs: RunInputs, machine: HostEnvironment) -> ClaimedRun:
    return msgspec.structs.replace(run, inputs=inputs, masker=Masker(inputs.to_hide, machine.credentials))


def _read(secret: Secret, inputs: RunInputs, machine: HostEnvironment, answer: Answer | SecretError | None) -> str:
    if isinstance(answer, SecretError):
        raise answer
    match secret.provider:
        case _ if answer is not None:
            value = _decode(answer.value, f"what the provider {secret.provider!r} gave")
        case "env":
            value = _read_env(secret, inputs, machine)
        case "file":
            value = _read_file(secret, inputs, machine)
        case _:
            names = ", ".join(("env", "file", *sorted(machine.secret_sources.asked)))
            raise SecretError(f"there is no provider {secret.provider!r}; write one of {names}")
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
