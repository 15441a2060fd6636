"""Who is alive: one row for each server, renewed with one statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, update

from app.db.database import WriteConnection
from app.db.models.service import Service


def add(connection: WriteConnection, row: dict[str, Any]) -> None:
    """Register a server."""
    connection.execute(insert(Service).values(**row))


def renew(connection: WriteConnection, service: str, at: datetime, lease_until: datetime) -> None:
    """Extend a server's lease."""
    connection.execute(update(Service).where(Service.id == service).values(heartbeat_at=at, lease_until=lease_until))


def stop(connection: WriteConnection, service: str, at: datetime, lease_until: datetime) -> None:
    """Note that a server has stopped; the lease covers the steps that go on without it."""
    connection.execute(
        update(Service).where(Service.id == service).values(stopped_at=at, heartbeat_at=at, lease_until=lease_until)
    )
