"""Rows of a run and steps of a definition become the records of a Dagu 1.x home."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.db.repositories.runs.runs import ShownCommand
from dagbook.spec.reading.load import load
from dagbook.transfer.layout import folder_of
from dagbook.transfer.records import step_record

WIDE = """\
type: graph
steps:
  - name: s1
    id: s_one
    description: first
    shell: bash -e
    dir: /tmp
    command: echo "a b" $A
    env: [X: "1"]
    timeoutSec: 20
    signalOnStop: SIGINT
    mailOnError: true
    output: {name: O1, key: myKey}
    retryPolicy: {limit: 2, intervalSec: 3, exitCode: [7], backoff: 2.0, maxIntervalSec: 10}
    continueOn: {failure: true, skipped: true, exitCode: [1, 2], output: [x], markSuccess: true}
  - name: s2
    depends: s1
    command: [echo one, echo two]
    repeatPolicy: {repeat: while, limit: 1, exitCode: [0], intervalSec: 1}
  - name: s3
    call: grandchild
    parallel: {items: [{Z: 1}, {Z: 2}], maxConcurrent: 1}
  - name: s4
    call: child
    params: X=1
  - name: s5
    command: "true"
    preconditions: [{condition: "$A", expected: "1"}]
    retryPolicy: {limit: "$N", intervalSec: "$S"}
    logOutput: separate
  - name: s6
    executor: {type: jq, config: {raw: true}}
    command: .a
    script: '{"a": 1}'
"""
# The form of 1.30.2, field by field.
RECORDS: dict[str, dict[str, Any]] = {
    "s1": {
        "id": "s_one",
        "name": "s1",
        "description": "first",
        "shell": "bash",
        "shellArgs": ["-e"],
        "dir": "/tmp",
        "commands": [{"command": "echo", "args": ["a b", "$A"], "cmdWithArgs": 'echo "a b" $A'}],
        "output": "O1",
        "outputKey": "myKey",
        "continueOn": {"failure": True, "skipped": True, "exitCode": [1, 2], "output": ["x"], "markSuccess": True},
        "retryPolicy": {
            "limit": 2,
            "interval": 3_000_000_000,
            "exitCode": [7],
            "backoff": 2.0,
            "maxInterval": 10_000_000_000,
        },
        "mailOnError": True,
        "signalOnStop": "SIGINT",
        "env": ["X=1"],
        "timeout": 20_000_000_000,
    },
    "s2": {
        "name": "s2",
        "commands": [
            {"command": "echo", "args": ["one"], "cmdWithArgs": "echo one"},
            {"command": "echo", "args": ["two"], "cmdWithArgs": "echo two"},
        ],
        "depends": ["s1"],
        "repeatPolicy": {"repeatMode": "while", "interval": 1_000_000_000, "limit": 1, "exitCode": [0]},
    },
    "s3": {
        "name": "s3",
        "executorConfig": {"type": "parallel"},
        "childDag": {"name": "grandchild"},
        "parallel": {"items": [{"params": {"Z": "1"}}, {"params": {"Z": "2"}}], "maxConcurrent": 1},
    },
    "s4": {
        "name": "s4",
        "executorConfig": {"type": "dag"},
        "childDag": {"name": "child", "params": 'X="1"'},
        "params": {"X": "1"},
    },
    "s5": {
        "name": "s5",
        "commands": [{"command": "true", "cmdWithArgs": "true"}],
        "preconditions": [{"condition": "$A", "expected": "1"}],
        "retryPolicy": {"limitStr": "$N", "intervalSecStr": "$S"},
        "logOutput": "separate",
    },
    "s6": {
        "name": "s6",
        "executorConfig": {"type": "jq", "config": {"raw": True}},
        "commands": [{"command": ".a", "cmdWithArgs": ".a"}],
        "script": '{"a": 1}',
    },
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_step_has_the_fields_of_its_definition(name: str) -> None:
    steps = {step.name: step for step in load(WIDE).definition.dag.steps}
    assert step_record(steps[name]) == RECORDS[name]


def test_a_step_in_a_run_has_its_evaluated_command_and_why_its_conditions_were_not_met() -> None:
    steps = {step.name: step for step in load(WIDE).definition.dag.steps}
    shown = step_record(steps["s1"], shown=ShownCommand(command="echo", args=("a b", "x y")))
    assert shown["commands"] == [{"command": "echo", "args": ["a b", "x y"], "cmdWithArgs": "echo 'a b' 'x y'"}]
    unmet = step_record(steps["s5"], unmet=["got 2"])
    assert unmet["preconditions"] == [{"condition": "$A", "expected": "1", "error": "got 2"}]


# Names, and the folders that Dagu 1.30.2 has made for them.
FOLDERS = {
    "plain": "plain",
    "with-dash": "with-dash",
    "-dash": "-dash",
    "under_score": "under_score",
    "_u": "_u",
    "a__b": "a__b",
    "CamelCase": "CamelCase",
    "abcdefghijklmnopqrstuvwxyz0123456789abcd": "abcdefghijklmnopqrstuvwxyz0123456789abcd",
    "named.inside": "named_inside-97b7",
    "a.b.c": "a_b_c-845e",
    "a-.b": "a-_b-e377",
    "..x": "__x-8901",
    "x..": "x__-6cac",
    ".hidden": "_hidden-1692",
    ".a": "_a-3679",
    "a.": "a_-5ab6",
    "A.B": "A_B-4b86",
    "1.2": "1_2-77ac",
    "...": "___-ab5d",
    "con.x": "con_x-9c23",
    "abcdefghijklmnopqrstuvwxyz0123456789.bcd": "abcdefghijklmnopqrstuvwxyz0123456789_bcd-3e67",
}


def test_runs_are_in_the_folder_where_dagu_looks_for_them() -> None:
    assert {name: folder_of(name) for name in FOLDERS} == FOLDERS
