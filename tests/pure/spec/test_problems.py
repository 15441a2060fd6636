"""Each row of the error catalogue (DAG format 9): position, line and message."""

from __future__ import annotations

import pytest

from dagbook.spec.problem import LONGEST_SHOWN, MAX_PROBLEMS, SpecError
from dagbook.spec.reading.load import load
from tests.pure.spec.definitions import problem_of, problems_of

LONG_NAME = "n" * 41


def in_step(field: str) -> str:
    return f"steps:\n  - name: a\n    command: echo\n    {field}\n"


FILE = [
    ("- a", "", 1, "must be a map of fields, not a list"),
    ("null", "", 1, "not null"),
    ("42", "", 1, "not the number 42"),
    ("stepz: []", "stepz", 1, "did you mean steps?"),
    ("name: a\nname: b", "", 2, "already given on line 1"),
    ("name: a\nNAME: b", "NAME", 2, 'already given as "name"'),
    ("queue: [a]", "queue", 1, "must be text, not a list"),
    ("'no key': 1", '["no key"]', 1, "not known"),
]
ROOT = [
    (f"name: {LONG_NAME}", "name", 1, "41 bytes"),
    ("name: a b", "name", 1, '"a b" may only hold'),
    ("name: 123", "name", 1, "must be text, not the number 123"),
    ("type: agent", "type", 1, "reserved"),
    ("type: Graph", "type", 1, "graph or chain"),
    ("env: [5]", "env[0]", 1, "KEY=value"),
    ("env:\n  - A\n", "env[0]", 2, 'the text "A"'),
    ("env: [[A=1]]", "env[0]", 1, "not a list"),
    ("schedule: 5", "schedule", 1, "must be a text, a list or a map"),
    ("schedule: [5]", "schedule[0]", 1, "cron expression"),
    ("schedule: {start: [[a]]}", "schedule.start[0]", 1, "cron expression"),
    ("schedule: '@daily'", "schedule", 1, '"@daily" is not a schedule'),
    ("schedule: ' '", "schedule", 1, "is not a schedule"),
    ("schedule: ['']", "schedule[0]", 1, "is not a schedule"),
    ("schedule: {start: ''}", "schedule.start", 1, "is not a schedule"),
    ("schedule: {start: null}", "schedule.start", 1, "must be a cron expression"),
    ("schedule: {start: 5}", "schedule.start", 1, "must be a cron expression"),
    ("schedule:\n  stop: never", "schedule.stop", 2, "5 fields"),
    ("schedule: {pause: '* * * * *'}", "schedule.pause", 1, "not known"),
    ("params: 5", "params", 1, "must be a text, a list or a map, not the number 5"),
    ("params: [true]", "params[0]", 1, "a text or a map, not true"),
    ("params: {schema: s, values: 5}", "params.values", 1, "not the number 5"),
    ("shell: 5", "shell", 1, "a text or a list"),
    ("shell: '|'", "shell", 1, "no word"),
    ("container: 5", "container", 1, "must be the name of a container that runs already, or a map with exec or image"),
    ("container: ' '", "container", 1, "is empty; name a container that runs already"),
    ("container:\n  user: a", "container", 2, "needs an image"),
    ("container: {image: i, pullPolicy: sometimes}", "container.pullPolicy", 1, "always, missing, never"),
    ("container: {image: i, pullPolicy: 1}", "container.pullPolicy", 1, "always, missing, never"),
    ("container: {image: i, env: [5]}", "container.env[0]", 1, "KEY=value"),
    ("container: {image: i, ports: {a: b}}", "container.ports", 1, "a text or a number"),
    ("container: {image: [i]}", "container.image", 1, "a text or a number"),
    ("container: {image: i, keepContainer: 'yes'}", "container.keepContainer", 1, "; write true"),
    ("registryAuths: [a]", "registryAuths", 1, "map of hosts"),
    ("ssh: {port: true}", "ssh.port", 1, "a port"),
    ("ssh: {port: .inf}", "ssh.port", 1, "a text or a number"),
    ("secrets: {}", "secrets", 1, "a list of maps"),
    ("secrets: [{provider: env, key: K}]", "secrets[0]", 1, "no name"),
    ("secrets: [{name: A, key: K}]", "secrets[0]", 1, "no provider"),
    ("secrets: [{name: A, provider: env}]", "secrets[0]", 1, "no key"),
    (
        "secrets:\n  - {name: A, provider: env, key: K}\n  - {name: A, provider: env, key: K}",
        "secrets[1].name",
        3,
        '"A" is already defined',
    ),
    ("secrets: [{name: A, provider: e, key: K, options: {a: 1}}]", "secrets[0].options.a", 1, "must be text"),
    ("dotenv: 5", "dotenv", 1, "a text or a list of texts"),
    ("dotenv: [a, 5]", "dotenv[1]", 1, "must be text"),
    ("handlerOn: []", "handlerOn", 1, "must be a map"),
    ("handlerOn: {exit: echo x}", "handlerOn.exit", 1, "must be a step such as"),
    ("handlerOn: {finally: {command: a}}", "handlerOn.finally", 1, "not known"),
    ("handlerOn: {abort: {command: a}, cancel: {command: b}}", "handlerOn.cancel", 1, "only abort"),
    ("handlerOn: {exit: {command: ''}}", "handlerOn.exit.command", 1, "is empty"),
    ("errorMail: {from: a, to: 5}", "errorMail.to", 1, "a text or a list of texts"),
    ("infoMail: {from: a, to: true}", "infoMail.to", 1, "a text or a list of texts"),
    ("smtp: {host: 5}", "smtp.host", 1, "must be text"),
    ("smtp: {port: [5]}", "smtp.port", 1, "a text or a number"),
    ("mailOn: {failure: 'yes'}", "mailOn.failure", 1, "true or false"),
    ("otel: 'on'", "otel", 1, "must be a map"),
    ("otel: {timeout: soon}", "otel.timeout", 1, '"soon" is not a duration'),
    ("preconditions: 5", "preconditions", 1, "a text, a map or a list"),
    ("steps: echo", "steps", 1, "a list or a map of steps"),
    ("timeoutSec: '5'", "timeoutSec", 1, 'must be a whole number of seconds, not the text "5"'),
    ("maxOutputSize: true", "maxOutputSize", 1, "must be a whole number, not true"),
    ("delaySec: .inf", "delaySec", 1, "within 64 bits"),
    ("maxActiveRuns: 9223372036854775808", "maxActiveRuns", 1, "within 64 bits"),
    ("skipIfSuccessful: yes", "skipIfSuccessful", 1, 'must be true or false, not the text "yes"'),
    ("workerSelector: {gpu: true}", "workerSelector.gpu", 1, "must be text"),
    ("workerSelector: gpu", "workerSelector", 1, "a map of texts"),
    ("runConfig: {disableParamEdit: 1}", "runConfig.disableParamEdit", 1, "true or false"),
]
STEP = [
    ("steps: [null]", "steps[0]", 1, "not null"),
    ("steps: [5]", "steps[0]", 1, "not the number 5"),
    ("steps: [[[echo]]]", "steps[0][0]", 1, "list within a list"),
    ("steps: {a: echo}", "steps.a", 1, "must be a step such as"),
    (in_step("comand: x"), "steps[0].comand", 4, "did you mean command?"),
    ("steps: [{command: ''}]", "steps[0].command", 1, "is empty"),
    ("steps:\n  - ' '\n", "steps[0].command", 2, "is empty"),
    ("steps: [{command: 5}]", "steps[0].command", 1, "a text or a list"),
    ("steps: [{command: '|'}]", "steps[0].command", 1, "no word"),
    (in_step("shell: {a: b}"), "steps[0].shell", 4, "a text or a list"),
    (in_step("executor: 5"), "steps[0].executor", 4, "a text or a map"),
    (in_step("executor: {type: 5}"), "steps[0].executor.type", 4, "must be text"),
    (in_step("executor: {type: null}"), "steps[0].executor.type", 4, "must be text, not null"),
    (in_step("executor: {config: null}"), "steps[0].executor.config", 4, "must be a map, not null"),
    (in_step("executor: {options: {}}"), "steps[0].executor.options", 4, "not known"),
    (in_step("params: true"), "steps[0].params", 4, "a text, a list or a map"),
    (in_step("timeoutSec: -1"), "steps[0].timeoutSec", 4, "must not be negative"),
    (in_step("depends: 5"), "steps[0].depends", 4, "a text or a list of texts"),
    (in_step("depends: [[a]]"), "steps[0].depends[0]", 4, "must be a text or a number"),
    (in_step("depends: [null]"), "steps[0].depends[0]", 4, "must be text"),
    ("steps: [{call: x, parallel: 5}]", "steps[0].parallel", 1, "a text, a list or a map"),
    ("steps: [{call: x, parallel: [true]}]", "steps[0].parallel[0]", 1, "a text, a number or a map"),
    ("steps: [{call: x, parallel: {items: [[a]]}}]", "steps[0].parallel.items[0]", 1, "not a list"),
    ("steps: [{call: x, parallel: [{K: [a]}]}]", "steps[0].parallel[0].K", 1, "not a list"),
    ("steps: [{call: x, parallel: [{K: null}]}]", "steps[0].parallel[0].K", 1, "not null"),
    ("steps: [{call: x, parallel: {items: null}}]", "steps[0].parallel.items", 1, "not null"),
    ("steps: [{call: x, parallel: {items: a, maxConcurrent: null}}]", "steps[0].parallel.maxConcurrent", 1, "not null"),
    ("steps: [{call: x, parallel: {items: 5}}]", "steps[0].parallel.items", 1, "a text or a list"),
    (
        "steps: [{call: x, parallel: {items: a, maxConcurrent: '2'}}]",
        "steps[0].parallel.maxConcurrent",
        1,
        "must be a whole number",
    ),
    (in_step("continueOn: failure"), "steps[0].continueOn", 4, "failed or skipped"),
    (in_step("continueOn: true"), "steps[0].continueOn", 4, "failed, skipped or a map"),
    (in_step("continueOn: {failure: 'yes'}"), "steps[0].continueOn.failure", 4, "true or false"),
    (in_step("continueOn: {skipped: null}"), "steps[0].continueOn.skipped", 4, "true or false, not null"),
    (in_step("continueOn: {markSuccess: 1}"), "steps[0].continueOn.markSuccess", 4, "true or false"),
    (in_step("continueOn: {exitCode: x}"), "steps[0].continueOn.exitCode", 4, "a whole number"),
    (in_step("continueOn: {exitCode: ['3.0']}"), "steps[0].continueOn.exitCode[0]", 4, "a whole number"),
    (in_step("continueOn: {exitCode: [' 3 ']}"), "steps[0].continueOn.exitCode[0]", 4, "a whole number"),
    (in_step("continueOn: {exitCode: [true]}"), "steps[0].continueOn.exitCode[0]", 4, "a whole number"),
    (in_step("continueOn: {output: [5]}"), "steps[0].continueOn.output[0]", 4, "must be text"),
    (in_step("preconditions: true"), "steps[0].preconditions", 4, "a text, a map or a list"),
    (in_step("preconditions: [a, 5]"), "steps[0].preconditions[1]", 4, "not the number 5"),
    (in_step("preconditions: {condition: 5}"), "steps[0].preconditions.condition", 4, "must be text"),
    (in_step("preconditions: {command: [a]}"), "steps[0].preconditions.command", 4, "must be text"),
    (in_step("preconditions: {condition: a, expected: 1}"), "steps[0].preconditions.expected", 4, "must be text"),
    (in_step("preconditions: {condition: null}"), "steps[0].preconditions.condition", 4, "must be text, not null"),
    (in_step("preconditions: {condition: a, expected: null}"), "steps[0].preconditions.expected", 4, "not null"),
    (in_step("preconditions: {condition: a, negate: null}"), "steps[0].preconditions.negate", 4, "not null"),
    (in_step("preconditions: {condition: a, negate: 'no'}"), "steps[0].preconditions.negate", 4, "true or false"),
    (in_step("preconditions: {condition: a, expect: b}"), "steps[0].preconditions.expect", 4, "expected"),
    (in_step("preconditions: {expected: a}"), "steps[0].preconditions", 4, "no condition"),
    (in_step("precondition: [{condition: ''}]"), "steps[0].precondition[0]", 4, "no condition"),
    (in_step("retryPolicy: 5"), "steps[0].retryPolicy", 4, "must be a map"),
    (in_step("retryPolicy: {intervalSec: 1}"), "steps[0].retryPolicy", 4, "needs limit"),
    (in_step("retryPolicy: {limit: 1}"), "steps[0].retryPolicy", 4, "needs intervalSec"),
    (
        in_step("retryPolicy: {limit: [1], intervalSec: 1}"),
        "steps[0].retryPolicy.limit",
        4,
        "must be a whole number or a text, not a list",
    ),
    (
        in_step("retryPolicy: {limit: 1, intervalSec: 1.5}"),
        "steps[0].retryPolicy.intervalSec",
        4,
        "must be a whole number or a text, not the number 1.5",
    ),
    (
        in_step("retryPolicy: {limit: 1, intervalSec: 1, backoff: '2'}"),
        "steps[0].retryPolicy.backoff",
        4,
        "a number above 1.0",
    ),
    (
        in_step("retryPolicy: {limit: 1, intervalSec: 1, backoff: 1}"),
        "steps[0].retryPolicy.backoff",
        4,
        "must be above 1.0",
    ),
    (
        in_step("retryPolicy: {limit: 1, intervalSec: 1, backoff: .nan}"),
        "steps[0].retryPolicy.backoff",
        4,
        "must be above 1.0",
    ),
    (
        in_step("retryPolicy: {limit: 1, intervalSec: 1, exitCode: 1}"),
        "steps[0].retryPolicy.exitCode",
        4,
        "a list of whole numbers",
    ),
    (in_step("repeatPolicy: {repeat: sometimes}"), "steps[0].repeatPolicy.repeat", 4, "while or until"),
    (in_step("repeatPolicy: {repeat: 'true'}"), "steps[0].repeatPolicy.repeat", 4, "while or until"),
    (in_step("repeatPolicy: {repeat: until, expected: a}"), "steps[0].repeatPolicy.repeat", 4, "a condition"),
    (in_step("repeatPolicy: {repeat: while}"), "steps[0].repeatPolicy.repeat", 4, "an exitCode"),
    (in_step("repeatPolicy: {repeat: true, backoff: 0.5}"), "steps[0].repeatPolicy.backoff", 4, "above 1.0"),
    (in_step("repeatPolicy: {condition: 5}"), "steps[0].repeatPolicy.condition", 4, "must be text"),
    (in_step("signalOnStop: INT"), "steps[0].signalOnStop", 4, "the name of a signal"),
    (in_step("signalOnStop: ''"), "steps[0].signalOnStop", 4, "the name of a signal"),
    (in_step("signalOnStop: 9"), "steps[0].signalOnStop", 4, "must be text"),
    (in_step("env: [5]"), "steps[0].env[0]", 4, "KEY=value"),
    (in_step("mailOnError: 1"), "steps[0].mailOnError", 4, "true or false"),
]
STEP_SET = [
    ("steps:\n  - {name: a, command: x}\n  - {name: a, command: x}", "steps[1].name", 3, '"a" belongs to another'),
    ("steps: [{name: cmd_2, command: x}, echo]", "steps[1]", 1, '"cmd_2" belongs to another'),
    ("steps: [{id: a.b, command: x}]", "steps[0].id", 1, '"a.b"'),
    ("steps: [{id: 1st, command: x}]", "steps[0].id", 1, "beginning with a letter"),
    ("steps: [{id: i, command: x}, {id: i, command: x}]", "steps[1].id", 1, '"i" belongs to another'),
    ("steps: [{id: ENV, command: x}]", "steps[0].id", 1, "reserved"),
    ("type: graph\n" + in_step("depends: ghost"), "steps[0].depends", 5, '"a" depends on "ghost"'),
    (in_step("depends: ''"), "steps[0].depends", 4, 'depends on ""'),
    (f"steps: [{{name: {LONG_NAME}, command: x}}]", "steps[0].name", 1, "41 bytes"),
    ("steps: [{name: " + "ü" * 21 + ", command: x}]", "steps[0].name", 1, "42 bytes"),
    ("steps: {'': {command: x, executor: " + "x" * 41 + "}}", 'steps[""]', 1, "43 bytes"),
    (in_step("parallel: [a]"), "steps[0].parallel", 4, "add call"),
    ("steps: [{call: x, parallel: {items: a, maxConcurrent: 0}}]", "steps[0].parallel", 1, "above 0"),
    ("steps: [{call: x, parallel: []}]", "steps[0].parallel", 1, "at least one item"),
    ("steps: [{call: x, parallel: {}}]", "steps[0].parallel", 1, "at least one item"),
    ("steps: [{call: x, parallel: ''}]", "steps[0].parallel", 1, "at least one item"),
    ("steps: [{}]", "steps[0]", 1, '"step_1" has nothing to run'),
    ("steps: {a: null}", "steps.a", 1, '"a" has nothing to run'),
    ("steps: [{command: []}]", "steps[0]", 1, "nothing to run"),
    ("steps: [{script: x, executor: ssh}]", "steps[0].script", 1, "over SSH"),
    ('ssh: {host: h}\nsteps: [{command: "a\\nb"}]', "steps[0].command", 2, "over SSH"),
    ("steps: [{executor: archive}]", "steps[0]", 1, "extract, create or list"),
    (in_step("depends: a"), "steps[0].depends", 4, '"a" depends on itself'),
    (
        "type: graph\nsteps:\n  - {name: a, command: x, depends: b}\n  - {name: b, command: x, depends: a}",
        "steps[0].depends",
        3,
        '"a" -> "b" -> "a"',
    ),
    (
        "steps:\n  - {name: a, command: x, depends: b}\n  - {name: b, command: x}",
        "steps[0].depends",
        2,
        '"a" -> "b" -> "a"',
    ),
]


