"""Clean-up of the spool after finished runs: left-over files, and processes without an owner.

A server that dies between the last commit of a run and the removal of its files leaves them behind. A server that was
considered dead may find that its runs were finished by others while their steps continued.
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

_NOTED_SECONDS = 4.0  # the next renewal of this server's lease waits for it
_GROUP = 1000  # both engines limit the parameters of a statement


async def clean_up_finished_runs(database: Database, spool: Path, keys: Sequence[int] | None = None) -> None:
    """Kill the processes and remove the files of those runs that have finished; by default of all with spool files.

    Files that belong to no run of this database are left alone: servers of another database may share the directory.
    """
    found = await asyncio.to_thread(spooled_runs, spool) if keys is None else keys
    for begin in range(0, len(found), _GROUP):
        finished = await database.read(partial(runs.find_finished, keys=found[begin : begin + _GROUP]))
        spools = [RunSpool(spool, key, attempt) for key, attempt in finished.items()]
        notes = [note for files in spools for note in await asyncio.to_thread(files.pending_notes)]
        await release_noted(notes, _NOTED_SECONDS)
        for files in spools:
            await asyncio.to_thread(_remove, files)


def _remove(files: RunSpool) -> None:
    for started in files.find("*.started"):
        base = str(started).removesuffix(".started")
        process.kill_abandoned(ExecutionFiles(base, files.spool, files.spool))
    files.remove_all()
