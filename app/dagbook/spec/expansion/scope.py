"""The variables of a step: their order of precedence, and the environment of its process (DAG format 5.4)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from dagbook.spec.expansion.expand import Mode
from dagbook.spec.model import HITL, Step, is_variable_name

_ALLOWED = frozenset(
    (
        *("PATH", "HOME", "USER", "SHELL", "TMPDIR", "TERM", "EDITOR", "VISUAL", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
        *("LD_LIBRARY_PATH", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
    )
)
_ALLOWED_PREFIXES = ("DAGU_", "DAG_", "LC_")
_CREDENTIAL_WORDS = ("SECRET", "TOKEN", "PASSWORD")
_OWN_PREFIX = "DAGBOOK_"
_CREDENTIAL = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|PASS$|CREDENTIAL|AUTHORI[SZ]ATION|(API|PRIVATE|ACCESS)_?KEY|(^|_)KEYS?(_|$)"
)
_PLACE = re.compile(r"_(FILE|PATH|DIR)$")
_MIN_CREDENTIAL = 6  # characters; the shorter ones are words such as `true` rather than secrets


class StepScope(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of variables of one step or handler. ``os_environ`` is that of the server."""

    extra: Mapping[str, str] = {}  # ITEM of a parallel call
    run_vars: Mapping[str, str] = {}  # DAG_RUN_STEP_NAME, PWD, in handlers DAG_RUN_STATUS
    step_env: Mapping[str, str] = {}
    params: Mapping[str, str] = {}
    param_variables: Mapping[str, str] = {}  # of them, those that become variables of processes
    outputs: Mapping[str, str] = {}
    log_files: Mapping[str, str] = {}  # DAG_RUN_STEP_STDOUT_FILE, DAG_RUN_STEP_STDERR_FILE, DAG_SUMMARY
    secrets: Mapping[str, str] = {}
    dotenv: Mapping[str, str] = {}
    dag_env: Mapping[str, str] = {}
    run: Mapping[str, str] = {}  # DAG_NAME, DAG_RUN_ID, DAG_RUN_LOG_FILE, DAGU_PARAMS_JSON
    os_environ: Mapping[str, str] = {}

    def maps(self, mode: Mode) -> tuple[Mapping[str, str], ...]:
        """Return the maps for text replacement, in order."""
        if mode is Mode.STRUCT:
            return (self.params,)
        own = (self.extra, self.run_vars, self._step_variables())
        return own if mode is not Mode.FULL else (*own, self.secrets, self._dag_variables())

    def process_environment(self) -> dict[str, str]:
        """Return the variables of the step's process.

        A secret whose name no shell takes is not one of them: such a variable can only be passed in arguments, which
        every user of the machine can read.
        """
        secrets = {name: value for name, value in self.secrets.items() if is_variable_name(name)}
        return msgspec.structs.replace(self, secrets=secrets, params=self.param_variables).config_variables()

    def config_variables(self) -> dict[str, str]:
        """Return the variables of texts in an executor's config."""
        return {
            **filter_environment(self.os_environ),
            **self._dag_variables(),
            **self.secrets,
            **self.run_vars,
            **self._step_variables(),
        }

    def _step_variables(self) -> dict[str, str]:
        return {**self.outputs, **self.params, **self.log_files, **self.step_env}

    def _dag_variables(self) -> dict[str, str]:
        return {**self.run, **self.params, **self.dag_env, **self.dotenv}


def filter_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the process of a step inherits from the server; credentials of the server never pass."""

    def is_passed(name: str) -> bool:
        is_known = name.startswith(_ALLOWED_PREFIXES) and is_variable_name(name)
        return is_known and not any(word in name.upper() for word in _CREDENTIAL_WORDS)

    return {name: value for name, value in environ.items() if name in _ALLOWED or is_passed(name)}


def is_credential(name: str) -> bool:
    """Whether the name of a variable or a key indicates a secret value."""
    return _CREDENTIAL.search(name.upper()) is not None


def credential_values(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the server's variables whose names indicate a secret, not those of where one is."""
    return tuple(
        value
        for name, value in environ.items()
        if len(value) >= _MIN_CREDENTIAL and is_credential(name) and not _PLACE.search(name.upper())
    )


def without_server_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the settings of the server, among them its keys and the address of its database."""
    return {name: value for name, value in environ.items() if not name.startswith(_OWN_PREFIX)}


def visible_outputs(steps: Sequence[Step], index: int) -> tuple[int, ...]:
    """List the steps with an output, or given values, that a step depends on, directly or not, nearest first."""
    positions = {step.name: position for position, step in enumerate(steps)}
    seen = {index}
    found = []
    waiting = deque([index])
    while waiting:
        for name in steps[waiting.popleft()].depends:
            position = positions.get(name)
            if position is None or position in seen:
                continue
            seen.add(position)
            waiting.append(position)
            if steps[position].output or steps[position].executor.type == HITL:
                found.append(position)
    return tuple(found)
