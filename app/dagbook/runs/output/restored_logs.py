"""Stored output, put back into files where these are gone.

The files of an attempt go when it ends, for all that is in them is stored. Later steps of a retry may still be told
their paths (``${id.stdout}``), so these have to lead somewhere again. The same holds when a run is taken over whose
files are in another spool; and a step that is retried there goes on behind what is stored of its output.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs
from dagbook.engine.plan import Plan
from dagbook.executors import registry
from dagbook.runs.output.decoding import UTF_8
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.output.spool_paths import RunSpool
from dagbook.spec.model import Dag

_RUNNING = 1
_SUFFIXES = {STDOUT: (".stdout", ".out"), STDERR: (".stderr", ".err")}


class RestoredLogs:
    """Files of what kept steps wrote in earlier attempts, or with ``lost`` of what any step wrote in another spool."""

    def __init__(self, database: Database, files: RunSpool, plan: Plan, encoding: str, *, lost: bool = False) -> None:
        self._database = database
        self._plan = plan
        self._encoding = encoding
        self._files = files
        self._lost = lost
        self._wanted = frozenset(_find_read(plan.dag)) if lost or files.attempt > 1 else frozenset()

    async def restore(self) -> None:
        """Write those files that texts of the definition name, unless they are there; raises OSError."""
        if not self._wanted and not self._lost:
            return
        run, attempt = self._files.key, self._files.attempt
        for node in await self._database.read(lambda connection: runs.get_nodes(connection, run, attempt)):
            source = node["log_attempt"] or (attempt if self._lost and node["execution"] else None)
            for stream in STDOUT, STDERR:
                goes_on = self._lost and node["status"] == _RUNNING
                if source and (goes_on or (node["position"], stream) in self._wanted):
                    await self._restore(node, StreamKey(run, source, node["position"], stream), goes_on=goes_on)

    async def _restore(self, node: Any, key: StreamKey, *, goes_on: bool) -> None:
        path = Path(self._files.node_base(key.position, node["name"]) + _SUFFIXES[key.stream][1])
        part = await asyncio.to_thread(_create_file, path)
        if part is None:
            return
        step = self._plan.step(key.position)
        encoding = self._encoding if registry.uses_program_encoding(step.executor.type) else UTF_8
        seq = 0
        while texts := await self._database.read(partial(logs.find_texts, key=key, seq=seq)):
            await asyncio.to_thread(_append, part, texts, encoding)
            seq += len(texts)
        if goes_on:  # offsets are those of the bytes that were written, of which masking has changed some
            end = await self._database.read(lambda connection: logs.get_end(connection, key))
            await asyncio.to_thread(os.truncate, part, end.next_byte)
        await asyncio.to_thread(part.rename, path)


def _create_file(path: Path) -> Path | None:
    """Make an empty file to become this one when it is whole; None when that is there already."""
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = Path(f"{path}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    return part


def _append(path: Path, texts: list[str], encoding: str) -> None:
    with path.open("a", encoding=encoding, errors="replace", newline="") as file:
        file.writelines(texts)


def _find_read(dag: Dag) -> Iterator[tuple[int, int]]:
    """Find the steps and streams whose files may be named by a text."""
    texts = msgspec.json.encode(dag)
    for key, step in enumerate(dag.steps):
        for stream, (suffix, _) in _SUFFIXES.items():
            if step.id and f"{step.id}{suffix}".encode() in texts:
                yield key, stream
