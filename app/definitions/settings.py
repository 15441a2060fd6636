"""Use case: what is set for a stored DAG beside its definition."""

from __future__ import annotations

from typing import Any

import msgspec

from app.auth.audit_context import Action, Actor, dag_action
from app.clock import Clock
from app.db.database import Database, WriteConnection
from app.db.repositories import audit, changes, schedules
from app.db.repositories.reading import Row
from app.errors import BadRequestError

CATCHUPS = ("none", "latest", "all")
MOST_MADE_UP = 1_000  # missed starts of one DAG that are made up at a time
DEFAULT_WINDOW_SECONDS = 24 * 60 * 60
_SHORTEST_SECONDS, _LONGEST_SECONDS = 60, 31 * 24 * 60 * 60


class DagSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which missed starts are made up, and how many seconds they may be ago."""

    catchup: str = "none"
    catchup_window_seconds: int = DEFAULT_WINDOW_SECONDS


class SettingsOfDags:
    """Reads and changes them."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def get(self, dag: Row) -> DagSettings:
        """Return what is set for a stored DAG."""
        row = await self._database.glance(lambda connection: schedules.get_setting(connection, dag["id"]))
        if row is None:
            return DagSettings()
        return DagSettings(catchup=row["catchup"], catchup_window_seconds=row["catchup_window_seconds"])

    async def put(self, dag: Row, wanted: DagSettings, origin: Actor) -> None:
        """Set it anew; raises BadRequestError."""
        _check(wanted)
        found = await self.get(dag)
        if found == wanted:
            return
        before, after = msgspec.structs.asdict(found), msgspec.structs.asdict(wanted)
        now = self._now()
        row = after | {"dag_id": dag["id"], "updated_at": now, "updated_by": origin.label}
        entry = origin.entry(dag_action(Action.DAG_SETTINGS, dag["file_name"], before, after), now)
        await self._database.write(lambda connection: _put(connection, dag, row, entry))


def _put(connection: WriteConnection, dag: Row, row: dict[str, Any], entry: Row) -> None:
    schedules.put_setting(connection, row)
    changes.tell_dag(connection, dag["dag_name"], "configured", file_name=dag["file_name"])
    audit.add(connection, entry)


def _check(wanted: DagSettings) -> None:
    if wanted.catchup not in CATCHUPS:
        raise BadRequestError(f"catchup: must be one of {', '.join(CATCHUPS)}")
    if not _SHORTEST_SECONDS <= wanted.catchup_window_seconds <= _LONGEST_SECONDS:
        raise BadRequestError(
            f"catchupWindowSec: must be from {_SHORTEST_SECONDS} seconds to {_LONGEST_SECONDS:,} (31 days)"
        )
