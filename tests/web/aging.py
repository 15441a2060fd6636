"""Runs of long ago, which no server under test could have made in time."""

from __future__ import annotations

from datetime import UTC, datetime

from dagbook.db.database import Database
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
