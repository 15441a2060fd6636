"""Converting definitions of the 2.x dialect: each row of what has a counterpart, and what stays around it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from dagbook.spec.conversion.convert import convert
from dagbook.spec.reading.load import load

# A step of the 2.x dialect, and the same step in the format.
ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("run, one line", {"run": "echo hi"}, {"command": "echo hi"}),
    ("run, one line in a block", {"run": "echo hi\n"}, {"command": "echo hi"}),
    ("run, several lines", {"run": "echo a\necho b\n"}, {"script": "echo a\necho b"}),
    ("run, one word", {"run": "make", "with": {"shell": "bash"}}, {"command": "make", "shell": "bash"}),
    (
        "shell with arguments and packages",
        {"run": "x y", "with": {"shell": "nix-shell", "shell_args": ["--pure"], "shell_packages": ["jq", "git"]}},
        {"command": "x y", "shell": ["nix-shell", "--pure"], "shellPackages": ["jq", "git"]},
    ),
    (
        "shell with words and an argument as text",
        {"run": "a\nb", "with": {"shell": "bash -u", "shell_args": "-e"}},
        {"script": "a\nb", "shell": ["bash", "-u", "-e"]},
    ),
    (
        "exec",
        {"action": "exec", "with": {"command": "python3", "args": ["-u", "app.py", 5, "two words"]}},
        {"command": ["python3", "-u", "app.py", "5", "two words"]},
    ),
    ("exec without arguments", {"action": "exec", "with": {"command": "date"}}, {"command": "date"}),
    (
        "exec with what a shell would change",
        {"action": "exec", "with": {"command": "printf", "args": ["a;b", "*", ""]}},
        {"command": ["printf", "a;b", "*", ""], "shell": "direct"},
    ),
    (
        "http.request",
        {
            "action": "http.request",
            "with": {"method": "POST", "url": "https://h/p", "headers": {"x_y": "z"}, "skip_tls_verify": True},
        },
        {"type": "http", "command": "POST https://h/p", "config": {"headers": {"x_y": "z"}, "skipTLSVerify": True}},
    ),
    (
        "http.request, bare",
        {"action": "http.request", "with": {"url": "http://h"}},
        {"type": "http", "command": "GET http://h"},
    ),
    (
        "http.request, an address with an operator",
        {"action": "http.request", "with": {"url": "http://h/?q=a|b c"}},
        {"type": "http", "command": 'GET "http://h/?q=a|b c"'},
    ),
    (
        "ssh.run",
        {"action": "ssh.run", "with": {"command": "uptime", "host": "h", "user": "u", "strict_host_key": False}},
        {"type": "ssh", "command": "uptime", "config": {"host": "h", "user": "u", "strictHostKey": False}},
    ),
    (
        "jq.filter",
        {"action": "jq.filter", "with": {"filter": ".a[]", "data": {"a": [1, 2.5, None, "é"]}, "raw": True}},
        {"type": "jq", "command": ".a[]", "script": '{"a": [1, 2.5, null, "é"]}', "config": {"raw": True}},
    ),
    (
        "jq.filter of an output",
        {"action": "jq.filter", "with": {"filter": ".a", "data": "${OUT}"}},
        {"type": "jq", "command": ".a", "script": "${OUT}"},
    ),
    (
        "jq.filter of a text that is JSON",
        {"action": "jq.filter", "with": {"filter": ".a |\n  .b\n", "data": '{"a": {"b": 1}}'}},
        {"type": "jq", "command": ".a | .b", "script": '{"a": {"b": 1}}'},
    ),
    (
        "jq.filter of a plain text",
        {"action": "jq.filter", "with": {"filter": "length", "data": "four"}},
        {"type": "jq", "command": "length", "script": '"four"'},
    ),
    (
        "docker.run",
        {"action": "docker.run", "with": {"image": "alpine:3", "auto_remove": True, "container": {"Env": ["A=1"]}}},
        {"type": "docker", "config": {"image": "alpine:3", "autoRemove": True, "container": {"Env": ["A=1"]}}},
    ),
    (
        "container.run with a command",
        {"action": "container.run", "with": {"image": "alpine:3", "command": "ls", "args": ["-l"]}},
        {"type": "docker", "command": ["ls", "-l"], "config": {"image": "alpine:3"}},
    ),
    (
        "mail.send",
        {"action": "mail.send", "with": {"from": "a@b", "to": ["c@d"], "subject": "s", "message": "x\ny\n"}},
        {"type": "mail", "config": {"from": "a@b", "to": ["c@d"], "subject": "s", "message": "x\ny\n"}},
    ),
    *(
        (
            f"archive.{word}",
            {"action": f"archive.{word}", "with": {"source": "a.tgz", "destination": "b", "strip_components": 1}},
            {
                "type": "archive",
                "command": word,
                "config": {"source": "a.tgz", "destination": "b", "stripComponents": 1},
            },
        )
        for word in ("create", "extract", "list")
    ),
    (
        "dag.run",
        {"action": "dag.run", "with": {"dag": "kid", "params": {"A": 1, "B": "x\ny\n"}}},
        {"call": "kid", "params": {"A": 1, "B": "x\ny\n"}},
    ),
    (
        "dag.run in parallel",
        {"action": "dag.run", "with": {"dag": "kid"}, "parallel": {"items": [1, 2], "max_concurrent": 2}},
        {"call": "kid", "parallel": {"items": [1, 2], "maxConcurrent": 2}},
    ),
    (
        "a type with options",
        {"type": "http", "command": "GET http://h", "with": {"skip_tls_verify": True}, "timeout_sec": 5},
        {"type": "http", "command": "GET http://h", "config": {"skipTLSVerify": True}, "timeoutSec": 5},
    ),
    (
        "policies",
        {
            "run": "echo a",
            "retry_policy": {"limit": 1, "interval_sec": 2, "max_interval_sec": 9, "exit_code": [1]},
            "repeat_policy": {"repeat": "while", "exit_code": [1], "interval_sec": 1},
            "continue_on": {"exit_code": [1], "mark_success": True},
            "signal_on_stop": "SIGINT",
            "mail_on_error": True,
            "working_dir": "/x",
            "worker_selector": {"a_b": "c"},
        },
        {
            "command": "echo a",
            "retryPolicy": {"limit": 1, "intervalSec": 2, "maxIntervalSec": 9, "exitCode": [1]},
            "repeatPolicy": {"repeat": "while", "exitCode": [1], "intervalSec": 1},
            "continueOn": {"exitCode": [1], "markSuccess": True},
            "signalOnStop": "SIGINT",
            "mailOnError": True,
            "workingDir": "/x",
            "workerSelector": {"a_b": "c"},
        },
    ),
]
STEPS = [(before, after) for _, before, after in ROWS]
NAMES = [name for name, _, _ in ROWS]
MARK = {"max_active_runs": 1}  # so that each text is of the dialect


def written(step: dict[str, Any], *, flow: bool, place: str = "steps") -> str:
    named = {"name": "one", **step}
    steps = {"exit": named} if place == "handler_on" else [named, {"name": "two", "run": "echo z"}]
    text = yaml.safe_dump({**MARK, place: steps}, sort_keys=False, default_flow_style=flow, allow_unicode=True)
    return text.removesuffix("...\n")


def expected(step: dict[str, Any], *, place: str = "steps") -> Any:
    named = {"name": "one", **step}
    steps = {"exit": named} if place == "handler_on" else [named, {"name": "two", "command": "echo z"}]
    wanted = {"maxActiveRuns": 1, {"handler_on": "handlerOn"}.get(place, place): steps}
    return load(yaml.safe_dump(wanted, sort_keys=False)).require()


@pytest.mark.parametrize("flow", [False, True], ids=["block", "brackets"])
@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_each_row_becomes_the_same_step_of_the_format(
    before: dict[str, Any], after: dict[str, Any], flow: bool
) -> None:
    conversion = convert(written(before, flow=flow))

    assert (conversion.left, conversion.problems) == ((), ())
    assert load(conversion.text).require() == expected(after), conversion.text


@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_rows_are_converted_in_handlers_groups_and_other_documents(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    handler = convert(written(before, flow=False, place="handler_on")).text
    grouped = convert(json.dumps({"steps": [[{"name": "one", **before}]], **MARK})).text
    by_name = convert(json.dumps({"name": "x", "steps": {"one": before}, **MARK})).text
    second = convert("steps: [echo]\n---\nname: x\n" + written(before, flow=False)).text

    assert load(handler).require() == expected(after, place="handler_on")
    assert load(grouped).require().dag.steps == expected(after).dag.steps[:1]
    assert load(by_name).require().dag.steps == expected(after).dag.steps[:1]
    assert load(second).require().local_dags[0].steps == expected(after).dag.steps


@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_keys_may_stand_in_any_order(before: dict[str, Any], after: dict[str, Any]) -> None:
    turned = yaml.safe_dump({**MARK, "steps": [dict(reversed(before.items()))]}, sort_keys=False)

    conversion = convert(turned)

    wanted = load(yaml.safe_dump({"maxActiveRuns": 1, "steps": [after]})).require()
    assert load(conversion.text).require() == wanted, conversion.text


@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_line_ends_of_other_systems_stay(before: dict[str, Any], after: dict[str, Any]) -> None:
    conversion = convert(written(before, flow=False).replace("\n", "\r\n"))

    assert load(conversion.text).require() == expected(after), conversion.text
    assert "\n" not in conversion.text.replace("\r\n", "")


@pytest.mark.parametrize(("before", "after"), STEPS, ids=NAMES)
def test_a_converted_text_is_not_converted_again(before: dict[str, Any], after: dict[str, Any]) -> None:
    del after
    text = convert(written(before, flow=False)).text

    again = convert(text)

    assert (again.is_2x, again.text) == (False, text)


COMMENTED = """\
# c1
name: demo   # c2
max_active_runs: 2   # c3

