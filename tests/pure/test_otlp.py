"""Spans in the JSON of OTLP, against the definitions of the protocol."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from dagbook.telemetry import otlp
from dagbook.telemetry.otlp import Span, attributes, encode, nanoseconds
from tests.otlp import read, read_attributes

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FULL = Span(
    trace_id=TRACE,
    span_id=SPAN,
    parent_span_id="00f067aa0ba902b7",
    name="DAG: etl",
    kind=otlp.INTERNAL,
    start_time_unix_nano="1764573000000000000",
    end_time_unix_nano="1764573001000001000",
    attributes=attributes({"dag.name": "etl", "n": -3, "on": False, "share": 0.5}),
    events=[{"timeUnixNano": "1764573000500000000", "name": "retry", "attributes": attributes({"step.retry": 1})}],
    dropped_events_count=2,
    links=[{"traceId": TRACE, "spanId": "00f067aa0ba902b8"}],
    dropped_links_count=3,
    status={"code": otlp.ERROR, "message": "exit status 3"},
)
BARE = Span(trace_id=TRACE, span_id=SPAN, name="x", kind=1, start_time_unix_nano="1", end_time_unix_nano="1")


def test_a_request_has_the_fields_of_the_protocol_and_no_others() -> None:
    full, bare = read(encode({"service.name": "dagu"}, [FULL, BARE]))
    assert full.resource == {"service.name": "dagu"}
    assert full.attributes == {"dag.name": "etl", "n": "-3", "on": False, "share": 0.5}
    assert full.raw["kind"] == 1
    assert full.raw["status"] == {"code": 2, "message": "exit status 3"}
    assert [read_attributes(event["attributes"]) for event in full.raw["events"]] == [{"step.retry": "1"}]
    assert set(bare.raw) == {"traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"}


def test_the_protocol_s_own_library_reads_a_request() -> None:
    """Its JSON has ids in base64, which OTLP replaces by hex."""
    json_format = import_module("google.protobuf.json_format")  # not typed
    service = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

    def with_base64(value: Any) -> Any:
        if isinstance(value, list):
            return [with_base64(each) for each in value]
        if isinstance(value, dict):
            ids = {"traceId", "spanId", "parentSpanId"}
            return {
                key: base64.b64encode(bytes.fromhex(each)).decode() if key in ids else with_base64(each)
                for key, each in value.items()
            }
        return value

    request = service.ExportTraceServiceRequest()
    json_format.ParseDict(with_base64(json.loads(encode({"service.name": "dagu"}, [FULL, BARE]))), request)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE, SPAN)
    assert (span.kind, span.status.code) == (1, 2)
    assert span.end_time_unix_nano == 1764573001000001000
    assert [each.value.WhichOneof("value") for each in span.attributes] == [
        "string_value",
        "int_value",
        "bool_value",
        "double_value",
    ]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "0"),
        (datetime(2026, 12, 1, 7, 30, 0, 1, tzinfo=UTC), "1796110200000001000"),
        (datetime(2026, 12, 1, 7, 30, 0, 999_999, tzinfo=UTC), "1796110200999999000"),
    ],
)
def test_a_time_keeps_its_microseconds(at: datetime, text: str) -> None:
    assert nanoseconds(at) == text


def test_attributes_are_texts_and_numbers_of_bounded_size() -> None:
    values: dict[str, object] = {
        "none": None,
        "list": [1],
        "infinite": float("inf"),
        "huge": 2**63,
        "least": -(2**63),
        "long": "x" * 5000,
        "broken": "a\udcffb",
    }
    found = read(encode(values, [BARE]))[0].resource
    assert found == {"least": str(-(2**63)), "long": "x" * 1024, "broken": "a?b"}
    assert len(attributes({str(number): number for number in range(1000)})) == 64
