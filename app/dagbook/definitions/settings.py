"""Settings of a DAG that are not part of its definition: its catch-up, and the account of its commands."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec

from dagbook.auth.audit_context import Action, Actor, dag_action
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes, dags, schedules
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.schedules import SettingRow
from dagbook.db.types import CatchUp
from dagbook.errors import BadRequestError
from dagbook.unix import unix_accounts
from dagbook.unix.unix_accounts import AccountError

CATCHUPS: tuple[CatchUp, ...] = get_args(CatchUp)
MAX_CATCH_UP = 1_000  # missed starts of one DAG that are caught up at a time
DEFAULT_WINDOW_SECONDS = 24 * 60 * 60
_MIN_SECONDS, _MAX_SECONDS = 60, 31 * 24 * 60 * 60


class DagSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which missed starts are caught up, and their maximum age in seconds."""

    catchup: CatchUp = "none"
    catchup_window_seconds: int = DEFAULT_WINDOW_SECONDS


class DagSettingsService:
    def __init__(self, database: Database, now: Clock, home: Path, run_as: str) -> None:
        self._database = database
        self._now = now
        self._home = home
        self.run_as = run_as  # the account of DAGs without their own; empty for that of the server

    async def get(self, dag: DagRow) -> DagSettings:
        row = await self._database.read_inline(lambda connection: schedules.get_setting(connection, dag.id))
        if row is None:
            return DagSettings()
        return DagSettings(catchup=row.catchup, catchup_window_seconds=row.catchup_window_seconds)

    async def put(self, dag: DagRow, new: DagSettings, actor: Actor) -> None:
        """Replace the settings; raises BadRequestError."""
        if new.catchup not in CATCHUPS:
            raise BadRequestError(f"catchup: must be one of {', '.join(CATCHUPS)}")
        if not _MIN_SECONDS <= new.catchup_window_seconds <= _MAX_SECONDS:
            limits = f"must be from {_MIN_SECONDS} seconds to {_MAX_SECONDS:,} (31 days)"
            raise BadRequestError(f"catchupWindowSec: {limits}")
        found = await self.get(dag)
        if found == new:
            return
        before, after = msgspec.structs.asdict(found), msgspec.structs.asdict(new)
        now = self._now()
        row = SettingRow(dag_id=dag.id, **after, updated_at=now, updated_by=actor.label)
        entry = actor.entry(dag_action(Action.DAG_SETTINGS, dag.file_name, before, after), now)

        def work(connection: WriteConnection) -> None:
            schedules.put_setting(connection, row)
            data = changes.ChangeData(what="configured", file_name=dag.file_name)
            changes.add_dag_change(connection, dag.dag_name, data)
            audit.add(connection, entry)

        await self._database.write(work)

    async def put_run_as(self, dag: DagRow, account: str, actor: Actor) -> None:
        """Give a DAG the account of its commands, "" for that of the settings; raises BadRequestError."""
        if account:
            try:
                unix_accounts.require_closed(account, self._home)
            except AccountError as error:
                raise BadRequestError(f"account: {error.reason}") from error
        after, now = account or None, self._now()

        def work(connection: WriteConnection) -> None:
            before = dags.set_run_as(connection, dag.file_name, after)
            if before is not None and before.run_as != after:
                states = {"account": before.run_as}, {"account": after}
                audit.add(connection, actor.entry(dag_action(Action.DAG_RUN_AS, dag.file_name, *states), now))

        await self._database.write(work)
