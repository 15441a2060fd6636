"""The use case of the retention that is set for a DAG."""

from __future__ import annotations

from dagbook.auth.audit_context import Action, Actor, dag_action
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, dags, retention
from dagbook.db.repositories.retention import LimitsRow
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten
from dagbook.maintenance.retention.limits import RetentionSettings, check_limits


class DagRetentionService:
    """Sets the retention of DAGs, which overrides their definitions and the server's settings."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def put(self, file_name: str, settings: RetentionSettings, actor: Actor) -> LimitsRow | None:
        """Replace the settings of a DAG; settings without values delete them, and None is returned.

        Raises BadRequestError, and NotFoundError when there is no such DAG.
        """
        check_limits(settings)
        now = self._now()

        def work(connection: WriteConnection) -> LimitsRow | None:
            dag = dags.get(connection, file_name)
            if dag is None:
                raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
            before = retention.get_limits(connection, dag.id)
            old = (
                None
                if before is None
                else {name: getattr(before, name) for name in RetentionSettings.__struct_fields__}
            )
            limits = {name: getattr(settings, name) for name in RetentionSettings.__struct_fields__}
            audit_action = dag_action(
                Action.DAG_RETENTION, file_name, old, None if settings == RetentionSettings() else limits
            )
            audit.add(connection, actor.entry(audit_action, now))
            if settings == RetentionSettings():
                retention.remove_limits(connection, dag.id)
                return None
            row = LimitsRow(dag_id=dag.id, **limits, set_at=now, set_by=actor.label)
            retention.put_limits(connection, row)
            return row

        return await self._database.write(work)
