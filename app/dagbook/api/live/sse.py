"""Frames of server-sent events, made once for all clients. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import Literal

import msgspec
from msgspec import UNSET

from dagbook.api.schemas.batches import BatchChange
from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.runs import ChannelChange, DAGChange, LogChange, Position, QueueChange, RunChange, RunName
from dagbook.db.repositories.changes import BATCH, CHANNEL, DAG, QUEUE, RUN, ChangeRow, FeedCursor
from dagbook.db.repositories.logs.logs import GrowingStream
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_RETRY_MILLISECONDS = 2000
_MAX_FRAMES = 2**63 - 1
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


def read_cursor(text: str, field: str) -> FeedCursor:
    """Parse the event id to resume from; raises BadRequestError naming the field."""
    parts = text.split(".")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 20]  # noqa: PLR2004
    if len(numbers) != len(parts) or len(parts) > 2 or max(numbers) > _MAX_FRAMES:  # noqa: PLR2004 - xact and number
        raise BadRequestError(f"{field}: {shorten(text)} is not an event id; send the id of a received event")
    return FeedCursor(*numbers) if len(numbers) > 1 else FeedCursor(0, numbers[0])


def ready_frame(cursor: FeedCursor, *, missed: bool) -> bytes:
    """Make the first frame, ``ready``; or ``reset`` when changes before it were ``missed``."""
    event = "reset" if missed else "ready"
    return f"retry: {_RETRY_MILLISECONDS}\n".encode() + _frame(event, Position(after=str(cursor)), cursor)


def heartbeat_frame(cursor: FeedCursor) -> bytes:
    """Make the frame that is sent when there are no changes: a comment with the id to resume from, not an event."""
    return f":\nid: {cursor}\n\n".encode()


def change_frame(change: ChangeRow) -> bytes:
    """Make the frame of a change; empty for a kind that is not published."""
    at, data = change.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), change.data
    event: Schema
    match change.kind:
        case kind if kind == RUN:
            event = _run(change, at)
        case kind if kind == DAG and data.what is not None and data.what != "removed":
            event = DAGChange(at=at, name=change.dag_name or "", file_name=data.file_name, what=data.what)
            event.new_file_name, event.revision = data.new_file_name, data.revision
        case kind if kind == QUEUE:
            event = QueueChange(at=at, queue=data.queue)
        case kind if kind == CHANNEL:
            event = ChannelChange(at=at)
        case kind if kind == BATCH:
            event = BatchChange(at=at, name=change.dag_name or UNSET)
        case _:
            return b""
    return _frame(change.kind, event, change.cursor)


def _run(change: ChangeRow, at: str) -> RunChange:
    status = RunStatus(change.status or 0)
    root: RunName | msgspec.UnsetType = UNSET
    if change.root_name is not None and change.root_run_id is not None:
        root = RunName(name=change.root_name, dag_run_id=change.root_run_id)
    return RunChange(
        at=at,
        name=change.dag_name or "",
        dag_run_id=change.run_id or "",
        root=root,
        attempt=change.attempt or 0,
        status=status,
        status_label=status.label,
        event=change.event or 0,
        removed=True if change.data.what else UNSET,
    )


def output_frame(row: GrowingStream, root: tuple[str, str]) -> bytes:
    """Make the frame with the length of a step's output; it has no id, because it is not a row of the feed."""
    root_name = UNSET if row.root_id is None else RunName(name=root[0], dag_run_id=root[1])
    data = LogChange(
        name=row.dag_name,
        dag_run_id=row.run_id,
        root=root_name,
        attempt=row.attempt,
        step=row.name,
        stream=_STREAMS[row.stream],
        lines=row.lines or 0,
        bytes=row.bytes or 0,
    )
    return _frame("log", data, None)


def _frame(event: str, data: Schema, cursor: FeedCursor | None) -> bytes:
    number = f"id: {cursor}\n".encode() if cursor is not None else b""
    return number + b"event: " + event.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
