"""The only way to finish a run without the engine: from its rows, even if their JSON columns are corrupt."""

from __future__ import annotations

import json
from datetime import datetime

import msgspec

from dagbook.db.database import WriteConnection
from dagbook.db.repositories.alerts import run_mails
from dagbook.db.repositories.runs import run_ends, runs, status_overrides
from dagbook.db.repositories.runs.run_ends import RunEnd
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.runs.status_overrides import ForcedEnd
from dagbook.db.repositories.triggers import upstream_ends
from dagbook.engine.history import Change
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json
from dagbook.runs.store import row_mapping
from dagbook.spec.model import Pair


def force_finish(
    connection: WriteConnection,
    fence: Fence,
    status: RunStatus,
    reason: str,
    now: datetime,
) -> None:
    """Finish a run without a runner in ``status``, and its running nodes as failed, or aborted like the run.

    The caller holds the row lock of the run, so that no runner writes to it.
    """
    open_run = status_overrides.read_open(connection, fence)
    end = max([now, *open_run.times])
    node_status = NodeStatus.ABORTED if status is RunStatus.ABORTED else NodeStatus.FAILED
    at = msgspec.to_builtins(end)
    closed: dict[str, Json] = {"phase": "closed", "outcome": int(status), **({"error_key": None} if reason else {})}
    of_node = {"status": int(node_status), "finished_at": at, "error": reason}
    of_run = {"status": int(status), "finished_at": at, **({"error": reason} if reason else {}), **closed}
    changes = [*(Change(position, of_node) for position in open_run.running), Change(None, of_run)]
    status_overrides.finish(
        connection,
        fence,
        ForcedEnd(status=status, node_status=node_status, at=end, error=reason),
        state=_readable(open_run.state) | closed,
        events=row_mapping.event_rows(fence.run, fence.attempt, runs.last_seq(connection, fence.run), changes, end),
    )
    key = (fence.run, fence.attempt)
    traces = row_mapping.trace_rows(key, _variables(open_run.variables), "", end, is_root=open_run.is_root)
    run_mails.add(connection, traces)
    ended = RunEnd(fence=fence, status=status, errors=reason, at=end)
    run_ends.add_forced(connection, ended)
    upstream_ends.add(connection, [ended])


def _readable(state: str | None) -> dict[str, Json]:
    """Decode the state of an attempt, or return {}: the state may be what broke the run."""
    try:
        found = json.loads(state or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _variables(text: str | None) -> list[Pair]:
    """Decode the variables of a run, or return none."""
    try:
        return msgspec.json.decode(text or "[]", type=list[Pair])
    except ValueError:
        return []
