"""Reads of stored DAGs that several entry points share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dagbook.db.database import Database
from dagbook.db.repositories import dags
from dagbook.db.repositories.dags import DagRow
from dagbook.errors import NotFoundError
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import Loaded


def load_stored(library: DefinitionCache, row: DagRow) -> Loaded:
    """Parse the definition of a stored DAG, valid or not."""
    return library.read(row.spec or "", name=row.file_name)


async def parse_missing(library: DefinitionCache, rows: Sequence[DagRow]) -> None:
    """Parse the definitions of stored DAGs that are not cached, in a thread: a thousand of them take seconds."""
    missing = [row for row in rows if not library.is_cached(row.spec or "", name=row.file_name)]
    if missing:
        await asyncio.to_thread(lambda: [load_stored(library, row) for row in missing])


async def require_dag(database: Database, file_name: str) -> DagRow:
    """Return a stored DAG; raises NotFoundError."""
    name = strip_suffix(file_name)
    row = None
    if is_name(name):
        row = await database.read_inline(lambda connection: dags.get(connection, name))
    if row is None:
        raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
    return row
