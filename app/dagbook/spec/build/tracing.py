"""Tracing of a DAG (DAG format 2.17)."""

from __future__ import annotations

from dagbook.spec.build.field import Field, unwrap
from dagbook.spec.build.object_schema import warn_unknown_keys
from dagbook.spec.model import Otel
from dagbook.spec.problem import quoted
from dagbook.spec.time.duration import duration_seconds


def otel(field: Field) -> Otel | None:
    """Read the settings; a value of another type is ignored."""
    if not isinstance(field.value, dict):
        field.expect("a map")
        return None
    warn_unknown_keys(field, (*KINDS, "timeout"))
    value = unwrap(field.node)
    fields = {key: value[key] for key, kind in KINDS.items() if isinstance(value.get(key), kind)}
    if "headers" in fields:
        fields["headers"] = {key: text for key, text in fields["headers"].items() if isinstance(text, str)}
    return Otel(**fields, timeout_seconds=_timeout(field))


KINDS: dict[str, type] = {"enabled": bool, "endpoint": str, "headers": dict, "insecure": bool, "resource": dict}


def _timeout(field: Field) -> float:
    node = field.value.get("timeout")
    if node is None or not isinstance(node.value, str):
        return 0.0
    seconds = duration_seconds(node.value)
    if seconds is None:
        field.at("timeout", node).refuse(f"{quoted(node.value)} is not a duration such as 5s or 1m30s")
    return seconds or 0.0
