"""The database behind a server, looked at and prepared from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from app.db.database import WriteConnection
from app.db.upgrade import upgrade
from app.torture.place import make_database
from app.torture.store import everything, query, with_database

__all__ = ["everything", "make_database", "migrate", "query", "with_database", "write"]
T = TypeVar("T")


def write(url: str, work: Callable[[WriteConnection], T]) -> T:
    """Change rows in one transaction."""
    return with_database(url, lambda database: database.write(work))


def migrate(url: str) -> None:
    """Make the tables."""
    asyncio.run(upgrade(url))
