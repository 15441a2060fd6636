"""The output of steps that a retry keeps, put back into files for those steps that read ``${id.stdout}``.

The files of an attempt go when it ends, for all that is in them is stored. Later steps of a retry may still be
told their paths, so these have to lead somewhere again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from app.db.database import Database
from app.db.repositories import logs, runs
from app.db.repositories.logs import StreamKey
from app.executors import registry
from app.runs.decoding import UTF_8
from app.runs.files import RunFiles
from app.runs.spool import STDERR, STDOUT
from app.spec.model import Dag

_SUFFIXES = {STDOUT: (".stdout", ".out"), STDERR: (".stderr", ".err")}


class KeptLogs:
    """Files of what kept steps wrote in earlier attempts."""

    def __init__(self, database: Database, files: RunFiles, dag: Dag, encoding: str) -> None:
        self._database = database
        self._dag = dag
        self._encoding = encoding
        self._files = files
        self._wanted = frozenset(_find_read(dag)) if files.attempt > 1 else frozenset()

    async def restore(self) -> None:
        """Write those files that texts of the definition name, unless they are there; raises OSError."""
        if not self._wanted:
            return
        run, attempt = self._files.key, self._files.attempt
        for node in await self._database.read(lambda connection: runs.get_nodes(connection, run, attempt)):
            for stream in STDOUT, STDERR:
                if node["log_attempt"] and (node["position"], stream) in self._wanted:
                    await self._restore(node, StreamKey(run, node["log_attempt"], node["position"], stream))

    async def _restore(self, node: Any, key: StreamKey) -> None:
        path = Path(self._files.node_base(key.position, node["name"]) + _SUFFIXES[key.stream][1])
        part = await asyncio.to_thread(_begin, path)
        if part is None:
            return
        step = self._dag.steps[key.position]
        encoding = self._encoding if registry.is_foreign(step.executor.type) else UTF_8
        seq = 0
        while texts := await self._database.read(partial(logs.find_texts, key=key, seq=seq)):
            await asyncio.to_thread(_append, part, texts, encoding)
            seq += len(texts)
        await asyncio.to_thread(part.rename, path)


def _begin(path: Path) -> Path | None:
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
