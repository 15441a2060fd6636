"""What a server leaves in the spool when it dies between a run's last commit and the removal of its files."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

from app.db.database import Database
from app.db.repositories import runs

_GROUP = 1000  # both engines limit the parameters of a statement


async def remove_remains(database: Database, spool: Path) -> None:
    """Remove the files of runs that are over; what belongs to no run of this database is left alone."""
    found = await asyncio.to_thread(_list_keys, spool)
    for begin in range(0, len(found), _GROUP):
        for key in await database.read(partial(runs.find_over, keys=found[begin : begin + _GROUP])):
            await asyncio.to_thread(shutil.rmtree, spool / str(key), ignore_errors=True)


def _list_keys(spool: Path) -> list[int]:
    return [int(entry.name) for entry in spool.iterdir() if entry.name.isdecimal()]
