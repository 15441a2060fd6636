"""One sync of a source: read its files, plan, and store what is new, in transactions of a bounded size.

Each sync compares the rows with the files again, so one that was interrupted at any point is completed by the
next one. Each transaction checks again that the DAGs which it changes are those of the plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Protocol, TypeVar

import msgspec

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import sources
from dagbook.db.repositories.sources import GIT, SourceFileRow, SourceRow, TakenName
from dagbook.sources.git import Checkout, Commit, GitTree, Repository
from dagbook.sources.plan import (
    Listing,
    Plan,
    Refusal,
    Removal,
    Storing,
    Terms,
    Text,
    ToRead,
    find_problems,
    names_of,
    plan,
    settle,
)
from dagbook.sources.store import Change, Stored, SyncCounts, apply
from dagbook.sources.tree import DirectoryTree
from dagbook.spec.reading.definition_cache import DefinitionCache

T = TypeVar("T")
_BATCH = 20  # files of one transaction: other writes wait for it
_MAX_BROKEN = 50_000  # remembered contents with problems


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where checkouts are, which protocols git may use, and after how many days DAGs of removed files are deleted."""

    directory: Path
    protocols: tuple[str, ...]
    remove_days: int = 0


class Progress(msgspec.Struct):
    """How many files of a sync are done, of how many."""

    done: int = 0
    total: int = 0


class OpenSource(Protocol):
    """The files of a source at one time."""

    @property
    def listing(self) -> Listing: ...
    @property
    def commit(self) -> str | None: ...
    async def read_texts(self, paths: Sequence[str]) -> Mapping[str, Text]: ...
    def change_of(self, path: str) -> Change: ...


class OpenDirectory:
    """A directory as it is now."""

    commit = None

    def __init__(self, source: SourceRow, tree: DirectoryTree, listing: Listing) -> None:
        self._source = source
        self._tree = tree
        self.listing = listing

    async def read_texts(self, paths: Sequence[str]) -> Mapping[str, Text]:
        """Read the texts of some files, in a thread."""
        return await asyncio.to_thread(lambda: {path: self._tree.read_text(path) for path in paths})

    def change_of(self, path: str) -> Change:
        """Return the author and note of a file's revision."""
        return Change(author=self._source.name, note=f"{path} of the source {self._source.name}")


class OpenCommit:
    """The newest commit of a repository."""

    def __init__(self, source: SourceRow, tree: GitTree, commits: Mapping[str, Commit], closing: Event) -> None:
        self._source = source
        self._tree = tree
        self._commits = commits
        self.listing = tree.list_files(closing)
        self.commit = tree.commit

    async def read_texts(self, paths: Sequence[str]) -> Mapping[str, Text]:
        """Read the texts of some files from the commit."""
        return await self._tree.read_texts(paths)

    def change_of(self, path: str) -> Change:
        """Return author, message and id of the last commit that changed a file."""
        found = self._commits.get(path)
        if found is None:  # it is older than the commits that were fetched
            return Change(author=self._source.name, note=f"{path} of {self._source.place}", commit=self.commit)
        return Change(author=found.author or self._source.name, note=found.message, commit=found.id)


def root_of(source: SourceRow, settings: SourceSettings) -> Path:
    """Return the directory of a source's files on this machine."""
    place = settings.directory / source.name if source.kind == GIT else Path(source.place)
    return place / source.path if source.path else place


def checkout_of(source: SourceRow, settings: SourceSettings) -> Checkout:
    """Return the clone of a repository on this machine."""
    repository = Repository(
        place=source.place,
        branch=source.branch,
        path=source.path,
        protocols=settings.protocols,
        credentials=source.credentials,
    )
    return Checkout(repository, settings.directory / source.name)


class Syncer:
    """Syncs one source after the other; the caller sees to it that no two sync the same one."""

    def __init__(
        self, database: Database, library: DefinitionCache, now: Callable[[], datetime], settings: SourceSettings
    ) -> None:
        self._database = database
        self._library = library
        self._now = now
        self._settings = settings
        self._broken: dict[int, set[tuple[str, str]]] = {}  # by the key of the source

    async def sync(self, source: SourceRow, opened: OpenSource, progress: Progress) -> SyncCounts:
        """Store what a source has now; returns what was done."""
        broken = self._broken.setdefault(source.id, set())
        terms = Terms(
            source=source.name,
            directory=str(root_of(source, self._settings)),
            now=self._now(),
            remove_days=self._settings.remove_days,
            adopts=source.adopt,
            broken=broken,
        )
        found = await self._plan(source, opened.listing, terms)
        progress.total = len(found.to_read) + len(found.refusals) + len(found.removals)
        counts = SyncCounts()
        for reads in _batches(found.to_read):
            decided = await self._decide(reads, opened, broken)
            counts += await self._write(source, [Stored(one, opened.change_of(one.file.path)) for one in decided])
            progress.done += len(reads)
        rest: list[Refusal | Removal] = [*found.refusals, *found.removals]
        for others in _batches(rest):
            change = Change(author=source.name, note="", commit=opened.commit)
            counts += await self._write(source, [Stored(one, change) for one in others])
            progress.done += len(others)
        at = self._now()
        await self._database.write(lambda connection: sources.put_outcome(connection, source.id, at, opened.commit))
        return counts

    async def _plan(self, source: SourceRow, listing: Listing, terms: Terms) -> Plan:
        names = names_of(listing)

        def read(connection: ReadConnection) -> tuple[Sequence[SourceFileRow], dict[str, TakenName]]:
            return sources.find_files(connection, source.id), sources.find_taken(connection, names)

        rows, taken = await self._database.read(read)
        return await asyncio.to_thread(plan, listing, rows, taken, terms)

    async def _decide(
        self, reads: Sequence[ToRead], opened: OpenSource, broken: set[tuple[str, str]]
    ) -> list[Storing | Refusal]:
        texts = await opened.read_texts([read.file.path for read in reads])
        decided = []
        for read in reads:
            text = texts.get(read.file.path)
            if text is None:
                continue
            loaded = await self._library.read_aside(text.text, name=read.name)
            if find_problems(text, loaded) and text.content and len(broken) < _MAX_BROKEN:
                broken.add((read.file.path, text.content))
            decided.append(settle(read, text, loaded))
        return decided

    async def _write(self, source: SourceRow, batch: Sequence[Stored]) -> SyncCounts:
        at = self._now()

        def work(connection: WriteConnection) -> SyncCounts:
            return apply(connection, source, batch, at)

        return await self._database.write(work)


def _batches(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[begin : begin + _BATCH] for begin in range(0, len(items), _BATCH)]