steps:
  # c4
  - name: a  # c5
    # c6
    run: |   # c7
      echo '# no comment'
      echo b
    # c8
    with:  # c9
      # c10
      shell: bash  # c11
      shell_args:  # c12
        # c13
        - -e  # c14
    # c15
    retry_policy: {limit: 1, interval_sec: 2}  # c16
  - action: http.request  # c17
    with:  # c18
      method: GET  # c19
      # c20
      url: "https://h/#top"  # c21
      # c22
      headers:
        A: b  # c23
      # c24
    depends: a
  - action: mail.send
    with: {from: a, to: b, subject: 's # no comment'}  # c25
  - action: dag.run
    with: # c26
      dag: kid # c27
  - with: {dag: kid}  # c28
    action: dag.run  # c29
  # c30
# c31
"""
CONVERTED = """\
# c1
name: demo   # c2
maxActiveRuns: 2   # c3

steps:
  # c4
  - name: a  # c5
    # c6
    script: |   # c7
      echo '# no comment'
      echo b
    # c8
    # c9
    # c10
    # c11
    # c12
    # c13
    # c14
    shell: [bash, -e]
    # c15
    retryPolicy: {limit: 1, intervalSec: 2}  # c16
  - type: http  # c17
    # c19
    # c20
    # c21
    command: 'GET https://h/#top'
    config:  # c18
      # c22
      headers:
        A: b  # c23
      # c24
    depends: a
  - type: mail
    # c25
    config: {from: a, to: b, subject: 's # no comment'}
  - call: kid
    # c26
    # c27
  - # c28
    call: kid  # c29
  # c30
