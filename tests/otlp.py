"""What a receiver reads of OTLP in JSON, checked against the messages of opentelemetry-proto.

The mapping is that of proto3 JSON with the exceptions of the protocol: ids are in hex, enums are numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

_Check = Callable[[object, str], None]


def _is(kind: type, form: str = "", least: int = 0, most: int = 2**32 - 1) -> _Check:
    def check(value: object, place: str) -> None:
        assert type(value) is kind, f"{place}: {value!r} is no {kind.__name__}"
        if form:
            assert re.fullmatch(form, str(value)), f"{place}: {value!r}"
        if isinstance(value, int) and not isinstance(value, bool):
            assert least <= value <= most, f"{place}: {value!r}"

    return check


def _fixed64(value: object, place: str) -> None:
    assert isinstance(value, str), f"{place}: {value!r}"
    assert re.fullmatch(r"0|[1-9]\d{0,19}", value), f"{place}: {value!r}"
    assert int(value) < 2**64


def _int64(value: object, place: str) -> None:
    assert isinstance(value, str), f"{place}: {value!r}"
    assert re.fullmatch(r"0|-?[1-9]\d{0,18}", value), f"{place}: {value!r}"
    assert -(2**63) <= int(value) < 2**63


def _repeated(name: str) -> _Check:
    def check(value: object, place: str) -> None:
        assert isinstance(value, list), place
        for position, each in enumerate(value):
            _message(name)(each, f"{place}[{position}]")

    return check


def _message(name: str) -> _Check:
    def check(value: object, place: str) -> None:
        assert isinstance(value, dict), place
        fields = MESSAGES[name]
        assert set(value) <= set(fields), f"{place}: {name} has no {set(value) - set(fields)}"
        for key, given in value.items():
            fields[key](given, f"{place}.{key}")
        if name == "AnyValue":
            assert len(value) <= 1, f"{place}: it is a oneof"

    return check


_text, _count, _id16, _id8 = _is(str), _is(int), _is(str, "[0-9a-f]{32}"), _is(str, "[0-9a-f]{16}")
_attributes = {"attributes": _repeated("KeyValue"), "droppedAttributesCount": _count}
MESSAGES: dict[str, dict[str, _Check]] = {
    "ExportTraceServiceRequest": {"resourceSpans": _repeated("ResourceSpans")},
    "ResourceSpans": {
        "resource": _message("Resource"),
        "scopeSpans": _repeated("ScopeSpans"),
        "schemaUrl": _text,
    },
    "Resource": _attributes,
    "ScopeSpans": {"scope": _message("InstrumentationScope"), "spans": _repeated("Span"), "schemaUrl": _text},
    "InstrumentationScope": {"name": _text, "version": _text, **_attributes},
    "Span": {
        "traceId": _id16,
        "spanId": _id8,
        "traceState": _text,
        "parentSpanId": _is(str, "([0-9a-f]{16})?"),
        "flags": _count,
        "name": _text,
        "kind": _is(int, most=5),
        "startTimeUnixNano": _fixed64,
        "endTimeUnixNano": _fixed64,
        **_attributes,
        "events": _repeated("Event"),
        "droppedEventsCount": _count,
        "links": _repeated("Link"),
        "droppedLinksCount": _count,
        "status": _message("Status"),
    },
    "Event": {"timeUnixNano": _fixed64, "name": _text, **_attributes},
    "Link": {"traceId": _id16, "spanId": _id8, "traceState": _text, "flags": _count, **_attributes},
    "Status": {"message": _text, "code": _is(int, most=2)},
    "KeyValue": {"key": _text, "value": _message("AnyValue")},
    "AnyValue": {
        "stringValue": _text,
        "boolValue": _is(bool),
        "intValue": _int64,
        "doubleValue": _is(float),
        "arrayValue": _is(dict),
        "kvlistValue": _is(dict),
        "bytesValue": _text,
    },
}


class Received(NamedTuple):
    """A span as it was received, with its attributes as a map."""

    raw: dict[str, Any]
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["name"])

    @property
    def id(self) -> str:
        return str(self.raw["spanId"])

    @property
    def parent(self) -> str:
        return str(self.raw.get("parentSpanId", ""))

    @property
    def attributes(self) -> dict[str, Any]:
        return read_attributes(self.raw.get("attributes", []))

    @property
    def times(self) -> tuple[int, int]:
        return int(self.raw["startTimeUnixNano"]), int(self.raw["endTimeUnixNano"])


def read_attributes(found: list[Any]) -> dict[str, Any]:
    names = [each["key"] for each in found]
    assert len(names) == len(set(names)), "the keys of attributes are unique"
    return {each["key"]: next(iter(each["value"].values())) for each in found}


def read(body: bytes) -> list[Received]:
    """Check a request against the messages, and return its spans."""
    request = json.loads(body)
    _message("ExportTraceServiceRequest")(request, "")
    found = []
    for part in request["resourceSpans"]:
        resource = read_attributes(part["resource"]["attributes"])
        for scope in part["scopeSpans"]:
            found += [Received(span, resource) for span in scope["spans"]]
    for span in found:
        assert int(span.raw["traceId"], 16)
        assert int(span.id, 16)
        assert span.times[0] <= span.times[1]
    return found
