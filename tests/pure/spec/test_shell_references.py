"""Warnings of params and outputs in shell text."""

from __future__ import annotations

import time

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


@pytest.mark.parametrize("script", ["${P." * 100_000, "${P." * 100_000 + "}", '(:) "${P}" ' * 50_000])
def test_a_long_text_is_looked_through_in_time_in_proportion_to_its_length(script: str) -> None:
    definition = load(f"params: P=1\nsteps: [{{script: '{script}'}}]", name="flow").definition
    begun = time.process_time()
    find_warnings(definition)
    assert time.process_time() - begun < 2