@pytest.mark.parametrize(("text", "path", "line", "words"), [*FILE, *ROOT, *STEP, *STEP_SET])
def test_each_fault_is_reported_once_with_its_position(text: str, path: str, line: int, words: str) -> None:
    problem = problem_of(text)

    assert (problem.path, problem.line) == (path, line)
    assert problem.column > 0
    assert words in problem.message


def test_an_id_that_is_the_name_of_another_step_is_reported_at_both_steps() -> None:
    paths = [problem.path for problem in problems_of("steps: [{id: b, command: x}, {name: b, command: x}]")]

    assert paths == ["steps[0].id", "steps[1].name"]


def test_all_faults_of_all_documents_are_reported_in_file_order() -> None:
    problems = problems_of(
        "steps:\n  - command: ''\n    timeoutSec: -1\nfoo: 1\nname: a b\n---\nname: sub\nbar: 1\nsteps: 5\n",
    )

    assert [(problem.dag, problem.path, problem.line) for problem in problems] == [
        ("", "steps[0].command", 2),
        ("", "steps[0].timeoutSec", 3),
        ("", "foo", 4),
        ("", "name", 5),
        ("sub", "bar", 8),
        ("sub", "steps", 9),
    ]


def test_a_step_of_a_group_and_one_of_a_map_have_their_own_paths() -> None:
    assert problem_of("steps: [a, [b, {command: 5}]]").path == "steps[1][1].command"
    assert problem_of("steps: {'my step': {command: 5}}").path == 'steps["my step"].command'


def test_an_offending_value_is_cut_to_a_readable_length() -> None:
    message = problem_of(f"timeoutSec: {'x' * 10_000}").message

    assert "x" * (LONGEST_SHOWN - 1) + "…" in message
    assert len(message) < 2 * LONGEST_SHOWN


def test_no_more_problems_are_gathered_than_anybody_reads() -> None:
    assert len(problems_of("\n".join(f"key{number}: 1" for number in range(MAX_PROBLEMS + 10)))) == MAX_PROBLEMS


def test_a_problem_reads_as_place_dag_path_and_message() -> None:
    (problem,) = problems_of("name: a\n---\nname: sub\nqueue: 5\n")

    assert str(problem) == "[4:8] sub: queue: must be text, not the number 5; put it in quotes"


def test_a_definition_with_problems_cannot_be_required() -> None:
    with pytest.raises(SpecError, match="foo") as caught:
        load("foo: 1").require()

    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("case", [*ROOT, *STEP, *STEP_SET])
def test_what_is_sound_beside_a_fault_is_still_built(case: tuple[str, str, int, str]) -> None:
    text = case[0]
    beside = "group: beside\n"

    assert load(beside + text).definition.dag.group == "beside"
