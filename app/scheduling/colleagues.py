"""The other schedulers on one database, as this one sees them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from app.db.repositories.reading import Row
from app.executors import proc
from app.executors.proc import ProcessId
from app.runs.ground import Identity


def ahead_of(me: str, schedulers: Iterable[Row], now: datetime) -> list[Row]:
    """Give those that look at a minute before this one, as far as their leases tell."""
    return [row for row in schedulers if row["id"] < me and row["lease_until"] >= now]


def may_live(scheduler: Row, me: Identity) -> bool:
    """Say whether a scheduler may be alive: of one on this machine its process tells, long before its lease ends."""
    if (scheduler["host"], scheduler["boot_id"], scheduler["pid_namespace"]) != (me.host, me.boot_id, me.pid_namespace):
        return True
    return proc.is_alive(ProcessId(scheduler["pid"], scheduler["pid_started"]))
