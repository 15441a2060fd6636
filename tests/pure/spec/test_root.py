from __future__ import annotations

from typing import Any

import pytest

from dagbook.spec.model import (
    Container,
    Dag,
    Handlers,
    Mail,
    MailOn,
    Otel,
    Pair,
    RunConfig,
    Schedule,
    Secret,
    Smtp,
    Ssh,
)
from dagbook.spec.reading.load import load
from dagbook.spec.time.duration import duration_seconds
from tests.pure.spec.definitions import dag_of

ONE, TWO = "* * * * *", "CRON_TZ=Asia/Tokyo 0 9 * * MON-FRI"
FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("name: ' a.b-c_1 '", {"name": "a.b-c_1"}),
    ("group: ' g '\ndescription: ' d '\nqueue: ' q '", {"group": "g", "description": "d", "queue": "q"}),
    ("type: ' graph '", {"type": "graph"}),
    ("type: ''", {"type": "chain"}),
    ("workingDir: $HOME/x", {"working_dir": "$HOME/x"}),
    ("logDir: ' l '", {"log_dir": " l "}),
    ("dotenv: x.env", {"dotenv": ("x.env",)}),
    ("dotenv: [a, b]", {"dotenv": ("a", "b")}),
    ("dotenv: []", {"dotenv": ()}),
    ("dotenv: null", {"dotenv": (".env",)}),
    (f"schedule: '{ONE}'", {"schedule": Schedule(start=(ONE,))}),
    (f"schedule: ['{ONE}', '{ONE}']", {"schedule": Schedule(start=(ONE, ONE))}),
    (
        f"schedule: {{start: '{TWO}', stop: ['{ONE}']}}",
        {"schedule": Schedule(start=(TWO,), stop=(ONE,))},
    ),
    ("schedule: {}", {}),
    ("schedule: ''", {}),
    ("skipIfSuccessful: true", {"skip_if_successful": True}),
    (
        "timeoutSec: 1.9\ndelaySec: -2\nrestartWaitSec: 3",
        {"timeout_seconds": 1, "delay_seconds": -2, "restart_wait_seconds": 3},
    ),
    ("histRetentionDays: 0", {"history_retention_days": 0}),
    ("maxActiveRuns: 0\nmaxCleanUpTimeSec: 0\nmaxOutputSize: 0", {}),
    ("maxActiveRuns: -1\nmaxActiveSteps: 4", {"max_active_runs": -1, "max_active_steps": 4}),
    ("maxCleanUpTimeSec: 9\nmaxOutputSize: 10", {"max_clean_up_seconds": 9, "max_output_size": 10}),
    ("maxOutputSize: 1099511627776", {"max_output_size": 16777216}),
    ("timeoutSec: 1000000000000000000", {"timeout_seconds": 3_153_600_000}),
    ("tags: 'A, b ,,C d'", {"tags": ("a", "b", "c d")}),
    ("tags: [' A,B ', 5]", {"tags": ("a,b", "5")}),
    ("tags: 5", {}),
    ("workerSelector: {' a ': ' b '}", {"worker_selector": {"a": "b"}}),
    ("mailOn: {}", {"mail_on": MailOn()}),
    ("mailOn: {failure: true}", {"mail_on": MailOn(failure=True)}),
    ("smtp: {host: h, port: 25.9}", {"smtp": Smtp(host="h", port="25")}),
    ("smtp: {port: '587', username: u, password: p}", {"smtp": Smtp(port="587", username="u", password="p")}),  # noqa: S106
    ("smtp: {username: u}", {}),
    (
        "errorMail: {from: ' a ', to: ' b, c ', prefix: ' p ', attachLogs: true}",
        {"error_mail": Mail(sender="a", to=("b, c",), prefix="p", attach_logs=True)},
    ),
    ("infoMail: {to: [a, 5, ' ', b]}", {"info_mail": Mail(to=("a", "b"))}),
    ("infoMail: {prefix: p}", {}),
    ("runConfig: {}", {"run_config": RunConfig()}),
    ("runConfig: {disableRunIdEdit: true}", {"run_config": RunConfig(disable_run_id_edit=True)}),
    ("ssh: {}", {"ssh": Ssh()}),
    ("ssh: {port: 22.4, strictHostKey: false}", {"ssh": Ssh(port="22", strict_host_key=False)}),
    ("container: {image: i}", {"container": Container(image="i")}),
    (
        "container: {image: i, pullPolicy: 'false', workingDir: a, workDir: b, startup: ' Command ', env: {A: 1}}",
        {
            "container": Container(
                image="i",
                pull_policy="never",
                working_dir="b",
                startup="command",
                env=(Pair("A", "1"),),
            ),
        },
    ),
    ("container: {image: i, pullPolicy: true}", {"container": Container(image="i", pull_policy="always")}),
    ("registryAuths: text", {"registry_auths": {"_json": "text"}}),
    (
        "registryAuths: {a: b, c: {username: u, password: 5, other: x}, d: 5}",
        {"registry_auths": {"a": "b", "c": {"username": "u"}, "d": {}}},
    ),
    (
        "secrets: [{name: A, provider: env, key: K, options: {o: ' v '}}]",
        {"secrets": (Secret(name="A", provider="env", key="K", options={"o": " v "}),)},
    ),
    (
        "otel: {enabled: true, endpoint: 5, headers: {a: b, c: 1}, timeout: 1m30s, resource: {r: [1]}, other: 1}",
        {"otel": Otel(enabled=True, headers={"a": "b"}, timeout_seconds=90.0, resource={"r": [1]})},
    ),
]


