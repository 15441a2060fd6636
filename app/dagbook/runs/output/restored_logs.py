"""Output files of steps restored from their stored output, for texts that refer to them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import NodeRow
from dagbook.engine.plan import Plan
from dagbook.engine.status import NodeStatus
from dagbook.executors import registry
from dagbook.runs.output.decoding import UTF_8
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.output.spool import RunSpool
from dagbook.spec.model import Dag

_SUFFIXES = {STDOUT: (".stdout", ".out"), STDERR: (".stderr", ".err")}


class RestoredLogs:
    """Restores output of retained steps from earlier attempts; with ``lost`` that of all steps in another spool."""

    def __init__(self, database: Database, files: RunSpool, plan: Plan, encoding: str, *, lost: bool = False) -> None:
        self._database = database
        self._plan = plan
        self._encoding = encoding
        self._files = files
        self._lost = lost
        self._referenced = frozenset(_find_referenced(plan.dag))

    async def restore(self) -> None:
        """Write the missing files that texts of the definition refer to; raises OSError."""
        if not self._referenced and not self._lost:
            return
        run, attempt = self._files.key, self._files.attempt
        for node in await self._database.read(lambda connection: runs.get_nodes(connection, run, attempt)):
            source = node.log_attempt or (attempt if self._lost and node.execution else None)
            for stream in STDOUT, STDERR:
                continues = self._lost and node.status is NodeStatus.RUNNING
                if source and (continues or (node.position, stream) in self._referenced):
                    await self._restore(node, StreamKey(run, source, node.position, stream), continues=continues)

    async def _restore(self, node: NodeRow, key: StreamKey, *, continues: bool) -> None:
        path = Path(self._files.node_base(key.position, node.name) + _SUFFIXES[key.stream][1])
        part = await asyncio.to_thread(_create_file, path)
        if part is None:
            return
        step = self._plan.step(key.position)
        encoding = self._encoding if step.executor.type in registry.PROGRAM_ENCODING_TYPES else UTF_8

        def append(texts: list[str]) -> None:
            with part.open("a", encoding=encoding, errors="replace", newline="") as file:
                file.writelines(texts)

        seq = 0
        while texts := await self._database.read(partial(logs.find_texts, key=key, seq=seq)):
            await asyncio.to_thread(append, texts)
            seq += len(texts)
        if continues:  # offsets are those of the original bytes, and masking has changed the length
            end = await self._database.read(lambda connection: logs.get_end(connection, key))
            await asyncio.to_thread(os.truncate, part, end.next_byte)
        await asyncio.to_thread(part.rename, path)


def _create_file(path: Path) -> Path | None:
    """Create an empty temporary file, to be renamed when complete; None if ``path`` exists already."""
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = Path(f"{path}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    return part


def _find_referenced(dag: Dag) -> Iterator[tuple[int, int]]:
    """Yield the steps and streams whose files a text of the DAG may refer to."""
    texts = msgspec.json.encode(dag)
    for key, step in enumerate(dag.steps):
        for stream, (suffix, _) in _SUFFIXES.items():
            if step.id and f"{step.id}{suffix}".encode() in texts:
                yield key, stream
