"""Changes as server-sent events, made once for all who get them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from dagbook.api.schemas.changes import DAGChange, LogChange, Position, QueueChange, RunChange, RunName
from dagbook.api.schemas.common import Schema
from dagbook.db.repositories.changes import DAG, QUEUE, RUN, ChangeRow, FeedCursor
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_RETRY_MILLISECONDS = 2000
_MAX_FRAMES = 2**63 - 1
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


def read_cursor(text: str, field: str) -> FeedCursor:
    """Read a number to resume by; raises BadRequestError naming the field."""
    parts = text.split(".")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 20]  # noqa: PLR2004
    if len(numbers) != len(parts) or len(parts) > 2 or max(numbers) > _MAX_FRAMES:  # noqa: PLR2004 - xact and number
        raise BadRequestError(
            f"{field}: {shorten(text)} is no number of an event; send one that an event had as its id"
        )
    return FeedCursor(*numbers) if len(numbers) > 1 else FeedCursor(0, numbers[0])


def ready_frame(place: FeedCursor, *, missed: bool) -> bytes:
    """Make the first frame: everything from here on is told; with ``missed`` something before it is not."""
    event = "reset" if missed else "ready"
    return f"retry: {_RETRY_MILLISECONDS}\n".encode() + _frame(event, Position(after=str(place)), place)


def heartbeat_frame(place: FeedCursor) -> bytes:
    """Make what is sent when nothing happens; it moves the number to resume by and is no event."""
    return f":\nid: {place}\n\n".encode()


def change_frame(told: ChangeRow) -> bytes:
    """Make the frame of a change; empty for one that nobody is to see."""
    shown = _event_data(told)
    return b"" if shown is None else _frame(told.kind, shown, told.cursor)


def _event_data(told: ChangeRow) -> Schema | None:
    at, data = told.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), told.data or {}
    match told.kind:
        case kind if kind == RUN:
            return _run(told, at)
        case kind if kind == DAG:
            known = {name: data[name] for name in ("new_file_name", "revision") if name in data}
            return DAGChange(at=at, name=told.dag_name or "", file_name=data["file_name"], what=data["what"], **known)
        case kind if kind == QUEUE:
            return QueueChange(at=at, queue=data["queue"])
    return None


def _run(told: ChangeRow, at: str) -> RunChange:
    status = RunStatus(told.status or 0)
    return RunChange(
        at=at,
        name=told.dag_name or "",
        dag_run_id=told.run_id or "",
        root=_root(told.root_name, told.root_run_id),
        attempt=told.attempt or 0,
        status=status,
        status_label=status.label,  # type: ignore[arg-type]  # the labels are the contract's words
        event=told.event or 0,
        removed=True if told.data else UNSET,
    )


def _root(name: str | None, run_id: str | None) -> RunName | msgspec.UnsetType:
    return UNSET if name is None or run_id is None else RunName(name=name, dag_run_id=run_id)


def output_frame(row: Mapping[str, Any], root: tuple[str, str]) -> bytes:
    """Make the frame that says how far output can be read; it has no number, for it is no row of the feed."""
    above = UNSET if row["root_id"] is None else RunName(name=root[0], dag_run_id=root[1])
    shown = LogChange(
        name=row["dag_name"],
        dag_run_id=row["run_id"],
        root=above,
        attempt=row["attempt"],
        step=row["name"],
        stream=_STREAMS[row["stream"]],
        lines=row["lines"],
        bytes=row["bytes"],
    )
    return _frame("log", shown, None)


def _frame(event: str, data: Schema, place: FeedCursor | None) -> bytes:
    number = f"id: {place}\n".encode() if place is not None else b""
    return number + b"event: " + event.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
