from __future__ import annotations

from itertools import pairwise

import pytest

from dagbook.spec.expansion.expand import Mode, Variables, expand
from dagbook.spec.expansion.scope import (
    StepScope,
    credential_values,
    filter_environment,
    without_server_settings,
)
from tests.pure.spec.evaluation import evaluated

SOURCES = ["step_env", "params", "outputs", "run_vars", "secrets", "dotenv", "dag_env", "run", "os_environ"]


@pytest.mark.parametrize(("stronger", "weaker"), list(pairwise(SOURCES)))
def test_in_a_process_each_source_outranks_the_next(stronger: str, weaker: str) -> None:
    sources = {stronger: {"LC_X": "strong"}, weaker: {"LC_X": "weak"}}
    scope = StepScope(**sources, param_variables=sources.get("params", {}))
    assert scope.process_environment() == {"LC_X": "strong"}


def test_of_the_params_only_the_variables_reach_a_process() -> None:
    scope = StepScope(params={"A": "a", "PATH": "p"}, param_variables={"A": "a"})
    assert scope.process_environment() == {"A": "a"}
    assert scope.config_variables() == {"A": "a", "PATH": "p"}


@pytest.mark.parametrize("source", ["param_variables", "outputs"])
def test_the_log_files_of_a_step_outrank_its_parameters_and_outputs(source: str) -> None:
    name = "DAG_RUN_STEP_STDOUT_FILE"
    scope = StepScope(**{source: {name: "x"}, "log_files": {name: "/log"}})
    assert scope.process_environment() == {name: "/log"}


def test_the_item_of_a_parallel_call_reaches_texts_but_no_process() -> None:
    scope = StepScope(extra={"ITEM": "i"})
    assert scope.process_environment() == {}
    assert scope.maps(Mode.COMMAND)[0] == {"ITEM": "i"}


@pytest.mark.parametrize("mode", [Mode.COMMAND, Mode.VARS])
def test_in_commands_only_the_step_and_its_run_are_replaced(mode: Mode) -> None:
    names = ["extra", "run_vars", "params", "secrets", "dag_env", "dotenv", "run"]
    scope = StepScope(**{name: {name: "1"} for name in names})
    text = " ".join(f"${name}" for name in names)
    found = evaluated(expand(text, mode=mode, variables=Variables(scope.maps(mode))))
    assert found == "1 1 1 $secrets $dag_env $dotenv $run"


def test_in_full_mode_everything_is_replaced() -> None:
    scope = StepScope(**{name: {name: "1"} for name in SOURCES[:-1]})
    text = " ".join(f"${name}" for name in SOURCES[:-1])
    found = evaluated(expand(text, mode=Mode.FULL, variables=Variables(scope.maps(Mode.FULL))))
    assert found == " ".join("1" * len(SOURCES[:-1]))


def test_settings_of_connections_see_the_parameters() -> None:
    scope = StepScope(params={"A": "1"}, step_env={"B": "2"})
    assert scope.maps(Mode.STRUCT) == ({"A": "1"},)


def test_no_setting_of_the_server_is_seen_by_its_runs() -> None:
    environ = {"AWS_KEY": "k", "DAGBOOK_SECRET_KEY": "s", "X": "os"}
    assert without_server_settings(environ) == {"AWS_KEY": "k", "X": "os"}


@pytest.mark.parametrize(
    ("name", "value", "is_masked"),
    [
        ("DEPLOY_TOKEN", "hunter2", True),
        ("db_password", "hunter2", True),
        ("AWS_SECRET_ACCESS_KEY", "hunter2", True),
        ("CACHE_KEY", "hunter2", True),
        ("SSH_KEY_PATH", "/etc/ssh/key", False),
        ("PGPASSFILE", "/etc/pgpass", False),
        ("KEYBOARD", "english", False),
        ("MONKEYS", "several", False),
        ("USE_TOKEN", "true", False),
        ("EDITOR", "emacs-nox", False),
    ],
)
def test_a_credential_of_the_server_is_known_by_its_name(name: str, value: str, *, is_masked: bool) -> None:
    assert credential_values({name: value}) == ((value,) if is_masked else ())


def test_a_secret_that_no_variable_can_be_named_after_reaches_texts_but_no_process() -> None:
    scope = StepScope(secrets={"my.secret": "s", "OTHER": "o"})
    assert scope.process_environment() == {"OTHER": "o"}
    assert scope.config_variables() == {"my.secret": "s", "OTHER": "o"}


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "LC_TIME", "DAG_X", "DAGU_HOME"]
)
def test_a_harmless_variable_of_the_server_is_inherited(name: str) -> None:
    assert filter_environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_KEY",
        "DAG",
        "path",
        "DAGBOOK_DATABASE_URL",
        "DAGBOOK_X",
        "DAGU_AUTH_TOKEN",
        "DAGU_AUTH_BASIC_PASSWORD",
        "DAG_Secret",
        "LC_PASSWORD",
    ],
)
def test_no_other_variable_and_no_credential_is_inherited(name: str) -> None:
    assert filter_environment({name: "x"}) == {}


def test_the_settings_of_the_server_are_left_out() -> None:
    assert without_server_settings({"DAGBOOK_SECRET_KEY": "x", "A": "1"}) == {"A": "1"}
