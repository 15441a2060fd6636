"""The run's own log, rendered from its history: there is no second store for it (house design section 6). Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any

from app.engine.history import Change
from app.engine.runlog import Line, describe
from app.spec.model import Dag

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")


def render_log(events: Iterable[Mapping[str, Any]], run: Mapping[str, Any], dag: Dag, zone: tzinfo) -> list[str]:
    """Write the lines of a run's log, ``key=value`` text, over all its attempts (runtime 11.4)."""
    rendered: list[str] = []
    error = ""
    own = {"dag": run["dag_name"], "run-id": run["run_id"]}
    for event in events:
        time = event["at"].astimezone(zone).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if event["position"] is None:
            error = event["data"].get("error", error)
        for line in _lines(event, dag, error):
            told = {"time": time, "level": line.level, "msg": line.message, **own, **line.attributes}
            rendered.append(" ".join(f"{key}={_value(value)}" for key, value in told.items()))
    return rendered


def _lines(event: Mapping[str, Any], dag: Dag, error: str) -> tuple[Line, ...]:
    data = event["data"]
    if "accepted" in data:
        return (Line("INFO", "run accepted", {"trigger": data["accepted"], **_picked(data, "actor")}),)
    return describe(dag, Change(event["position"], data), error)


def _picked(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: data[name]} if data.get(name) else {}


def _value(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
