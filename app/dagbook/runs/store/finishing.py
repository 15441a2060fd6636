"""The only way to finish a run without the engine: from its rows, even if their JSON columns are corrupt."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec

from dagbook.db.database import WriteConnection
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs import status_overrides as rows_of_run
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.engine.history import Change
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.store import row_mapping


def force_finish(connection: WriteConnection, fence: Fence, status: RunStatus, reason: str, now: datetime) -> None:
    """Finish a run without a runner in ``status``, and its running nodes as failed, or aborted like the run.

    The caller holds the row lock of the run, so that no runner writes to it.
    """
    open_run = rows_of_run.read_open(connection, fence)
    end = max([now, *open_run.times])
    node_status = NodeStatus.ABORTED if status is RunStatus.ABORTED else NodeStatus.FAILED
    nodes = {"status": int(node_status), "finished_at": end, "error": reason}
    run = {"status": int(status), "finished_at": end, **({"error": reason} if reason else {})}
    closed = {"phase": "closed", "outcome": int(status), **({"error_key": None} if reason else {})}
    changes = [Change(position, _event_row(nodes)) for position in open_run.running]
    changes.append(Change(None, _event_row(run | closed)))
    rows_of_run.finish(
        connection,
        fence,
        nodes=nodes,
        run=run,
        state=_readable(open_run.state) | closed,
        events=row_mapping.event_rows(fence.run, fence.attempt, runs.last_seq(connection, fence.run), changes, end),
    )


def _event_row(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.to_builtins(value) if isinstance(value, datetime) else value for name, value in fields.items()
    }


def _readable(state: str | None) -> dict[str, Any]:
    """Decode the state of an attempt, or return {}: the state may be what broke the run."""
    try:
        found = json.loads(state or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
