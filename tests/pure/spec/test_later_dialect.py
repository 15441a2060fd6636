"""Files in the 2.x dialect are told as such: once, and with the way out."""

from __future__ import annotations

import pytest

from dagbook.spec.build.object_schema import ObjectSchema
from dagbook.spec.build.root import ROOT
from dagbook.spec.build.steps import STEP
from dagbook.spec.conversion.convert import convert
from dagbook.spec.reading.load import BASE, load
from tests.pure.spec.definitions import problem_of, step_of

ROOT_KEYS = [
    "working_dir: /x",
    "max_active_runs: 2",
    "max_active_steps: 2",
    "max_clean_up_time_sec: 2",
    "hist_retention_days: 2",
    "skip_if_successful: true",
    "restart_wait_sec: 1",
    "delay_sec: 1",
    "timeout_sec: 1",
    "log_dir: /x",
    "handler_on: {exit: {command: x}}",
    "mail_on: {failure: true}",
    "error_mail: {from: a}",
    "info_mail: {from: a}",
    "worker_selector: {a: b}",
    "run_config: {}",
    "actions: {}",
    "step_types: {}",
]
STEP_KEYS = [
    "continue_on: failed",
    "retry_policy: {limit: 1}",
    "repeat_policy: {repeat: true}",
    "signal_on_stop: SIGINT",
    "mail_on_error: true",
    "worker_selector: {a: b}",
    "shell_packages: [a]",
    "action: noop",
    "with: {a: b}",
    "run: echo hello",
    "run: ./build.sh",
    "run: 'make; make install'",
]
NESTED = [
    ("steps: [{command: x, retryPolicy: {limit: 1, interval_sec: 5}}]", "steps[0].retryPolicy.interval_sec"),
    ("steps: [{command: x, repeatPolicy: {exit_code: [1]}}]", "steps[0].repeatPolicy.exit_code"),
    ("steps: [{command: x, continueOn: {mark_success: true}}]", "steps[0].continueOn.mark_success"),
    ("steps: [{call: x, parallel: {items: [1], max_concurrent: 2}}]", "steps[0].parallel.max_concurrent"),
    ("steps: [[{command: x}, {command: x, timeout_sec: 5}]]", "steps[0][1].timeout_sec"),
    ("steps: {a: {command: x, timeout_sec: 5}}", "steps.a.timeout_sec"),
    ("handlerOn: {exit: {run: echo bye}}", "handlerOn.exit.run"),
    ("container: {image: i, pull_policy: never}", "container.pull_policy"),
    ("errorMail: {attach_logs: true}", "errorMail.attach_logs"),
    ("ssh: {known_host_file: x}", "ssh.known_host_file"),
    ("runConfig: {disable_param_edit: true}", "runConfig.disable_param_edit"),
]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        *((key, key.partition(":")[0]) for key in ROOT_KEYS),
        *((f"steps: [{{{key}}}]", f"steps[0].{key.partition(':')[0]}") for key in STEP_KEYS),
        *NESTED,
    ],
)
def test_a_key_of_the_dialect_is_told_as_such(text: str, path: str) -> None:
    problem = problem_of(f"name: x\n{text}")

    assert (problem.path, problem.line) == (path, 2)
    assert "of the 2.x dialect" in problem.message
    assert "dagbook convert FILE" in problem.message


@pytest.mark.parametrize(("schema", "place"), [(ROOT, "{}"), (STEP, "steps: [{{{}}}]")])
def test_every_key_of_several_words_is_known_in_snake_case(schema: ObjectSchema, place: str) -> None:
    keys = {key: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key) for key in schema.keys}

    found = {
        key: [later.meant for later in load(place.format(f"{snake}: x")).keys_of_2x]
        for key, snake in keys.items()
        if key != snake
    }

    assert found == {key: [key] for key in found}
    assert found


def test_the_first_of_all_documents_is_named_alone() -> None:
    text = "steps:\n  - command: [\n      a]\n    deepnds: b\n    retry_policy: 5\n---\nname: b\nmail_on: {}\nbad: 1\n"

    problem = problem_of(text)

    assert (problem.path, problem.line, problem.column) == ("steps[0].retry_policy", 5, 5)
    assert [later.key for later in load(text).keys_of_2x] == ["retry_policy", "mail_on"]


def test_a_broken_text_says_both() -> None:
    assert [problem.line for problem in load("mail_on: {}\na: 1\na: 2\n").problems] == [1, 3]


def test_a_base_configuration_is_told_as_well() -> None:
    (problem,) = load("steps: [a]", base="name: b\nmax_active_runs: 2\nlog_dir: x").problems

    assert (problem.dag, problem.path, problem.line) == (BASE, "max_active_runs", 2)


def test_lists_of_dags_know_the_keys_of_the_root() -> None:
    (problem,) = load("timeout_sec: 5", metadata_only=True).problems

    assert problem.path == "timeout_sec"


@pytest.mark.parametrize(
    "text",
    [
        "env: {working_dir: x, retry_policy: y}\nsteps: [a]",
        "params: {max_active_runs: 1}\nsteps: [a]",
        "workerSelector: {worker_selector: a}\nsteps: [a]",
        "steps: [{command: GET http://x, type: http, config: {headers: {a_b: c}, max_active_runs: 1}}]",
        "steps: [{call: x, params: {exit_code: 1}}]",
        "steps: {action: {command: x}, with: {command: x}, run: {command: x}}",
    ],
)
def test_free_maps_hold_any_key(text: str) -> None:
    loaded = load(text)

    assert (loaded.problems, loaded.keys_of_2x) == ((), ())


@pytest.mark.parametrize(
    "text", ["stepTypes: {}", "max-active-runs: 2", "Working_Dir: x", "steps: [{command: x, working_dyr: x}]"]
)
def test_other_unknown_keys_are_no_sign_of_it(text: str) -> None:
    assert "2.x" not in problem_of(text).message


@pytest.mark.parametrize(
    "name",
    ["kid", "kid-2.b", "${KID}", "a_$1", "`cat name of kid`", "kids/kid.yaml", "etl/transform", "../etl/v1.2/a_b-c"],
)
def test_a_step_may_call_a_dag_by_the_old_spelling(name: str) -> None:
    step = step_of(f"{{run: '{name}'}}")

    assert step.call is not None
    assert step.call.name == name


def test_the_old_spelling_with_a_path_gets_the_warning_of_one_with_a_name() -> None:
    loaded = load("steps: [{run: etl/transform}]")

    assert (loaded.problems, loaded.keys_of_2x) == ((), ())
    assert loaded.warnings == load("steps: [{run: kid}]").warnings
    assert "run is the old spelling of call" in loaded.warnings[0]


@pytest.mark.parametrize("other", ["- action: noop", "- {command: x, retry_policy: {limit: 1}}", "- run: echo hello"])
def test_a_path_beside_another_sign_of_the_dialect_is_a_command(other: str) -> None:
    text = f"steps:\n  - run: etl/transform\n  {other}\n"

    assert problem_of(text).line == 3
    assert "command: etl/transform" in convert(text).text
