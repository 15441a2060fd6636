"""Common mistakes and the suggestions for them (DAG format 9)."""

from __future__ import annotations

import pytest

from dagbook.spec.problem import MAX_PROBLEMS
from dagbook.spec.reading.load import load
from tests.pure.spec.definitions import problem_of, problems_of
from tests.pure.spec.test_problems import in_step

KEYS = [
    ("stepz: [echo]", "did you mean steps?"),
    ("max-active-runs: 2", "did you mean maxActiveRuns?"),
    ("environment: {A: 1}", "did you mean env?"),
    ("cron: '* * * * *'", "did you mean schedule?"),
    ("onExit: {command: x}", "did you mean handlerOn?"),
    ("dir: /x", "did you mean workingDir?"),
    ("zzz: 1", "not known here"),
    ("handlerOn: {finally: {command: x}}", "did you mean exit?"),
    ("smtp: {server: x}", "did you mean host?"),
    ("mailOn: {always: true}", "not known here; known are failure, success and wait"),
    ("schedule: {at: '* * * * *'}", "known are start, stop and restart"),
    ("preconditions: {if: x}", "did you mean condition?"),
    (in_step("needs: b"), "did you mean depends?"),
    (in_step("dependsOn: b"), "did you mean depends?"),
    (in_step("timeout: 5"), "did you mean timeoutSec?"),
    (in_step("retry: 3"), "did you mean retryPolicy?"),
    (in_step("type: dokcer"), 'there is no type "dokcer"; did you mean docker?'),
    (in_step("executor: {name: docker}"), "did you mean type?"),
    (in_step("executor: {type: docker, image: x}"), "it belongs to config"),
    ("steps: [{dag: kid}]", "did you mean call?"),
]
# Whoever misspells a key is not told, too, that it is missing.
MISSPELLED = [
    "steps: [{comand: echo}]",
    "steps: [{cmd: echo}]",
    in_step("retryPolicy: {limit: 1, interval: 5}"),
    "secrets: [{nam: A, provider: env, key: K}]",
    "preconditions: {conditon: x}",
]
VALUES = [
    ("name: 5", "put it in quotes"),
    ("workerSelector: {gpu: true}", "put it in quotes"),
    ("skipIfSuccessful: yes", "; write true"),
    ("skipIfSuccessful: 0", "; write false"),
    ("maxActiveRuns: '5'", "take the quotes off"),
    ("timeoutSec: 5m", "; write 300"),
    (in_step("timeoutSec: 1h30m"), "; write 5400"),
    (in_step("shellPackages: curl"), '; write ["curl"]'),
    (in_step("retryPolicy: {limit: 1, intervalSec: 1, exitCode: 7}"), "; write [7]"),
    ("steps: echo", '; write ["echo"]'),
    ("steps: {a: echo}", "a step such as {command: echo hello}"),
    (in_step("retryPolicy: 3"), "a map with limit, intervalSec, exitCode, backoff and maxIntervalSec"),
    (in_step("continueOn: true"), "a map with failure, failed, skipped, exitCode, output and markSuccess"),
    (in_step("signalOnStop: int"), "did you mean SIGINT?"),
    (in_step("signalOnStop: SIGTREM"), "did you mean SIGTERM?"),
    ("steps: [{name: build, command: x}, {name: b, command: x, depends: biuld}]", 'did you mean "build"?'),
    (
        "steps: [{name: a, command: x}, {name: b, command: x}, {command: x, depends: 'a, b'}]",
        "write a list: [a, b]",
    ),
]
CRON = [
    ("@daily", 'write "0 0 * * *"'),
    ("@every 5m", "write five fields"),
    ("0 0 0 * * *", "leave out the seconds"),
    ("0 24 * * *", "write 0 for midnight"),
    ("0 25 * * *", "outside 0 to 23"),
    ("0 0 * * 7", "write 0 for Sunday"),
    ("0 0 * * MO", "write 0 to 6 or SUN to SAT"),
    ("0 0 * MAI *", "write 1 to 12 or JAN to DEC"),
    ("x * * * *", "write 0 to 59"),
    ("TZ=berlin 0 0 * * *", "write Europe/Berlin"),
    ("TZ=Nowhere 0 0 * * *", "such as Asia/Tokyo"),
]
YAML = [
    ("steps:\n  - name: a\n  command: x\n", 3, "the items of a list begin in one column"),
    ("steps:\n  - name: a\n   command: x\n", 3, "that began on line 2"),
    ("steps:\n\t- a\n", 2, "instead of tabs"),
    ("a: x: y\n", 1, "quote a text that holds a colon"),
    ("schedule: * * * * *\n", 1, "quote a text that begins with *"),
    ("a: - b\n", 1, "on a line of its own"),
    ('a: "\\d"\n', 1, "single quotes"),
    ("name: 'a\nsteps: []\n", 3, "that began on line 1"),
    ("steps: [a\n", 2, "close the list with ]"),
]


