"""Tracing of a DAG (DAG format 2.17)."""

from __future__ import annotations

import re

from app.spec.build.field import Field, plain
from app.spec.model import Otel
from app.spec.problem import show

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_DURATION = 64


def otel(field: Field) -> Otel | None:
    """Read the settings; a value of another type says nothing."""
    if not isinstance(field.value, dict):
        field.expect("a map")
        return None
    value = plain(field.node)
    fields = {key: value[key] for key, kind in _KINDS.items() if isinstance(value.get(key), kind)}
    if "headers" in fields:
        fields["headers"] = {key: text for key, text in fields["headers"].items() if isinstance(text, str)}
    return Otel(**fields, timeout_seconds=_timeout(field))


_KINDS: dict[str, type] = {"enabled": bool, "endpoint": str, "headers": dict, "insecure": bool, "resource": dict}


def _timeout(field: Field) -> float:
    node = field.value.get("timeout")
    if node is None or not isinstance(node.value, str):
        return 0.0
    seconds = duration_seconds(node.value)
    if seconds is None:
        field.at("timeout", node).refuse(f"{show(node.value)} is not a duration such as 5s or 1m30s")
    return seconds or 0.0


def duration_seconds(text: str) -> float | None:
    """Read a duration such as ``1m30s``; None when it is none."""
    if len(text) > _LONGEST_DURATION or not _DURATION.fullmatch(text):
        return None
    total: float = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total
