"""Log of a run, rendered from its events, not stored a second time (house design section 6). Pure but for the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

import msgspec

from dagbook.auth.audit_context import NamedRun
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.history import Change
from dagbook.engine.runlog import Line, describe, step_name
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import Dag

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")


def render_log(events: Iterable[EventRow], run: NamedRun, dag: Dag, zone: tzinfo) -> list[str]:
    """Render the log of a run over all its attempts as lines of ``key=value`` text (runtime 11.4)."""
    rendered: list[str] = []
    error = ""
    own = {"dag": run.dag_name, "run-id": run.run_id}
    for event in events:
        time = event.at.astimezone(zone).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if event.position is None:
            error = event.data.get("error", error)
        for line in _lines(event, dag, error):
            fields = {"time": time, "level": line.level, "msg": line.message, **own, **line.attributes}
            texts = []
            for key, value in fields.items():
                text = str(value)
                texts.append(f"{key}={text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)}")
            rendered.append(" ".join(texts))
    return rendered


class RunLogFile:
    """Log of a run as a file, for steps that read ``DAG_RUN_LOG_FILE``; removed with the other files of the run."""

    def __init__(self, path: Path, run: NamedRun, dag: Dag, zone: tzinfo) -> None:
        self.path = path
        self._run = run
        self._dag = dag
        self._zone = zone

    def append(self, events: Iterable[EventRow]) -> None:
        """Append the lines of events that have just been stored."""
        lines = render_log(events, self._run, self._dag, self._zone)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def uses_run_log(dag: Dag) -> bool:
    """Whether any text of a definition refers to the log file; writing it takes a tenth of the time of a short run."""
    return b"DAG_RUN_LOG_FILE" in msgspec.json.encode(dag)


def _lines(event: EventRow, dag: Dag, error: str) -> tuple[Line, ...]:
    data = event.data
    if "accepted" in data:
        about = {
            "trigger": data["accepted"],
            **_fields(data, "queue"),
            **_fields(data, "step"),
            **_fields(data, "actor"),
        }
        return (Line("INFO", "run accepted", about),)
    if "dequeued" in data:
        about = {"attempt": data["dequeued"], **_fields(data, "actor")}
        return (Line("INFO", "attempt taken out of its queue", about),)
    if "edited_by" in data and event.position is not None:
        status = NodeStatus(data["status"]).label
        about = {"step": step_name(dag, event.position), "status": status, "actor": data["edited_by"]}
        return (Line("INFO", "status of the step was set by hand", about),)
    return describe(dag, Change(event.position, data), error)


def _fields(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names if data.get(name)}
