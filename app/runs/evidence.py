"""What of a run's rows goes into a mail: the commands of its steps, and their logs as far as there is room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.db.database import ReadConnection
from app.db.repositories import logs, runs
from app.db.repositories.logs import StreamKey
from app.executors.letter import Attachment
from app.runs.notices import divide
from app.runs.run import OwnedRun
from app.runs.spool import STDOUT

LOGS_BYTES = 5 * 1024 * 1024  # encoded they are a third larger, and many servers take no more than 10 MB


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluated commands by position, and the logs that are attached."""

    commands: Mapping[int, str]
    logs: tuple[Attachment, ...] = ()


def read(connection: ReadConnection, run: OwnedRun, *, with_logs: bool) -> Evidence:
    """Read what a mail about a run tells beside its state."""
    nodes = runs.get_nodes(connection, run.key, run.attempt)
    names = {row["position"]: row["name"] for row in nodes if row["position"] >= 0}
    commands = {row["position"]: _command(row["shown"]) for row in nodes if row["shown"]}
    return Evidence(commands=commands, logs=_read_logs(connection, run, names) if with_logs else ())


def _command(shown: Mapping[str, Any]) -> str:
    return " ".join((shown.get("command", ""), *shown.get("args", ())))


def _read_logs(connection: ReadConnection, run: OwnedRun, names: Mapping[int, str]) -> tuple[Attachment, ...]:
    """Read what the steps, not the handlers, have written to stdout."""
    sizes = logs.count_bytes(connection, run.key, run.attempt, STDOUT)
    parts = divide({key: size for key, size in sizes.items() if key in names}, LOGS_BYTES)
    found = []
    for key in sorted(parts):
        start = sizes[key] - parts[key]
        data = logs.read_from(connection, StreamKey(run.key, run.attempt, key, STDOUT), start)
        found.append(Attachment(f"{names[key].replace('/', '_')}.out", cut(data, start), "text/plain"))
    return tuple(found)


def cut(data: bytes, start: int) -> bytes:
    """Let the end of a log begin with a whole line, and say what is missing before it."""
    if not start:
        return data
    skipped, newline, rest = data.partition(b"\n")
    if not newline:  # one line that is longer than the room for it
        return b"[the first %d bytes are left out]\n" % start + data
    return b"[the first %d bytes are left out]\n" % (start + len(skipped) + 1) + rest
