"""Warnings of params and outputs in shell text."""

from __future__ import annotations

import time

import msgspec
import pytest

from dagbook.spec.reading.load import load
from dagbook.spec.shell_references import find_warnings


def warned(steps: str) -> list[str]:
    """Return the names of the warnings of a DAG with the param P and the output OUT of a step."""
    loaded = load(f"params: P=1\nsteps:\n  - {{name: first, command: echo x, output: OUT}}\n{steps}", name="flow")
    assert loaded.problems == ()
    return [warning.split(" value of ")[1].split(" ")[0] for warning in find_warnings(loaded.definition)]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("echo $P", ["P"]),
        ("echo ${P} $P ${OUT}", ["P", "OUT"]),
        ('echo "text ${P}"', ["P"]),
        ('echo "$P"', ["P"]),
        ("echo ${OUT.a.b}", ["OUT"]),
        ("echo ''x ${P} y''", ["P"]),
        ('echo "${P}" "${OUT}"', []),
        ('echo "a "${P}" b"', []),
        ("echo ''${P}'' ''{\"k\": \"${P}\"}''", []),
        ("echo $HOME ${OTHER} $1", []),
        ('echo "$(case $x in "${P}") y;; esac)"', ["P"]),  # its quotes cannot be followed
    ],
)
def test_a_command_is_warned_of_values_outside_a_quoted_reference(command: str, names: list[str]) -> None:
    assert warned(f"  - {{command: '{command}'}}") == names


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("{script: 'echo $P'}", ["P"]),
        ("{script: \"#!/usr/bin/env python3\\nprint('$P')\"}", []),
        ("{command: python3, script: 'print(\"$P\")'}", []),
        ("{command: echo x, preconditions: ['test -n $P']}", ["P"]),
        ("{command: echo x, preconditions: [{condition: $P, expected: x}]}", []),
        ("{command: [echo, $P, 'one $P']}", ["P"]),
        ("{command: echo $P, shell: pwsh}", []),
        ("{command: GET http://localhost/$P, executor: http}", []),
        ("{command: echo x, env: [A: $P]}", []),
    ],
)
def test_only_text_that_a_posix_shell_reads_is_warned_of(step: str, names: list[str]) -> None:
    assert warned(f"  - {step}") == names


@pytest.mark.parametrize(
    ("params", "names"), [("", ["1"]), ("params: first\n", ["1"]), ("params: P=1\n", [])], ids=["none", "word", "name"]
)
def test_words_that_a_caller_may_give_are_warned_of(params: str, names: list[str]) -> None:
    loaded = load(f"{params}steps: [{{name: a, command: 'echo $1 \"${{2}}\" $0'}}]\n", name="flow")
    warnings = [warning.split(" value of ")[1].split(" ")[0] for warning in find_warnings(loaded.definition)]
    assert warnings == names


def test_a_warning_names_the_document_the_step_and_the_field() -> None:
    text = "steps: [{call: below}]\n---\nname: below\nparams: P=1\nsteps: [{name: a, command: echo $P}]\n"
    (warning,) = find_warnings(load(text, name="flow").definition)
    assert warning.startswith('below: step "a": command: ')
    assert '"${P}"' in warning


def faults(script: str) -> list[str]:
    """Return where the warnings of a script are, and what they say of the value of P."""
    definition = load(msgspec.json.encode({"params": "P=1", "steps": [{"name": "a", "script": script}]}).decode())
    assert definition.problems == ()
    found = []
    for warning in find_warnings(definition.definition):
        where, _, fault = warning.removeprefix('step "a": script').removeprefix(", ").partition(": ")
        found.append(": ".join(filter(None, (where, fault.split(" of P ")[0] + fault.split(" of P ")[1][:17]))))
    return found


