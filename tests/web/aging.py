"""Runs of long ago and starts by schedule, which no server under test could have made in time."""

from __future__ import annotations

from datetime import UTC, datetime

from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import dags
from dagbook.db.repositories.runs import runs
from tests.db.rows import add_slot
from tests.maintenance.history import Past, add_past
from tests.web.site import Site


async def add_old_runs(site: Site, name: str, keys: list[int], *, days_ago: float, status: int = 4) -> None:
    """Store runs that ended so many days ago, with logs, beside the running server."""
    now = datetime.now(UTC)
    runs = [Past(key=key, name=name, days_ago=days_ago, status=status, log_bytes=50_000, now=now) for key in keys]
    database = await Database.open(site.program.database_url)
    try:
        await database.write(lambda connection: add_past(connection, runs))
    finally:
        await database.close()


async def add_start(site: Site, name: str, run_id: str) -> None:
    """Store that a schedule of a stored DAG has started a run in this minute, beside the running server."""
    now = datetime.now(UTC)

    def add(connection: WriteConnection) -> None:
        stored = dags.get(connection, name)
        run = runs.get(connection, name, run_id)
        assert stored
        assert run
        minute = now.replace(second=0, microsecond=0)
        add_slot(
            connection,
            dag_id=stored.id,
            file_name=name,
            run_id=run.id,
            outcome="started",
            minute=minute,
            settled_at=now,
        )

    database = await Database.open(site.program.database_url)
    try:
        await database.write(add)
    finally:
        await database.close()