# c31
"""


def test_comments_order_and_layout_stay() -> None:
    conversion = convert(COMMENTED)

    assert conversion.text == CONVERTED
    assert (conversion.left, conversion.problems) == ((), ())


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("actions:\n  mine: {}\n", 1, "of one's own"),
        ("name: a\nstep_types: {}\n", 2, "of one's own"),
        ("steps:\n  - name: a\n    action: sql.query\n", 3, '"sql.query" has no counterpart'),
        ("steps:\n  - action: noop\n", 2, 'command: ":"'),
        ("steps:\n  - action: [a]\n", 2, "has no counterpart"),
        ("steps:\n  - with: {a: b}\n", 2, "without action or run"),
        ("steps:\n  - run: echo a\n    with:\n      shell: sh\n      pty: true\n", 5, '"pty" in with'),
        ("steps:\n  - run: echo a\n    with: {shell_args: [-e]}\n", 3, '"shell_args" in with'),
        ("steps:\n  - run: [a b, c]\n    timeout_sec: 1\n", 2, "one text"),
        ("steps:\n  - action: jq.filter\n    with:\n      filter: .\n      input: f.json\n", 5, '"input" in with'),
        ("steps:\n  - action: jq.filter\n    with: {filter: '. # a\n\n  b'}\n", 2, "on one line"),
        ("steps:\n  - action: dag.run\n    with: {dag: kid, wait: false}\n", 3, '"wait" in with'),
        ("steps:\n  - action: http.request\n    with: {method: GET}\n", 2, "needs url"),
        ("steps:\n  - action: exec\n", 2, "needs command"),
        ("x: &w {from: a}\nsteps:\n  - action: mail.send\n    with: *w\n", 3, "is an alias"),
        ("handler_on:\n  exit:\n    action: router.route\n", 3, "has no counterpart"),
    ],
)
def test_what_has_no_counterpart_is_listed_with_its_line(text: str, line: int, words: str) -> None:
    (left,) = convert(text).left

    assert left.line == line
    assert words in left.message


def test_the_rest_is_converted_beside_what_has_no_counterpart() -> None:
    text = "steps:\n- action: noop\n- run: echo a\n- action: jq.filter\n  with: {filter: ., input: x, raw: true}\n"

    conversion = convert(text)

    assert conversion.text == (
        "steps:\n- action: noop\n- command: echo a\n"
        "- type: jq\n  command: .\n  config: {raw: true}\n  with: {input: x}\n"
    )
    assert [left.line for left in conversion.left] == [2, 5]


def test_what_is_wrong_with_the_result_is_reported() -> None:
    conversion = convert("max_active_runs: 1\nsteps:\n  - run: echo a\n    depends: nothing\n    stepz: 1\n")

    assert [problem.line for problem in conversion.problems] == [4, 5]
    assert conversion.left == ()


def test_keys_of_an_anchored_step_are_renamed_once() -> None:
    text = "steps:\n  - &a\n    name: a\n    run: echo a\n    timeout_sec: 5\n  - <<: *a\n    name: b\n"

    conversion = convert(text)

    assert conversion.text == text.replace("run", "command").replace("timeout_sec", "timeoutSec")
    assert conversion.problems == ()


def test_keys_may_be_quoted_and_stand_behind_wide_characters() -> None:
    text = "\ufeff{ description: '\U0001f600é', \"timeout_sec\": 5, steps: [{name: 'ü', 'run': echo ö}] }\n"

    conversion = convert(text)

    assert conversion.text == (
        "{ description: '\U0001f600é', \"timeoutSec\": 5, steps: [{name: 'ü', command: echo ö}] }\n"
    )


@pytest.mark.parametrize(
    "text", ["", "steps: [echo]\n", "steps:\n- run: kid # old\n- {run: kid, parallel: [1]}\n", "bad: 1\n", "- a\n"]
)
def test_other_texts_are_left_as_they_are(text: str) -> None:
    conversion = convert(text)

    assert (conversion.text, conversion.is_2x, conversion.left, conversion.problems) == (text, False, (), ())


def test_what_is_no_yaml_is_not_converted() -> None:
    conversion = convert("max_active_runs: 1\nsteps: [\n")

    assert conversion.text == "max_active_runs: 1\nsteps: [\n"
    assert conversion.problems[0].message.startswith("this is not valid YAML")
