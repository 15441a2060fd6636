"""Use cases of sources: add, remove and sync them, check signatures of Git hosts, and write files of directories."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.repositories import audit, sources
from dagbook.db.repositories.sources import GIT, DagOrigin, NewSource, SourceCounts, SourceRow
from dagbook.db.single_flight import SingleFlight
from dagbook.errors import (
    AlreadyExistsError,
    BadRequestError,
    NotFoundError,
    OutdatedError,
    UnavailableError,
)
from dagbook.identifiers import shorten
from dagbook.sources.places import check_source, is_source_name
from dagbook.sources.signatures import ReadBody, WrongSignatures, check_secret, is_signed
from dagbook.sources.sync import OpenCommit, OpenDirectory, Progress, SourceSettings, Syncer, checkout_of, root_of
from dagbook.sources.tree import DirectoryTree, SourceError
from dagbook.spec.reading.definition_cache import DefinitionCache

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 20.0  # for a sync, in a request
_PATIENCE_SECONDS, _PAUSE_SECONDS = 60.0, 0.5  # for a sync of another server
_FETCHES, _SYNCS = 8, 4  # at a time, of one process
_MAX_SOURCES = 500


class Sealer(Protocol):
    """Encrypts what is stored."""

    def encrypt(self, data: bytes, about: str) -> bytes: ...
    def decrypt(self, encrypted: bytes, about: str) -> bytes: ...


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A source, the numbers of its files, and its sync in this process, if there is one."""

    row: SourceRow
    counts: SourceCounts
    progress: Progress | None


