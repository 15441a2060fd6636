"""Addresses of receivers of traces."""

from __future__ import annotations

import pytest

from dagbook.spec.model import Otel
from dagbook.spec.reading.load import load
from dagbook.spec.tracing import find_problem, is_traced, name_receiver, read_endpoint


@pytest.mark.parametrize(
    ("endpoint", "insecure", "address"),
    [
        ("http://localhost:4318/v1/traces", False, "http://localhost:4318/v1/traces"),
        ("https://api.example.com/otlp/v1/traces/", True, "https://api.example.com/otlp/v1/traces/"),
        ("collector:4318/v1/traces", False, "https://collector:4318/v1/traces"),
        ("collector:4318/v1/traces", True, "http://collector:4318/v1/traces"),
        (" http://[::1]:4318/v1/traces?x=1 ", False, "http://[::1]:4318/v1/traces?x=1"),
    ],
)
def test_an_endpoint_of_http_is_an_address(endpoint: str, insecure: bool, address: str) -> None:
    otel = Otel(enabled=True, endpoint=endpoint, insecure=insecure)
    assert read_endpoint(otel) == address
    assert is_traced(otel)


@pytest.mark.parametrize(
    ("endpoint", "instead"),
    [
        ("host:4317", "http://host:4318/v1/traces"),
        ("http://localhost:4317", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://api.example.com", "https://api.example.com/v1/traces"),
        ("https://api.example.com:443", "https://api.example.com:443/v1/traces"),
        ("https://user:pw@host:4317", "https://host:4318/v1/traces"),
        ("grpc://host:4317/v1/traces", "http://host:4318/v1/traces"),
        ("[::1]:4317", "http://[::1]:4318/v1/traces"),
        ("collector", "http://collector:4318/v1/traces"),
        ("http://[::1/v1/traces", "http://host:4318/v1/traces"),
        ("http://host:99999/v1/traces", "http://host:4318/v1/traces"),
        ("/v1/traces", "http://host:4318/v1/traces"),
        ("", "http://host:4318/v1/traces"),
    ],
)
def test_the_form_of_grpc_is_told_what_to_write(endpoint: str, instead: str) -> None:
    otel = Otel(enabled=True, endpoint=endpoint)
    assert find_problem(otel) == f"Dagbook sends OTLP over HTTP; write {instead}"
    assert not is_traced(otel)


@pytest.mark.parametrize("endpoint", ["$OTEL", "${OTEL}/v1/traces", "`cat address`"])
def test_an_endpoint_with_variables_is_read_when_a_trace_is_sent(endpoint: str) -> None:
    assert is_traced(Otel(enabled=True, endpoint=endpoint))


def test_what_is_not_enabled_is_not_traced() -> None:
    assert not is_traced(Otel(endpoint="http://localhost:4318/v1/traces"))
    assert find_problem(Otel(endpoint="host:4317")) == ""


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://user:secret@host:4318/hidden/v1/traces?key=hidden", "https://host:4318"),
        ("host:4318/v1/traces", "host:4318"),
        ("${OTEL_ENDPOINT}", "${OTEL_ENDPOINT}"),
        ("", ""),
    ],
)
def test_a_receiver_is_named_by_its_host(endpoint: str, name: str) -> None:
    assert name_receiver(endpoint) == name


def test_a_base_configuration_is_merged_field_by_field() -> None:
    base = "otel: {enabled: true, endpoint: 'http://a:4318/v1/traces', headers: {a: x}, resource: {env: test}}"
    spec = "otel: {endpoint: 'http://b:4318/v1/traces', headers: {b: y}}\nsteps: [a]"
    assert load(spec, name="x", base=base).definition.dag.otel == Otel(
        enabled=True, endpoint="http://b:4318/v1/traces", headers={"a": "x", "b": "y"}, resource={"env": "test"}
    )
