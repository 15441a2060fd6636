"""The containers of runs and of steps: shapes, errors, and which steps run in them (DAG format 1.30, 3)."""

from __future__ import annotations

import pytest

from dagbook.spec.model import Container, Executor, Pair
from dagbook.spec.reading.load import load
from tests.pure.spec.definitions import dag_of, problem_of, step_of

IN_ROOT, IN_STEP = "container: {}\nsteps: [x]\n", "steps: [{{command: x, container: {}}}]\n"


@pytest.mark.parametrize(
    ("text", "container"),
    [
        ("web", Container(exec="web")),
        ("' web '", Container(exec="web")),
        ("{exec: ' web ', user: 1000, workDir: /srv}", Container(exec="web", user="1000", working_dir="/srv")),
        ("{EXEC: 5, env: {A: 1}}", Container(exec="5", env=(Pair("A", "1"),))),
        ("{exec: web, image: '', volumes: [], startup: ' ', keepContainer: 'false'}", Container(exec="web")),
        ("{image: i, exec: null, name: 7}", Container(image="i", name="7")),
        (
            "{image: i, volumes: '/a:/b', ports: [80, '81:81']}",
            Container(image="i", volumes=("/a:/b",), ports=("80", "81:81")),
        ),
        ("{image: i, keepContainer: 1, pullPolicy: ''}", Container(image="i", keep_container=True)),
    ],
)
@pytest.mark.parametrize("place", [IN_ROOT, IN_STEP], ids=["root", "step"])
def test_a_container_is_one_that_runs_or_is_made_from_an_image(place: str, text: str, container: Container) -> None:
    dag = dag_of(place.format(text))
    assert container in (dag.container, dag.steps[0].container)


def test_null_is_no_container() -> None:
    assert step_of("{command: x, container: null}") == step_of("{command: x}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("''", "is empty; name a container that runs already"),
        ("5", "must be the name of a container that runs already, or a map with exec or image, not the number 5"),
        ("true", "not true"),
        ("[web]", "not a list"),
        ("{}", "a container needs an image, or exec with the name of one that runs"),
        ("{image: '', exec: ' '}", "a container needs an image"),
        ("{user: u}", "a container needs an image"),
        ("{exec: web, image: i}", "exec and image cannot stand together"),
        (
            "{exec: web, volumes: ['/a:/b'], name: n, pullPolicy: missing}",
            "name, pullPolicy and volumes cannot stand beside",
        ),
        ("{exec: web, keepContainer: true}", "keepContainer cannot stand beside exec"),
    ],
)
@pytest.mark.parametrize("place", [IN_ROOT, IN_STEP], ids=["root", "step"])
def test_an_invalid_container_is_one_problem_at_its_field(place: str, text: str, words: str) -> None:
    problem = problem_of(place.format(text))
    assert problem.path.endswith("container")
    assert words in problem.message


@pytest.mark.parametrize(
    "key", ["pullPolicy", "volumes", "ports", "network", "platform", "startup", "command", "waitFor"]
)
def test_keys_of_an_image_are_refused_beside_exec(key: str) -> None:
    value = "[x]" if key in ("volumes", "ports", "command") else "always"
    assert f"{key} cannot stand beside exec" in problem_of(f"container: {{exec: web, {key}: {value}}}\n").message


def test_all_problems_are_reported_together() -> None:
    text = """
steps:
  - {command: x, container: {exec: web, ports: [1]}}
  - {command: x, container: {image: [i], pullPolicy: sometimes}}
  - {container: web, script: x, shell: sh, workerSelector: {a: b}}
handlerOn: {exit: {command: x, container: {}}}
"""
    paths = {problem.path for problem in load(text, name="x").problems}
    assert paths == {
        "steps[0].container",
        "steps[1].container.image",
        "steps[1].container.pullPolicy",
        "steps[2].script",
        "steps[2].shell",
        "steps[2].workerSelector",
        "handlerOn.exit.container",
    }