class Sources:
    """The sources of a database, as one process reads them."""

    def __init__(
        self,
        database: Database,
        library: DefinitionCache,
        now: Callable[[], datetime],
        settings: SourceSettings,
        sealer: Sealer,
    ) -> None:
        self._database = database
        self._now = now
        self._settings = settings
        self._sealer = sealer
        self._syncer = Syncer(database, library, now, settings)
        self._flights: dict[str, SingleFlight[None]] = {}
        self._progress: dict[str, Progress] = {}
        self._active: set[asyncio.Task[object]] = set()
        self._requested: set[asyncio.Task[object]] = set()
        self._fetching, self._syncing = asyncio.Semaphore(_FETCHES), asyncio.Semaphore(_SYNCS)
        self._hooks: dict[str, Actor] = {}  # of syncs that have not started, by source
        self._wrong = WrongSignatures()
        self._closing = Event()  # threads look at it, too
        self.on_change: Callable[[], None] = lambda: None  # is called when a source was added or removed here

    # -- sources ---------------------------------------------------------------------------------------------------

    async def find(self) -> list[SourceStatus]:
        """Return all sources, by name."""

        def read(connection: ReadConnection) -> tuple[Sequence[SourceRow], dict[int, SourceCounts]]:
            return sources.find(connection), sources.count_files(connection)

        rows, counts = await self._database.read(read)
        return [self._status(row, counts) for row in rows]

    async def get(self, name: str) -> SourceStatus:
        """Return a source; raises NotFoundError."""
        row = await self.require(name)
        return self._status(row, await self._database.read(sources.count_files))

    def _status(self, row: SourceRow, counts: Mapping[int, SourceCounts]) -> SourceStatus:
        return SourceStatus(row=row, counts=counts.get(row.id, SourceCounts()), progress=self._progress.get(row.name))

    async def require(self, name: str) -> SourceRow:
        """Return the row of a source; raises NotFoundError."""
        row = await self._find(name)
        if row is None:
            raise NotFoundError(f"there is no source named {shorten(name)}")
        return row

    async def _find(self, name: str) -> SourceRow | None:
        if not is_source_name(name):  # PostgreSQL would refuse one with a NUL
            return None
        return await self._database.read_inline(lambda connection: sources.get(connection, name))

    async def add(self, new: NewSource, secret: str, actor: Actor) -> SourceRow:
        """Store a source; its first sync is up to the caller. Raises BadRequestError and AlreadyExistsError."""
        source = self._seal(check_source(new, self._settings.protocols), secret)
        now = self._now()
        entry = actor.entry(_action(Action.SOURCE_CREATE, source.name, after=_shown(source)), now)

        def work(connection: WriteConnection) -> bool:
            if len(sources.find(connection)) >= _MAX_SOURCES:
                raise BadRequestError(f"name: there are {_MAX_SOURCES} sources, the most that are possible")
            if not sources.add(connection, source, actor.label, now):
                return False
            audit.add(connection, entry)
            return True

        if not await self._database.write(work):
            raise AlreadyExistsError(f"a source named {shorten(source.name)} exists already")
        self.on_change()
        return await self.require(source.name)

    async def remove(self, name: str, actor: Actor) -> None:
        """Delete a source; its DAGs stay and can be changed.

        Raises NotFoundError, and BadRequestError for one that is in the setting.
        """
        row = await self.require(name)
        if row.configured:
            raise BadRequestError(f"name: {shorten(name)} is in the setting sources; remove it there and restart")
        await self._remove(row, actor)
        self.on_change()

    async def _remove(self, row: SourceRow, actor: Actor) -> None:
        entry = actor.entry(_action(Action.SOURCE_DELETE, row.name, before=_shown(row)), self._now())

        def work(connection: WriteConnection) -> None:
            sources.remove(connection, row.name)
            audit.add(connection, entry)

        await self._database.write(work)

    async def configure(self, configured: Mapping[str, tuple[NewSource, str]], actor: Actor) -> None:
        """Make the sources those of a setting, each valid and with its hook secret.

        Sources that were in the setting before are removed, those that were added by a request stay.
        """
        rows = {row.name: row for row in await self._database.read(sources.find)}
        for row in rows.values():
            if row.configured and row.name not in configured:
                await self._remove(row, actor)
        for name, (new, secret) in configured.items():
            known = rows.get(name)
            if known is None or _shown(known) != _shown(new) or self._secret_of(known) != secret:
                await self._put(self._seal(new, secret), known, actor)

    async def _put(self, source: NewSource, known: SourceRow | None, actor: Actor) -> None:
        now = self._now()
        action = Action.SOURCE_CREATE if known is None else Action.SOURCE_UPDATE
        entry = actor.entry(_action(action, source.name, None if known is None else _shown(known), _shown(source)), now)

        def work(connection: WriteConnection) -> None:
            if known is not None:
                sources.replace(connection, source)
            elif not sources.add(connection, source, actor.label, now):
                return  # another server was first
            audit.add(connection, entry)

        await self._database.write(work)

    def _seal(self, source: NewSource, secret: str) -> NewSource:
        if not secret:
            return source
        check_secret(secret)
        sealed = self._sealer.encrypt(secret.encode(), f"source {source.name}")
        return msgspec.structs.replace(source, hook_secret=sealed)

    def _secret_of(self, row: SourceRow) -> str:
        if row.hook_secret is None:
            return ""
        return self._sealer.decrypt(row.hook_secret, f"source {row.name}").decode()

    # -- syncs -----------------------------------------------------------------------------------------------------

    async def check_signature(self, name: str, read: ReadBody, signature: str, address: str) -> None:
        """Check that a body was signed with the secret of a source, which is known before ``read`` reads it.

        Raises UnauthorizedError, for an unknown source too, and TooManyRequestsError.
        """
        row = await self._find(name)
        secret = "" if row is None else self._secret_of(row)
        if not await is_signed(secret, read, signature):
            self._wrong.refuse(name if is_source_name(name) else "", address)

    async def fetch_by_hook(self, name: str, actor: Actor) -> None:
        """Start a sync, unless one that a hook has asked for has not started yet.

        It is audited if it finds a change: a signed request can be repeated.
        """
        if name not in self._hooks:
            self._hooks[name] = actor
            self._start_sync(name)

    async def fetch(self, name: str, actor: Actor) -> None:
        """Record that a sync was asked for, and start it. Raises NotFoundError."""
        await self._request(name, Action.SOURCE_FETCH, actor)

    async def sync_now(self, name: str, actor: Actor) -> None:
        """Do the same, and wait for its end, for 20 seconds at most."""
        task = await self._request(name, Action.SOURCE_SYNC, actor)
        done, _ = await asyncio.wait({task}, timeout=_WAIT_SECONDS)
        for ended in done:
            ended.result()

    async def _request(self, name: str, action: Action, actor: Actor) -> asyncio.Task[None]:
        row = await self.require(name)
        entry = actor.entry(_action(action, row.name), self._now())
        await self._database.write(lambda connection: audit.add(connection, entry))
        return self._start_sync(row.name)

    def _start_sync(self, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self.sync(name), name=f"sync of {name}")
        self._requested.add(task)

        def finish(ended: asyncio.Task[None]) -> None:
            self._requested.discard(ended)
            if not ended.cancelled() and (error := ended.exception()) is not None:
                _log.error("%s: %s", ended.get_name(), error)

        task.add_done_callback(finish)
        return task

    async def sync(self, name: str) -> None:
        """Sync a source, after the sync that is active; what goes wrong is stored with the source."""
        if not self._closing.is_set():
            await self._flights.setdefault(name, SingleFlight(partial(self._run, name))).get()

    async def close(self) -> None:
        """Interrupt all syncs: the next ones complete them."""
        self._closing.set()
        for task in (*self._active, *self._requested):
            task.cancel()
        await asyncio.gather(*self._active, *self._requested, return_exceptions=True)

    async def _run(self, name: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._active.add(task)
        row, hook = None, self._hooks.pop(name, None)
        try:
            row = await self._find(name)
            if row is not None:
                self._progress[name] = Progress()
                if await self._sync(row) and hook is not None:
                    entry = hook.entry(_action(Action.SOURCE_FETCH, name), self._now())
                    await self._database.write(lambda connection: audit.add(connection, entry))
        except SourceError as error:
            problem, at = str(error), self._now()
            if row is not None and row.problem != problem:
                key = row.id
                await self._database.write(lambda connection: sources.put_problem(connection, key, at, problem))
                _log.warning("source %s: %s", name, problem)
        except Conflict:
            _log.info("source %s or one of its DAGs was removed during its sync; the next one completes it", name)
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
        finally:
            self._progress.pop(name, None)
            self._active.discard(task)

    async def _sync(self, row: SourceRow) -> bool:
        """Return whether a change was stored."""
        if row.kind != GIT:
            async with self._syncing, self._alone(row) as is_alone:
                if is_alone:
                    tree = DirectoryTree(root_of(row, self._settings))
                    listing = await asyncio.to_thread(tree.list_files)
                    return await self._store(row, OpenDirectory(row, tree, listing))
            return False
        checkout = checkout_of(row, self._settings)
        async with self._fetching, checkout.locked():
            commit = await checkout.update()
            tree_of_commit = await checkout.read_tree(commit)
            commits = await checkout.find_commits(commit)
            opened = await asyncio.to_thread(OpenCommit, row, tree_of_commit, commits, self._closing)
            async with self._syncing, self._alone(row) as is_alone:
                now = await self._database.read_inline(lambda connection: sources.get(connection, row.name))
                # Another server that was faster may have stored a newer commit than the one fetched here.
                if is_alone and now is not None and now.source_commit in (row.source_commit, commit):
                    return await self._store(row, opened)
        return False

    @asynccontextmanager
    async def _alone(self, row: SourceRow) -> AsyncIterator[bool]:
        """Wait until no other server stores what is in a source; yields False if one does so for long."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            async with self._database.try_lock(f"source {row.id}") as is_first:
                if is_first or time.monotonic() > until:
                    yield is_first
                    return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _store(self, row: SourceRow, opened: OpenDirectory | OpenCommit) -> bool:
        counts = await self._syncer.sync(row, opened, self._progress.setdefault(row.name, Progress()))
        done = {name: number for name, number in msgspec.structs.asdict(counts).items() if number}
        if done:
            _log.info("source %s: %s", row.name, ", ".join(f"{number} {name}" for name, number in done.items()))
        return bool(done) or opened.commit != row.source_commit

    # -- writing ---------------------------------------------------------------------------------------------------

    async def write_file(self, origin: DagOrigin, text: str) -> str:
        """Write the text of a DAG into its file; returns what identifies its content.

        Raises OutdatedError if the file is not the one that was read last, and UnavailableError if it cannot be
        written.
        """
        root = Path(origin.place) / origin.root
        try:
            return await asyncio.to_thread(_write_file, root, origin, text)
        except OSError as error:
            raise UnavailableError(
                f"the file {origin.path} of the source {origin.source} could not be written: {error.strerror}"
            ) from error


def _write_file(root: Path, origin: DagOrigin, text: str) -> str:
    path = Path(os.path.realpath(root / origin.path))
    found = DirectoryTree(root).read_text(origin.path)
    if found.content != origin.content:
        raise OutdatedError(
            f"the file {origin.path} of the source {origin.source} has been changed since it was read; "
            "wait until that is a revision, and apply the change to it"
        )
    data = text.encode()
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with new.open("xb") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def _action(action: Action, name: str, before: Values = None, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="source", name=name, before=before, after=after)


def _shown(source: NewSource) -> dict[str, object]:
    """Return the fields of a source, without its secret."""
    return {name: getattr(source, name) for name in NewSource.__struct_fields__ if name not in ("name", "hook_secret")}