@pytest.mark.parametrize(("text", "words"), [*KEYS, *VALUES])
def test_the_fix_is_named(text: str, words: str) -> None:
    assert words in problem_of(text).message


@pytest.mark.parametrize("text", MISSPELLED)
def test_a_misspelled_key_is_one_problem(text: str) -> None:
    assert "did you mean" in problem_of(text).message


def test_a_misplaced_key_names_its_object() -> None:
    (problem,) = problems_of("steps:\n  - name: a\n    command: x\nretryPolicy: {limit: 1, intervalSec: 1}\n")

    assert "it belongs to a step, so check the indentation" in problem.message


@pytest.mark.parametrize(("expression", "words"), CRON)
def test_an_invalid_schedule_gets_a_suggestion(expression: str, words: str) -> None:
    assert words in problem_of(f"schedule: '{expression}'").message


@pytest.mark.parametrize(("text", "line", "words"), YAML)
def test_invalid_yaml_gets_a_suggestion(text: str, line: int, words: str) -> None:
    problem = problem_of(text)

    assert problem.line == line
    assert words in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "steps: [{name: build, command: x}, {command: x, depends: ["
        + ", ".join(map("build{}".format, range(500)))
        + "]}]",
        "".join(f"name: d{number}\nstepz: []\n---\n" for number in range(500)),
        "steps: [" + ", ".join(["{command: x, signalOnStop: INT}"] * 500) + "]",
    ],
    ids=["depends", "documents", "signals"],
)
def test_the_number_of_suggestions_per_text_is_limited(text: str) -> None:
    hinted = ["did you mean" in problem.message for problem in problems_of(text)]

    assert hinted == [True] * 200 + [False] * 300


def test_the_names_of_many_steps_are_not_compared() -> None:
    steps = ", ".join(f"{{name: s{number}, command: x}}" for number in range(201))

    assert "did you mean" not in problem_of(f"steps: [{steps}, {{command: x, depends: s_1}}]").message


def test_of_many_invalid_schedules_the_first_thousand_are_reported() -> None:
    schedules = ", ".join(f"'TZ=Nowhere{number} * * * * *'" for number in range(MAX_PROBLEMS - 5))

    assert len(problems_of(f"schedule: {{start: [{schedules}], stop: [{schedules}]}}")) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("step", "warning"),
    [
        ("{command: x, executor: dockr}", "steps[0].executor: there is no executor"),
        ("{command: x, executor: {type: dockr}}", "steps[0].executor.type: there is no executor"),
        ("{command: x, continueOn: {error: true}}", "steps[0].continueOn.error: is ignored"),
        ("{command: x, continueOn: {exitCode: 1.9}}", "steps[0].continueOn.exitCode: is read as 1"),
        ("{call: x, parallel: {items: [a], maxConcurency: 2}}", "did you mean maxConcurrent?"),
    ],
)
def test_misleading_values_get_a_warning(step: str, warning: str) -> None:
    loaded = load(f"steps: [{step}]")

    assert loaded.problems == ()
    assert warning in loaded.warnings[0]


def test_a_setting_of_tracing_that_is_ignored_is_warned_of() -> None:
    assert load("otel: {endpont: x}").warnings == (
        "otel.endpont: is ignored: the key is not known; did you mean endpoint?",
    )