@pytest.mark.parametrize(
    ("container", "warning"),
    [
        ("{image: i, shell: bash}", "container.shell: is ignored: the key is not known"),
        (
            "{image: i, user: u, volums: [a]}",
            "container.volums: is ignored: the key is not known; did you mean volumes?",
        ),
    ],
)
@pytest.mark.parametrize("place", [IN_ROOT, IN_STEP], ids=["root", "step"])
def test_keys_of_later_formats_are_warned_of(place: str, container: str, warning: str) -> None:
    (found,) = load(place.format(container), name="x").warnings
    assert warning in found


def test_what_only_counts_for_the_container_of_a_run_is_warned_of_in_a_step() -> None:
    container = "{image: i, restartPolicy: always, startup: entrypoint, waitFor: healthy, logPattern: x, command: [y]}"
    warnings = load(IN_STEP.format(container), name="x").warnings
    assert [warning.split(":")[0].rpartition(".")[2] for warning in warnings] == [
        *("restartPolicy", "startup", "waitFor", "logPattern", "command")
    ]
    assert load(IN_ROOT.format(container), name="x").warnings == ()


# -- which steps run in it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("command: x", "docker_1"),
        ("type: '', command: x", "docker_1"),
        ("executor: '', command: x", "docker_1"),
        ("type: docker, command: x", "docker_1"),
        ("type: container, command: x", "docker_1"),
        ("executor: docker, command: x", "docker_1"),
        ("command: [x, y]", "docker_1"),
        ("workingDir: /x", "docker_1"),
        ("name: mine", "mine"),
    ],
)
@pytest.mark.parametrize("root", ["", "container: {image: j}\n", "ssh: {host: h}\n"])
def test_a_step_runs_in_its_own_container_wherever_its_dag_works(root: str, fields: str, name: str) -> None:
    (step,) = dag_of(f"{root}steps: [{{{fields}, container: {{image: i}}}}]\n").steps
    assert (step.name, step.executor, step.container) == (name, Executor(type="docker"), Container(image="i"))


def test_a_container_wins_over_the_config_of_an_executor_with_a_warning() -> None:
    loaded = load("steps: [{executor: {type: docker, config: {image: j}}, container: web, command: x}]\n", name="x")
    (step,) = loaded.require().dag.steps
    assert (step.executor, step.container) == (Executor(type="docker"), Container(exec="web"))
    assert "replaces the config" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ("script: x", "script", "a step in a container takes no script"),
        ('command: "a\\nb"', "command", "a step in a container takes no command of several lines"),
        ("shell: sh, command: x", "shell", "a step in a container takes no shell"),
        ("shellPackages: [a], command: x", "shellPackages", "a step in a container takes no shellPackages"),
        ("call: kid", "call", "a step in a container takes no call"),
        ("workerSelector: {a: b}, command: x", "workerSelector", "is for a step that calls a DAG"),
        ("type: shell, command: x", "container", "a step of type shell takes no container"),
        ("executor: command, command: x", "container", "a step of type command takes no container"),
        ("executor: ssh, command: x", "container", "a step of type ssh takes no container"),
        ("type: jq, command: .", "container", "a step of type jq takes no container"),
        ("type: docker, script: x", "script", "a step of type docker takes no script"),
        ("executor: docker, script: x", "script", "a step in a container takes no script"),
    ],
)
def test_fields_that_contradict_a_container_are_refused_at_their_position(fields: str, path: str, words: str) -> None:
    problem = problem_of(f"steps: [{{{fields}, container: {{image: i}}}}]\n")
    assert (problem.path, words in problem.message) == (f"steps[0].{path}", True), problem


def test_a_handler_may_have_a_container() -> None:
    handler = dag_of("handlerOn: {exit: {container: web, command: x}}\nsteps: [x]\n").handlers.exit
    assert handler is not None
    assert (handler.executor.type, handler.container) == ("docker", Container(exec="web"))
