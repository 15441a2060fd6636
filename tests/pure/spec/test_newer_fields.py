"""What the format gained up to 1.30.3: command lines, outputs, logs, chat, approvals (DAG format 1.30)."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from dagbook.spec.model import CommandLine, ContinueOn
from dagbook.spec.reading.load import load
from tests.pure.spec.definitions import dag_of, problem_of, step_of


def _problem(text: str) -> str:
    return str(problem_of(text))


# -- several command lines (2) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "items",
    [
        "[npm install, npm test]",
        "['GET https://x', 'GET https://y']",
        "['echo a | cat', pwd]",
        "['', 'echo a', ' ', 'echo b']",
        "[echo 1, 2]",
    ],
)
def test_a_list_that_begins_with_a_command_and_its_arguments_is_several_lines(items: str) -> None:
    step = step_of(f"{{command: {items}}}")
    assert len(step.lines) == 2
    assert step.command_line == "\n".join(each.line for each in step.lines)
    assert (step.command, step.args) == (step.lines[0].command, step.lines[0].args)


@pytest.mark.parametrize(
    "items",
    [
        "[python3, -u, app.py]",
        "[sh, -c, 'echo a; echo b']",
        "[echo, a b]",
        "['/opt/my tools/run', -v]",
        "['\"/opt/my tools/run\"', x]",
        "[pwd, 'echo \"done\"']",
    ],
)
def test_any_other_list_is_one_program_with_its_arguments(items: str) -> None:
    step = step_of(f"{{command: {items}}}")
    assert not step.lines
    assert step.command_list


def test_the_lines_keep_their_text_and_are_split_into_words() -> None:
    step = step_of("{command: [echo one two, 'echo three | tr a-z A-Z']}")
    assert step.lines == (
        CommandLine("echo one two", "echo", ("one", "two")),
        CommandLine("echo three | tr a-z A-Z", "echo", ("three", "|", "tr", "a-z", "A-Z")),
    )


def test_a_list_of_one_line_is_the_same_as_the_line() -> None:
    of_list = step_of("{command: [echo one two]}")
    assert msgspec.structs.replace(of_list, lines=()) == step_of("{command: echo one two}")
    assert len(of_list.lines) == 1  # over SSH it is sent as written


@pytest.mark.parametrize("items", ["[pwd, ls -l]", "[false, 'echo x']"])
def test_a_program_whose_arguments_look_like_commands_is_warned_of(items: str) -> None:
    (warning,) = load(f"steps: [{{command: {items}}}]").warnings
    assert "steps[0].command: is read as one program with arguments" in warning


@pytest.mark.parametrize("items", ["[python3, -c, 'print(1, 2)']", "[echo, '\"a b\"']"])
def test_options_and_quotes_silence_that_warning(items: str) -> None:
    assert load(f"steps: [{{command: {items}}}]").warnings == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("{command: [echo a b, {a: b}]}", "steps[0].command[1]: is a map; a command is a text, so put it into quotes"),
        ("{command: [echo a b, [c]]}", "steps[0].command[1]: is a list"),
        ("{command: [echo a b, '|']}", 'steps[0].command: "|" cannot be read as a command'),
        ("{type: jq, command: [a b, c d], script: '{}'}", "a step of type jq takes one command line"),
        ("{executor: http, command: [GET http://a, GET http://b]}", "a step of type http takes one command line"),
    ],
)
def test_lines_that_cannot_run_are_refused(fields: str, message: str) -> None:
    assert message in _problem(f"steps: [{fields}]")


def test_a_script_beside_several_lines_is_ignored_with_a_warning() -> None:
    loaded = load("steps: [{command: [echo a b, echo c d], script: echo x}]")
    assert loaded.definition.dag.steps[0].script == ""
    assert "steps[0].script: is ignored beside several command lines" in loaded.warnings[0]


def test_a_script_beside_a_command_of_several_lines_is_ignored_with_a_warning() -> None:
    loaded = load('steps: [{type: jq, command: ".a,\\n.b", script: "{}"}]')
    assert loaded.definition.dag.steps[0].script == ".a,\n.b"
    assert "steps[0].script: is ignored beside a command of several lines" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("steps: [{executor: mail, command: x}]", "steps[0].command: has no effect in a step of type mail"),
        ("steps: [{executor: http, command: GET http://x, shell: sh}]", "steps[0].shell: has no effect"),
        ("container: {image: i}\nsteps: [{command: x, script: echo}]", "steps[0].script: has no effect"),
        ("steps: [{executor: docker, command: 'a\n\n      b'}]", "which takes no command of several lines"),
    ],
)
def test_what_the_old_form_ignores_is_warned_of(text: str, where: str) -> None:
    loaded = load(text)
    assert loaded.problems == ()
    assert any(where in warning for warning in loaded.warnings), loaded.warnings


@pytest.mark.parametrize("fields", ["{call: kid, executor: mail}", "{executor: shell, script: echo}", "{command: x}"])
def test_what_counts_is_not_warned_of(fields: str) -> None:
    assert load(f"steps: [{fields}]").warnings == ()


# -- outputs and logs (4, 5) --------------------------------------------------------------------------------------


def test_an_output_may_have_a_key_and_be_left_out_of_the_outputs_of_the_run() -> None:
    step = step_of("{command: x, output: {name: ' $TOTAL ', key: ' n ', omit: true}}")
    assert (step.output, step.output_key, step.output_omit) == ("TOTAL", "n", True)


@pytest.mark.parametrize("output", ["{key: k}", "{name: ' '}", "{name: 5}", "{NAME: X}"])
def test_an_output_needs_a_name(output: str) -> None:
    assert "steps[0].output: needs the name" in _problem(f"steps: [{{command: x, output: {output}}}]")


@pytest.mark.parametrize("output", ["5", "true", "[A]"])
def test_an_output_of_another_type_is_refused(output: str) -> None:
    assert "steps[0].output: must be the name" in _problem(f"steps: [{{command: x, output: {output}}}]")


@pytest.mark.parametrize("output", ["'${TOTAL}'", "{name: '${TOTAL}'}", "'{TOTAL}'"])
def test_an_output_that_is_a_reference_instead_of_a_name_is_warned_of(output: str) -> None:
    loaded = load(f"steps: [{{command: x, output: {output}}}]")
    assert [str(warning) for warning in loaded.definition.warnings] == [
        'steps[0].output: the variable is called "{TOTAL}", which no text can refer to; write TOTAL'
    ]


def test_keys_of_an_output_that_are_ignored_are_warned_of() -> None:
    loaded = load("steps: [{command: x, output: {name: A, omit: 'true', key: 5, mode: x}}]")
    assert [warning.partition(": ")[0] for warning in loaded.warnings] == [
        "steps[0].output.mode",
        "steps[0].output.omit",
        "steps[0].output.key",
    ]


@pytest.mark.parametrize(
    ("root", "step", "is_merged"),
    [
        ("merged", "", True),
        ("' Merged '", "", True),
        ("separate", "logOutput: merged", True),
        ("merged", "logOutput: separate", False),
        ("merged", "logOutput: ''", False),
        ("merged", "logOutput: null", True),
    ],
)
def test_the_log_of_a_step_is_merged_as_it_says_or_else_as_its_dag_says(
    root: str, step: str, *, is_merged: bool
) -> None:
    dag = dag_of(f"logOutput: {root}\nsteps: [{{command: x, {step}}}]")
    assert dag.merges_logs(dag.steps[0]) is is_merged


def test_the_log_output_of_a_dag_replaces_that_of_the_base_configuration() -> None:
    loaded = load("logOutput: separate\nsteps: [x]", base="logOutput: merged")
    assert loaded.definition.dag.log_output == "separate"


def test_another_word_for_the_log_output_is_refused() -> None:
    assert 'logOutput: must be separate or merged, not "both"' in _problem("logOutput: both\nsteps: [x]")


# -- chat (8) -----------------------------------------------------------------------------------------------------

_MESSAGES = "messages: [{role: user, content: hi}]"


@pytest.mark.parametrize(
    "text",
    [
        f"steps: [{{type: chat, llm: {{provider: openai, model: m}}, {_MESSAGES}}}]",
        f"llm: {{provider: ollama, model: m}}\nsteps: [{{type: chat, {_MESSAGES}}}]",
        f"steps: [{{type: chat, {_MESSAGES}}}]",
        "llm: {provider: openai}\nsteps: [x]",
        "steps: [{command: x, llm: {provider: openai, model: m}}]",
    ],
)
def test_a_chat_step_is_accepted(text: str) -> None:
    assert load(text).problems == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [{type: chat}]", "steps[0]: a chat step needs messages"),
        (f"steps: [{{type: chat, command: x, {_MESSAGES}}}]", "a step of type chat takes no command"),
        (f"llm: {{provider: openai}}\nsteps: [{{type: chat, {_MESSAGES}}}]", "llm of the DAG has no model"),
        (f"steps: [{{type: chat, llm: {{model: m}}, {_MESSAGES}}}]", "steps[0].llm: has no provider"),
        (f"steps: [{{command: x, {_MESSAGES}}}]", "steps[0].messages: are for a step of type chat"),
        ("steps: [{type: chat, messages: []}]", "steps[0].messages: is empty"),
        ("steps: [{type: chat, messages: [{role: user}]}]", "steps[0].messages[0]: this message has no content"),
        ("steps: [{type: chat, messages: [{role: boss, content: x}]}]", "must be system, user, assistant or tool"),
        ("llm: {provider: delphi}\nsteps: [x]", "llm.provider: must be openai, anthropic, gemini"),
        ("llm: {temperature: 3}\nsteps: [x]", "llm.temperature: must be a number from 0 to 2"),
        ("llm: {thinking: {effort: much}}\nsteps: [x]", "llm.thinking.effort: must be low, medium, high or xhigh"),
    ],
)
def test_what_a_chat_step_says_is_checked(text: str, message: str) -> None:
    assert message in _problem(text)


# -- approvals (7) ------------------------------------------------------------------------------------------------


def test_an_approval_has_a_prompt_and_the_names_of_its_inputs() -> None:
    step = step_of("{type: hitl, config: {prompt: 5, input: WHO, required: [WHO], later: x}}")
    assert step.executor.config == {"prompt": "5", "input": ["WHO"], "required": ["WHO"], "approvers": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "steps: [{type: hitl, config: {required: [X]}}]",
            'steps[0].config.required: "X" is none of the names in input',
        ),
        ("steps: [{type: hitl, config: {input: {a: b}}}]", "steps[0].config.input: must be a list of names, not a map"),
        ("steps: [{type: hitl, config: {prompt: [a]}}]", "steps[0].config.prompt: must be a text, not a list"),
        ("steps: [{type: hitl, command: x}]", "a step of type hitl takes no command"),
        ("handlerOn: {exit: {type: hitl}}\nsteps: [x]", "handlerOn.exit: a handler cannot wait for an approval"),
        ("workerSelector: {a: b}\nsteps: [{type: hitl}]", "a DAG with workerSelector cannot wait for an approval"),
    ],
)
def test_what_an_approval_says_is_checked(text: str, message: str) -> None:
    assert message in _problem(text)


# -- smaller changes (6, 10, 12) ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["/bin/bash -e", "[/bin/bash, -e]"])
def test_ssh_may_have_a_shell(text: str) -> None:
    ssh = dag_of(f"ssh: {{user: u, host: h, shell: {text}}}\nsteps: [x]").ssh
    assert ssh is not None
    assert ssh.shell == ("/bin/bash", "-e")


def test_the_names_of_dependencies_may_be_numbers() -> None:
    dag = dag_of("type: graph\nsteps: [{name: '1', command: x}, {name: b, command: x, depends: [1]}]")
    assert dag.steps[1].depends == ("1",)


def test_exit_codes_may_be_texts_and_failed_is_another_spelling() -> None:
    step = step_of("{command: x, continueOn: {failed: true, exitCode: ['3', 4]}}")
    assert step.continue_on == ContinueOn(failure=True, exit_codes=(3, 4))


def test_a_text_may_begin_with_a_percent_sign_wherever_a_value_may_start() -> None:
    text = "env:\n  - FMT: %Y-%m # c\n  - {A: %d, B: '%'}\nsteps:\n  - command: [date, %s]\n"
    dag = dag_of(text)
    assert [(pair.name, pair.value) for pair in dag.env] == [("FMT", "%Y-%m"), ("A", "%d"), ("B", "%")]
    assert dag.steps[0].args == ("%s",)


def test_a_percent_sign_at_the_start_of_a_line_is_no_text() -> None:
    assert "this is not valid YAML" in _problem("%x: 1")


def test_a_text_with_very_many_percent_signs_is_read_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    loader = yaml.CSafeLoader

    def count(text: str) -> yaml.CSafeLoader:
        texts.append(text)
        return loader(text)

    monkeypatch.setattr(yaml, "CSafeLoader", count)
    text = "env:\n" + "".join(f"  - A{number}: %Y # %\n" for number in range(200)) + "steps: ['100%', \"%d\", x]"
    dag = load(text).definition.dag
    assert {pair.value for pair in dag.env} == {"%Y"}
    assert [step.command_line for step in dag.steps] == ["100%", "%d", "x"]
    assert len([one for one in texts if one]) == 2


def test_a_percent_sign_is_a_problem_where_no_value_may_start() -> None:
    assert "this is not valid YAML" in _problem("steps: [&a% x]")


def test_a_part_of_a_mail_is_merged_with_the_base_configuration() -> None:
    base = "smtp: {host: m, port: 25}\nerrorMail: {from: a@x, to: b@x}"
    dag = load("smtp: {port: 26}\nerrorMail: {prefix: P}\nsteps: [x]", base=base).definition.dag
    assert dag.smtp is not None
    assert dag.error_mail is not None
    assert (dag.smtp.host, dag.smtp.port) == ("m", "26")
    assert (dag.error_mail.sender, dag.error_mail.prefix) == ("a@x", "P")


def test_a_mail_without_sender_and_recipients_is_none() -> None:
    assert dag_of("errorMail: {prefix: P}\nsmtp: {username: u}\nsteps: [x]").error_mail is None
