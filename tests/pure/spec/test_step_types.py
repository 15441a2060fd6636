"""A step's ``type`` and ``config``, and what each type admits (DAG format 1.30, 1)."""

from __future__ import annotations

import json

import pytest

from dagbook.spec.model import Executor
from dagbook.spec.reading.load import load
from tests.pure.spec.definitions import dag_of, problem_of, step_of

IN_CONTAINER = "container: {image: alpine}\n"


@pytest.mark.parametrize("kind", ["jq", "' jq '"])
def test_type_and_config_are_an_executor(kind: str) -> None:
    step = step_of(f"{{type: {kind}, config: {{raw: true}}, command: .a, script: '1'}}")
    assert step.executor == Executor(type="jq", config={"raw": True})
    assert step == step_of("{executor: {type: jq, config: {raw: true}}, command: .a, script: '1'}")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ("type: null", "container"),
        ("type: ''", "container"),
        ("type: ' '", "container"),
        ("config: {}, type: ''", "container"),
        ("type: shell", "shell"),
        ("type: command", "command"),
        ("executor: ''", ""),
        ("type: '', executor: ssh", "ssh"),
    ],
)
def test_a_blank_type_is_none_and_leaves_the_step_where_its_dag_works(fields: str, kind: str) -> None:
    (step,) = dag_of(f"{IN_CONTAINER}steps: [{{{fields}, command: echo}}]\n").steps
    assert step.executor == Executor(type=kind)


def test_generated_names_start_with_the_type() -> None:
    steps = "steps: [{type: jq, command: ., script: '1'}, {type: shell, command: echo}, {type: '', command: echo}]"
    assert [step.name for step in dag_of(steps).steps] == ["jq_1", "shell_2", "cmd_3"]


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        ("{type: jq, executor: jq, command: .}", "type", "cannot stand beside executor"),
        ("{config: {a: 1}, executor: jq, command: .}", "config", "cannot stand beside executor"),
        ("{type: JQ, command: .}", "type", 'there is no type "JQ"; did you mean jq?'),
        ("{type: teleport, command: x}", "type", 'there is no type "teleport"; known are archive, chat, '),
        ("{type: 5, command: x}", "type", "must be text, not the number 5"),
        ("{type: jq, config: 5, command: .}", "config", "must be a map"),
        ("{type: http, command: GET http://x, shell: bash}", "shell", "a step of type http takes no shell"),
        ("{type: jq, command: ., shellPackages: [x]}", "shellPackages", "a step of type jq takes no shellPackages"),
        ("{type: docker, command: x, script: y}", "script", "a step of type docker takes no script"),
        ('{type: archive, command: "a\\nb"}', "command", "takes no command of several lines"),
        ("{type: ssh, command: x, script: y}", "script", "a step of type ssh takes no script"),
        ("{type: mail, command: x}", "command", "a step of type mail takes no command"),
        ("{type: dag, command: x}", "command", "a step of type dag takes no command"),
        ("{type: shell, call: kid}", "call", "a step of type shell takes no call"),
        ("{type: sqlite, config: {dsn: x}, command: y, shell: z}", "shell", "a step of type sqlite takes no shell"),
        ("{type: postgres, config: {}, command: x}", "config", "a step of type postgres needs dsn in its config"),
        ("{type: sqlite, config: {DSN: '', timeout: 5}, command: x}", "config", "needs dsn in its config"),
        (
            "{type: postgres, config: {dsn: x, maxRows: 5, OutputFormat: csv}, command: y}",
            "config.maxRows",
            "is not known for type postgres; known are dsn, timeout and outputFormat",
        ),
        (
            "{executor: {type: sqlite, config: {dsn: x, params: [1]}}, command: y}",
            "executor.params",
            "is not known for type sqlite; known are dsn, timeout and outputFormat",
        ),
        ("{type: shell, command: x, workerSelector: {a: b}}", "workerSelector", "is for a step that calls a DAG"),
    ],
)
def test_fields_a_type_does_not_admit_are_refused_at_their_position(step: str, path: str, message: str) -> None:
    problems = load(f"steps: [{step}]\n", name="flow").problems
    assert any(one.path == f"steps[0].{path}" and message in one.message for one in problems), problems


def test_all_fields_a_type_does_not_admit_are_reported_together() -> None:
    problems = load("steps: [{type: mail, command: x, script: y, shell: sh}]\n", name="flow").problems
    assert [one.path for one in problems] == [f"steps[0].{key}" for key in ("command", "script", "shell")]


@pytest.mark.parametrize("step", ["type: sqlite, config: {dsn: x}", "executor: {type: sqlite, config: {dsn: x}}"])
def test_a_type_of_dagbook_is_warned_of(step: str) -> None:
    loaded = load(f"steps: [{{{step}, command: SELECT 1}}]\n", name="flow")
    (warning,) = loaded.warnings
    assert str(warning).endswith("sqlite is a type of Dagbook: Dagu 1.x cannot run this file")


@pytest.mark.parametrize("text", ["SELECT 'it''s", 'SELECT "a', "SELECT $$it's$$ | `x"])
def test_statements_are_taken_whatever_a_shell_would_say_to_them(text: str) -> None:
    step = step_of(f"{{type: sqlite, config: {{dsn: x}}, command: {json.dumps(text)}}}")
    assert (step.command_line, step.script) == (text, "")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{type: shell}", "has nothing to run"),
        ("{type: archive}", "needs the command extract, create or list"),
        ("{type: sqlite, config: {dsn: x}}", "needs its statements in command or in script"),
        ("{type: sqlite, config: {dsn: x}, command: a, script: b}", "needs its statements in command or in script"),
    ],
)
def test_what_a_type_must_have_is_asked_for(step: str, message: str) -> None:
    assert message in problem_of(f"steps: [{step}]\n").message


def test_a_handler_may_have_a_type() -> None:
    handler = dag_of("handlerOn: {exit: {type: jq, config: {raw: true}, script: '1'}}\nsteps: [echo]\n").handlers.exit
    assert handler is not None
    assert handler.executor == Executor(type="jq", config={"raw": True})


def test_a_config_without_type_is_warned_of() -> None:
    definition = load("steps: [{config: {a: 1}, command: x}]\n", name="flow").definition
    (warning,) = definition.warnings
    assert "config has no effect without type" in warning.replace(": ", " ")
    assert definition.dag.steps[0].executor == Executor()