LEFT = "the value" + "is left to the sh"
LEFT_TO_ANOTHER = "the value" + "is left to the ot"
PASTED = "another shell reads the value" + "as a part of its "


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('x=`basename \\`dirname "${P}"\\``', [LEFT]),
        ("x=$'\\t'\necho \"${P}\"", [f"line 2: {LEFT}"]),
        ("trap 'rm -- \"${P}\"' EXIT", [LEFT_TO_ANOTHER]),
        ("true\nsh -ec 'echo \"${P}\"'\nssh host 'echo \"${P}\"'", [f"lines 2, 3: {LEFT_TO_ANOTHER}"]),
        ("sh -c 'a \"${P}\"'\n" * 7, [f"lines 1, 2, 3, 4, 5, …: {LEFT_TO_ANOTHER}"]),
        ("su - etl -c 'echo \"${P}\"'", [LEFT_TO_ANOTHER]),
        ("$SHELL -c 'echo \"${P}\"'", [LEFT_TO_ANOTHER]),
        ("ls | xargs -I% sh -c 'cp % \"${P}\"'", [LEFT_TO_ANOTHER]),
        ("echo 'echo \"${P}\"' | sudo -n sh", [LEFT_TO_ANOTHER]),
        ("sudo bash <<'E'\necho \"${P}\"\nE\n", [f"line 2: {LEFT_TO_ANOTHER}"]),
        ("cat > run.sh <<'E'\necho \"${P}\"\nE\n", [f"line 2: {LEFT_TO_ANOTHER}"]),
        ('bash <<E\necho "${P}"\nE\n', [f"line 2: {PASTED}"]),
        ('sh -c "rm "${P}""', [PASTED]),
        ('ssh host rm "${P}"', [PASTED]),
        ('eval "${P}"', [PASTED]),
        ('sh -c \'echo "$1"\' _ "${P}"', []),
        ("trap : EXIT; echo '\"${P}\"'", []),
        ("trap : EXIT\necho '\"${P}\"'", []),
        ("echo '\"${P}\"' | bash run.sh", []),
        ("bash run.sh '\"${P}\"'", []),
        ('echo \'"${P}"\' | jq "$FILTER"', []),
        ("cat <<'E' | jq .\n\"${P}\"\nE\n", []),
        ("ssh host ls | jq '\"${P}\"'", []),
        ("bash <<'E' | tee log\necho \"${P}\"\nE\n", [f"line 2: {LEFT_TO_ANOTHER}"]),
        ("echo 'echo \"${P}\"' | bash -s x | tee log", [LEFT_TO_ANOTHER]),
        ("sh 2>&1 -c 'echo \"${P}\"'", [LEFT_TO_ANOTHER]),
    ],
)
def test_a_script_is_warned_of_values_that_another_shell_reads(script: str, expected: list[str]) -> None:
    assert faults(script) == expected


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ('let "${P}"', "let"),
        ('test -v "${P}"', "test -v"),
        ('if [ -v "${P}" ]; then :; fi', "[ -v"),
        ('[[ -v "${P}" ]]', "[[ -v"),
        ('printf -v "${P}" x', "printf -v"),
        ('read -r "${P}"', "read"),
        ('unset "${P}"', "unset"),
        ('sleep 1 & wait -p "${P}"', "wait"),
        ('declare "${P}"=1', "declare"),
        ('local -i x="${P}"', "local -i"),
        ('A=1 read -r x </dev/null; while ! read "${P}"; do :; done', "read"),
        ('docker wait "${P}"', ""),
        ('echo read "${P}"', ""),
        ('kubectl wait -v "${P}" | grep let "${P}"', ""),
        ('printf -v x %s "${P}"', ""),
        ('test -v x && echo "${P}"', ""),
        ('local x="${P}"', ""),
        ('[ "${P}" -gt 1 ]; [[ "${P}" -gt 1 ]]; echo $(( "${P}" ))', ""),
        ('printf %s "${P}"', ""),
    ],
)
def test_a_script_is_warned_of_values_that_bash_evaluates_as_names_or_numbers(script: str, command: str) -> None:
    assert faults(script) == ([f"{command} evaluates the valueand runs the comm"] if command else [])


def test_a_part_of_an_output_that_is_left_to_a_shell_needs_a_name() -> None:
    text = '{name: a, command: "sh -c \'echo \\"${OUT.key}\\"\'"}'
    loaded = load(f"steps:\n  - {{name: b, command: echo x, output: OUT}}\n  - {text}\n", name="flow")
    (warning,) = find_warnings(loaded.definition)
    assert warning.endswith("so give it a name by env of the step")


@pytest.mark.parametrize(("part", "end"), [("${P.", ""), ("${P.", "}"), ('(:) "${P}" ', "")])
def test_a_long_text_is_looked_through_in_time_in_proportion_to_its_length(part: str, end: str) -> None:
    def measure(parts: int) -> float:
        definition = load(f"params: P=1\nsteps: [{{script: '{part * parts}{end}'}}]", name="flow").definition
        begun = time.process_time()
        find_warnings(definition)
        return time.process_time() - begun

    assert measure(16_000) < 8 * 2 * measure(2_000) + 0.1  # a square of the length takes 64 times as long
