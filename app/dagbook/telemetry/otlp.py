"""Spans as requests of OTLP over HTTP in JSON: ids in hex, times as text, enums as numbers, no unset fields. Pure.

The fields are those of ``opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from dagbook import __version__
from dagbook.json_values import Json, JsonObject

INTERNAL = 1  # SPAN_KIND_INTERNAL: neither a request nor its answer
OK, ERROR = 1, 2  # of STATUS_CODE
MOST_PARTS = 128  # events or links of a span, as in SDKs
_MOST_ATTRIBUTES, _LONGEST = 64, 1024
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_INT = 2**63


class Span(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One piece of work."""

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: Sequence[JsonObject] = ()
    events: Sequence[JsonObject] = ()
    dropped_events_count: int = 0
    links: Sequence[JsonObject] = ()
    dropped_links_count: int = 0
    status: JsonObject | None = None


def nanoseconds(at: datetime) -> str:
    """Return a time as ``fixed64`` in JSON: nanoseconds since 1970, as text."""
    return str((at - _EPOCH) // _MICROSECOND * 1000)


def attributes(values: Mapping[str, object]) -> list[JsonObject]:
    """Make attributes, at most 64, of texts and numbers; values of other types, and None, are left out."""
    known = ((name, _value(value)) for name, value in values.items())
    found: list[JsonObject] = [{"key": _text(name), "value": value} for name, value in known if value is not None]
    return found[:_MOST_ATTRIBUTES]


def encode(resource: Mapping[str, object], spans: Sequence[Span]) -> bytes:
    """Return the body of a request with spans of one resource."""
    of_scope = {"scope": {"name": "dagbook", "version": __version__}, "spans": spans}
    of_resource = {"resource": {"attributes": attributes(resource)}, "scopeSpans": [of_scope]}
    return msgspec.json.encode({"resourceSpans": [of_resource]})


def _value(value: object) -> Json:
    match value:
        case str():
            return {"stringValue": _text(value)}
        case bool():
            return {"boolValue": value}
        case int() if -_MOST_INT <= value < _MOST_INT:
            return {"intValue": str(value)}
        case float() if math.isfinite(value):
            return {"doubleValue": value}
    return None


def _text(text: str) -> str:
    return text[:_LONGEST].encode(errors="replace").decode()
