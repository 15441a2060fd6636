"""What is left on this machine of runs that are over: files, and processes that nobody waits for.

A server that dies between a run's last commit and the removal of its files leaves them; one that was thought
dead finds that its runs were ended in the meantime, while their steps went on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dagbook.db.database import Database
from dagbook.db.repositories.runs import runs
from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.process import process
from dagbook.runs.output.spool_paths import RunSpool, spooled_runs
from dagbook.runs.runner.shared_resources import release_noted

_NOTED_SECONDS = 4.0  # the lease of this server is renewed behind it
_GROUP = 1000  # both engines limit the parameters of a statement


async def clean_up_finished_runs(database: Database, spool: Path, keys: Sequence[int] | None = None) -> None:
    """End the processes and remove the files of those runs that are over; by default of all that have files.

    What belongs to no run of this database is left alone: others may share the folder.
    """
    found = await asyncio.to_thread(spooled_runs, spool) if keys is None else keys
    for begin in range(0, len(found), _GROUP):
        over = await database.read(partial(runs.find_finished, keys=found[begin : begin + _GROUP]))
        ended = [RunSpool(spool, key, attempt) for key, attempt in over.items()]
        notes = [note for files in ended for note in await asyncio.to_thread(files.pending_notes)]
        await release_noted(notes, _NOTED_SECONDS)
        for files in ended:
            await asyncio.to_thread(_remove, files)


def _remove(files: RunSpool) -> None:
    for started in files.find("*.started"):
        base = str(started).removesuffix(".started")
        process.kill_abandoned(ExecutionFiles(base, files.spool, files.spool))
    files.remove_all()
