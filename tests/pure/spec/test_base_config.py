from __future__ import annotations

from typing import Any

import pytest

from dagbook.spec.model import Dag, Pair, Schedule
from dagbook.spec.reading.load import load


def merged(base: str, own: str) -> Dag:
    return load(own, base=base).require().dag


@pytest.mark.parametrize(
    ("base", "own", "field", "value"),
    [
        ("queue: a", "queue: b", "queue", "b"),
        ("queue: a", "queue: ''", "queue", "a"),
        ("delaySec: 5", "delaySec: 0", "delay_seconds", 5),
        ("maxCleanUpTimeSec: 9", "queue: q", "max_clean_up_seconds", 9),
        ("histRetentionDays: 7", "histRetentionDays: 0", "history_retention_days", 7),
        ("histRetentionDays: 0", "queue: q", "history_retention_days", 0),
        ("queue: q", "histRetentionDays: 0", "history_retention_days", 0),
        ("skipIfSuccessful: true", "skipIfSuccessful: false", "skip_if_successful", True),
        ("tags: [a]", "tags: b", "tags", ("a", "b")),
        ("dotenv: a", "dotenv: b", "dotenv", ("a", "b")),
        ("dotenv: a", "queue: q", "dotenv", ("a",)),
        ("queue: q", "dotenv: []", "dotenv", ()),
        ("params: a", "params: K=v", "params", (Pair("1", "a"), Pair("K", "v"))),
        ("env: [A=1]", "env: [A=2]", "env", (Pair("A", "1"), Pair("A", "2"))),
        ("shell: bash -e", "queue: q", "shell", ("bash", "-e")),
        ("shell: bash -e", "shell: zsh", "shell", ("zsh",)),
        ("workerSelector: {a: x, b: x}", "workerSelector: {b: y}", "worker_selector", {"a": "x", "b": "y"}),
        ("registryAuths: {a: x}", "registryAuths: {b: y}", "registry_auths", {"a": "x", "b": "y"}),
        ("type: graph", "queue: q", "type", "chain"),
        ("maxActiveRuns: 5", "queue: q", "max_active_runs", 1),
        ("workingDir: /a", "queue: q", "working_dir", ""),
        (
            "schedule: {start: '* * * * *', stop: '1 * * * *'}",
            "schedule: '2 * * * *'",
            "schedule",
            Schedule(start=("2 * * * *",), stop=("1 * * * *",)),
        ),
    ],
)
def test_each_kind_of_value_has_its_rule(base: str, own: str, field: str, value: object) -> None:
    assert getattr(merged(base, own), field) == value


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        ("smtp: {host: a, port: 25}", "smtp: {host: b}", {"smtp.host": "b", "smtp.port": "25"}),
        (
            "errorMail: {from: a, to: x, prefix: p}",
            "errorMail: {to: y}",
            {"error_mail.sender": "a", "error_mail.to": ("x", "y"), "error_mail.prefix": "p"},
        ),
        ("runConfig: {disableParamEdit: true}", "runConfig: {}", {"run_config.disable_param_edit": True}),
        ("ssh: {user: u, port: 9}", "ssh: {host: h}", {"ssh.user": "u", "ssh.host": "h", "ssh.port": "22"}),
        ("ssh: {strictHostKey: false}", "ssh: {}", {"ssh.strict_host_key": None}),
        ("ssh: {}", "ssh: {strictHostKey: false}", {"ssh.strict_host_key": None}),
        ("ssh: {strictHostKey: true}", "ssh: {strictHostKey: false}", {"ssh.strict_host_key": True}),
        ("ssh: {strictHostKey: false}", "ssh: {strictHostKey: false}", {"ssh.strict_host_key": False}),
        (
            "otel: {headers: {a: x}, timeout: 5s}",
            "otel: {headers: {b: y}}",
            {"otel.headers": {"a": "x", "b": "y"}, "otel.timeout_seconds": 5.0},
        ),
        (
            "container: {image: a, volumes: [v], command: [c]}",
            "container: {image: b, volumes: [w], command: [d]}",
            {"container.image": "b", "container.volumes": ("v", "w"), "container.command": ("d",)},
        ),
        (
            "container: {image: a, volumes: [v], name: n}",
            "container: {exec: b, user: u}",
            {"container.exec": "b", "container.image": "", "container.volumes": (), "container.name": ""},
        ),
        (
            "container: {exec: a, env: [A=1]}",
            "container: {image: b}",
            {"container.exec": "", "container.image": "b", "container.env": ()},
        ),
        (
            "container: {exec: a, user: u, env: [A=1]}",
            "container: {exec: b, env: [B=2]}",
            {"container.exec": "b", "container.user": "u", "container.env": (Pair("A", "1"), Pair("B", "2"))},
        ),
        (
            "container: {image: a, startup: entrypoint, waitFor: healthy}",
            "container: {image: b}",
            {"container.startup": "entrypoint", "container.wait_for": "healthy"},
        ),
        (
            "container: {image: a, pullPolicy: never}",
            "container: {image: b}",
            {"container.pull_policy": "missing"},
        ),
        (
            "container: {image: a, pullPolicy: never}",
            "container: {image: b, pullPolicy: always}",
            {"container.pull_policy": "never"},
        ),
    ],
)
def test_objects_are_merged_member_by_member(base: str, own: str, expected: dict[str, Any]) -> None:
    dag = merged(base, own)

    for path, value in expected.items():
        outer, inner = path.split(".")
        assert getattr(getattr(dag, outer), inner) == value


def test_mail_settings_replace_as_a_whole() -> None:
    mail_on = merged("mailOn: {failure: true}", "mailOn: {}").mail_on

    assert mail_on
    assert not mail_on.failure


def test_a_handler_replaces_that_of_the_same_event_as_a_whole() -> None:
    dag = merged(
        "handlerOn: {exit: {command: a, output: LEAK}, failure: {command: f}}",
        "handlerOn: {exit: {command: b}}",
    )

    assert dag.handlers.exit
    assert (dag.handlers.exit.command, dag.handlers.exit.output) == ("b", "")
    assert dag.handlers.failure


def test_the_steps_of_the_base_serve_a_dag_that_has_none() -> None:
    assert [step.command for step in merged("steps: [a]", "queue: q").steps] == ["a"]
    assert [step.command for step in merged("steps: [a]", "steps: [b]").steps] == ["b"]