@pytest.mark.parametrize(("text", "fields"), FIELDS)
def test_a_root_field_is_read(text: str, fields: dict[str, Any]) -> None:
    assert dag_of(text) == Dag(**fields)


@pytest.mark.parametrize(
    ("env", "pairs"),
    [
        ("{B: 1, A: 2}", [("B", "1"), ("A", "2")]),
        ("[{B: 1, A: null}, 'C=d=e', '=x', 'A= y ']", [("B", "1"), ("A", ""), ("C", "d=e"), ("", "x"), ("A", " y ")]),
        ("{A: 1.0, B: [1, true], C: {k: v}}", [("A", "1"), ("B", "[1 true]"), ("C", "map[k:v]")]),
        ("text", []),
        ("5", []),
    ],
)
def test_variables_keep_the_order_of_the_document(env: str, pairs: list[tuple[str, str]]) -> None:
    assert dag_of(f"env: {env}").env == tuple(Pair(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("params", "pairs"),
    [
        ('a "b c" K=v', [("1", "a"), ("2", "b c"), ("K", "v")]),
        ("{Z: 1, A: x}", [("A", "x"), ("Z", "1")]),
        ("[{B: true}, {A: null}]", [("B", "true"), ("A", "")]),
        ("['a b', {Z: 1, C: 2}, d]", [("1", "a"), ("2", "b"), ("C", "2"), ("Z", "1"), ("5", "d")]),
        ('\'{"b": 1, "a": [1]}\'', [("a", "[1]"), ("b", "1")]),
        ("{schema: 5, values: x}", [("schema", "5"), ("values", "x")]),
        ("''", []),
    ],
)
def test_parameters_are_pairs(params: str, pairs: list[tuple[str, str]]) -> None:
    assert dag_of(f"params: {params}").params == tuple(Pair(*pair) for pair in pairs)


def test_parameters_with_a_schema_keep_its_place_and_their_values() -> None:
    dag = dag_of("params: {schema: ./s.json, values: {batch: 25, mode: fast}}")

    assert (dag.params_schema, dag.params) == ("./s.json", (Pair("batch", "25"), Pair("mode", "fast")))
    assert dag_of("params: {schema: ./s.json}").params == ()


def test_handlers_get_the_names_of_their_events() -> None:
    dag = dag_of(
        "handlerOn: {init: {command: a, name: x}, cancel: {command: b, depends: ghost}, exit: {}, failure: null}"
    )

    assert [handler.name for handler in (dag.handlers.init, dag.handlers.abort, dag.handlers.exit) if handler] == [
        "onInit",
        "onCancel",
        "onExit",
    ]
    assert dag.handlers.failure is None


def test_handlers_inherit_the_executor_of_the_dag() -> None:
    dag = dag_of("handlerOn: {success: {command: a}}\nssh: {host: h}")

    assert dag.handlers.success
    assert dag.handlers.success.executor.type == "ssh"


def test_no_handlers_are_none() -> None:
    assert dag_of("handlerOn: {}").handlers == Handlers()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5.0), ("1m30s", 90.0), ("100ms", 0.1), ("1.5h", 5400.0), ("-1s", -1.0), ("0", 0.0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5d", "1s" * 100])
def test_a_text_that_is_no_duration(text: str) -> None:
    assert duration_seconds(text) is None


@pytest.mark.parametrize(
    ("value", "warned"),
    [
        ("{enabled: true, endpoint: 'http://localhost:4317'}", True),
        ("{enabled: true, endpoint: 'http://localhost:4318/v1/traces'}", False),
        ("{enabled: true, endpoint: '${OTEL}'}", False),
        ("{enabled: true}", False),
        ("{endpoint: 'http://localhost:4317'}", True),
        ("{enabled: false, endpoint: 'http://localhost:4317'}", False),
        ("{}", False),
    ],
)
def test_an_endpoint_of_grpc_is_warned_of(value: str, warned: bool) -> None:
    loaded = load(f"otel: {value}\nsteps: [a]")
    assert loaded.problems == ()
    told = "otel.endpoint: Dagbook sends OTLP over HTTP; write http://localhost:4318/v1/traces"
    assert loaded.warnings == ((told,) if warned else ())
