"""Answers of a server of API v2, turned into the records that a home would have. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from dagbook.engine.event import HANDLER_NAMES
from dagbook.runs.store.run_loading import output_key
from dagbook.transfer.layout import RecordError, SnapshotRecord, StatusRecord, read_time

Answer = Mapping[str, Any]
_COPIED = ("startedAt", "finishedAt", "status", "retryCount", "doneCount", "error")
_BETWEEN_PARAMS = re.compile(r" (?=[A-Za-z0-9_]+=)")


def status_of(details: Answer, summary: Answer, outputs: Answer, logs: str) -> StatusRecord:
    """Return the status of a run from its details; raises RecordError.

    ``summary`` is its entry in a list, ``logs`` the path below which the output of its steps is.
    """
    try:
        found = {
            "root": {"name": details.get("rootDAGRunName", ""), "id": details.get("rootDAGRunId", "")},
            "parent": {"name": details.get("parentDAGRunName") or "", "id": details.get("parentDAGRunId") or ""},
            "name": details["name"],
            "dagRunId": details["dagRunId"],
            "status": details["status"],
            "nodes": [_node(node, outputs, logs) for node in details.get("nodes") or ()],
            **{name: _node(details[name], {}, logs) for name in HANDLER_NAMES.values() if details.get(name)},
            "queuedAt": summary.get("queuedAt") or "",
            "startedAt": details.get("startedAt") or "",
            "finishedAt": details.get("finishedAt") or "",
            "params": details.get("params") or "",
            "paramsList": split_params(details.get("params") or ""),
            "preconditions": details.get("preconditions"),
        }
        return msgspec.convert(found, StatusRecord)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise RecordError(f"the answer is not that of a run: {error}") from error


def split_params(text: str) -> list[str]:
    """Split the params of a run, which are not quoted, before each ``NAME=``."""
    return _BETWEEN_PARAMS.split(text) if text else []


def _node(node: Answer, outputs: Answer, logs: str) -> dict[str, Any]:
    step = node["step"]
    name, output = step["name"], step.get("output") or ""
    value = outputs.get(step.get("outputKey") or output_key(output)) if output else None
    path = f"{logs}\n{name}\n"
    is_merged = bool(node.get("stdout")) and node.get("stdout") == node.get("stderr")
    return {
        "step": _step(step),
        **{field: node[field] for field in _COPIED if node.get(field) is not None},
        "stdout": f"{path}stdout" if node.get("stdout") else "",
        "stderr": f"{path}stderr" if node.get("stderr") and not is_merged else "",
        "children": node.get("subRuns"),
        "childrenRepeated": node.get("subRunsRepeated"),
        "outputVariables": {output: f"{output}={value}"} if isinstance(value, str) else None,
    }


def _step(step: Answer) -> dict[str, Any]:
    fields = ("name", "description", "commands", "command", "args", "cmdWithArgs", "script", "output", "depends")
    called = {"name": step["call"], "params": step.get("params") or ""} if step.get("call") else None
    return {
        **{field: step[field] for field in fields if step.get(field) is not None},
        "childDag": called,
        "preconditions": step.get("preconditions"),
    }


def snapshot_of(spec: str, file_name: str) -> SnapshotRecord:
    """Return what is known of the definition of a run; ``file_name`` is that of a stored DAG with this text."""
    return SnapshotRecord(
        yaml_data=base64.b64encode(spec.encode()).decode(),
        location=f"dags/{file_name}.yaml" if file_name else "",
    )


def opened_at(status: StatusRecord) -> datetime:
    """Return the earliest time that a run tells, for a server tells no time of creation; raises RecordError."""
    texts = [status.queued_at, status.started_at, *(node.started_at for node in status.nodes or ()), status.finished_at]
    known = [at for text in texts if (at := read_time(text, "startedAt")) is not None]
    return min(known, default=datetime(2000, 1, 1, tzinfo=UTC))


def called_by(details: Answer) -> Iterator[str]:
    """Yield the ids of the sub-runs that the steps of a run called."""
    for node in details.get("nodes") or ():
        for call in (*(node.get("subRuns") or ()), *(node.get("subRunsRepeated") or ())):
            if isinstance(call, dict) and call.get("dagRunId"):
                yield str(call["dagRunId"])
